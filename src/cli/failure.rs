//! Why a command did not do it, and with which exit code it says so.

use std::fmt;

use serde_json::{Value, json};

use crate::config::{Fault, Faults, Risk};

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

/// The gateway has answered with a problem document.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
pub(super) struct Answered {
    /// For a person.
    pub(super) words: String,
    pub(super) problem: Value,
}

/// A fault of the configuration, or a warning, for programs.
pub(super) fn place(fault: &Fault) -> Value {
    json!({
        "file": fault.file.display().to_string(),
        "line": fault.place.map(|(line, _)| line),
        "column": fault.place.map(|(_, column)| column),
        "message": &fault.message,
        "risk": fault.risk.map(Risk::as_str),
    })
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

    /// The same for programs, in one line: `error`, `exit_code`, and where they are known `faults` of the
    /// configuration with their places, or the `problem` that the gateway answered with.
    pub(super) fn as_document(&self) -> Value {
        let mut document = json!({ "error": self.to_string(), "exit_code": self.code() });
        let (Self::Usage(cause) | Self::Refused(cause)) = self else {
            return document;
        };
        let Some(members) = document.as_object_mut() else {
            return document;
        };
        if let Some(faults) = cause.downcast_ref::<Faults>() {
            members.insert("faults".to_owned(), faults.iter().map(place).collect());
        }
        if let Some(Answered { problem, .. }) = cause.downcast_ref() {
            members.insert("problem".to_owned(), problem.clone());
        }
        document
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
