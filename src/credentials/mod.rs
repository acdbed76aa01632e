//! What a person knows or has: passwords, TOTP apps, recovery codes. Nothing here knows of users.

pub mod generator;
mod hashing;
pub mod password;
pub mod policy;
pub mod recovery;
pub mod totp;
pub mod typed;
