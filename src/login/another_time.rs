//! How far a code is from the time at which it would be right.

use std::fmt;

use crate::clock::Timestamp;

/// A code that would be right at another time, as the person is told: a clock may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnotherTime {
    /// It is to come, by the gateway's clock.
    pub is_ahead: bool,
    /// How far, rounded up.
    pub minutes: u64,
    /// What the gateway's clock says.
    pub gateway: Timestamp,
}

impl fmt::Display for AnotherTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.minutes;
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        match self.is_ahead {
            true => write!(f, "it will be right in about {minutes} {unit}"),
            false => write!(f, "it was right about {minutes} {unit} ago"),
        }
    }
}
