//! The kinds of second factor.

use std::fmt;

/// What a person showed beside the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FactorKind {
    /// A six-digit code from an app (RFC 6238).
    Totp,
    /// One of the codes that were shown once at enrolment.
    RecoveryCode,
}

impl FactorKind {
    /// The name in the contract and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::RecoveryCode => "recovery-code",
        }
    }

    /// Reads what [`FactorKind::as_str`] wrote.
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Totp, Self::RecoveryCode]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for FactorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
