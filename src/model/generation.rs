//! A number on each user; raising it makes every session of an older generation dead at once.

use std::fmt;

/// How often the sessions of a user have been ended. Only the store raises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(i64);

impl Generation {
    /// As the store holds it.
    pub const fn from_stored(number: i64) -> Self {
        Self(number)
    }

    /// The bare number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
