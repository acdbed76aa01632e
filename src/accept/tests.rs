//! The room driven from outside.
