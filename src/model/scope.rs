//! What a management token may do.

use std::fmt;
use std::str::FromStr;

/// One permission of a management token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// End sessions.
    Revoke,
    /// Add and change users, save administrators.
    Users,
    /// Widens [`Scope::Users`] to administrators.
    Administrators,
    /// Read users, sessions and the audit list.
    Read,
    /// Read the metrics.
    Metrics,
}

/// No scope has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope {0:?}; the scopes are revoke, users, administrators, read and metrics")]
pub struct UnknownScope(pub String);

impl Scope {
    /// Every scope, in the order of the contract.
    pub const ALL: [Self; 5] = [
        Self::Revoke,
        Self::Users,
        Self::Administrators,
        Self::Read,
        Self::Metrics,
    ];

    /// The name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Users => "users",
            Self::Administrators => "administrators",
            Self::Read => "read",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}
