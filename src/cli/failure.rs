//! Why a command did not do it, and with which exit code it says so.

use std::fmt;

use crate::config::Faults;

/// A command that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Bad usage or bad configuration: exit code 2.
    Usage(anyhow::Error),
    /// Refused or failed: exit code 1.
    Refused(anyhow::Error),
    /// Bad configuration that has been printed already: exit code 2, and no further word.
    Told,
}

/// What a command comes to.
pub(super) type Done<T = ()> = Result<T, Failure>;

impl Failure {
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(anyhow::anyhow!("{message}"))
    }

    pub(super) fn refused(message: impl fmt::Display) -> Self {
        Self::Refused(anyhow::anyhow!("{message}"))
    }

    /// As the shell sees it.
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Told => 2,
            Self::Refused(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    /// The whole chain of causes on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(cause) | Self::Refused(cause) => write!(f, "{cause:#}"),
            Self::Told => Ok(()),
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Usage(faults.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(cause: anyhow::Error) -> Self {
        Self::Refused(cause)
    }
}
