//! Certificates and keys as files: read with the line of every fault, and looked at as browsers do.

pub mod chain;
pub mod pem;
