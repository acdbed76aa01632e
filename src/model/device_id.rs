//! A browser in which somebody has signed in before.

use std::fmt;

use crate::secret::random_bytes;

/// The number of such a browser: not a secret, and worth nothing without the seal of its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceId(pub [u8; 16]);

impl DeviceId {
    /// Of a browser in which somebody signs in now.
    pub fn random() -> Self {
        Self(random_bytes())
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
