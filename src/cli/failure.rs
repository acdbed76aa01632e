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
    /// What has been printed already: no further word, and this exit code.
    Told(u8),
    /// Nobody reads what is printed any more: exit code 1, and no further word.
    Unread,
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
            Self::Usage(_) => 2,
            Self::Refused(_) | Self::Unread => 1,
            Self::Told(code) => *code,
        }
    }
}

impl fmt::Display for Failure {
    /// The chain of causes on one line. Some errors tell their cause themselves; it is not told twice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(cause) | Self::Refused(cause)) = self else {
            return Ok(());
        };
        let mut told = String::new();
        for cause in cause.chain().map(ToString::to_string) {
            if told.is_empty() {
                told = cause;
            } else if !told.contains(&cause) {
                told = format!("{told}: {cause}");
            }
        }
        f.write_str(&told)
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

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn no_cause_is_told_twice() {
        let cause = std::io::Error::other("no such file");
        let failure: anyhow::Result<()> = Err(cause).context("can't read a.pem: no such file");
        let failure = failure
            .context("can't start")
            .map_err(Failure::from)
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "can't start: can't read a.pem: no such file"
        );
    }
}
