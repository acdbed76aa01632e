//! What is wrong with a store that fails, in words that name the cause; and whether a commit that
//! failed may have been written all the same.

use std::io;
use std::path::Path;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::StoreError;

/// Result codes of SQLite. The lower eight bits are the primary code, the rest says more.
const BUSY: i64 = 5;
const READ_ONLY: i64 = 8;
const IO_ERROR: i64 = 10;
const CORRUPT: i64 = 11;
const FULL: i64 = 13;
const NOT_A_DATABASE: i64 = 26;
/// The file that the connections share beside the database could not be made as long as it has to be,
/// which needs no more than room.
const IO_ERROR_SHARED_SIZE: i64 = 4874;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Full,
    ReadOnly,
    /// A server that takes no changes, whatever its disk could.
    TakesNoChanges,
    Disk,
    Damaged,
    Other,
}

/// The cause as people are told it, with what the engine itself says.
pub(super) fn in_words(cause: &sqlx::Error) -> String {
    match words(trouble(cause)) {
        Some(words) => format!("{words}: {}", said(cause)),
        None => said(cause),
    }
}

/// The same without what the engine says.
pub(super) fn in_plain_words(cause: &sqlx::Error) -> &'static str {
    words(trouble(cause)).unwrap_or("it does not answer, or refuses to write")
}

fn words(trouble: Trouble) -> Option<&'static str> {
    Some(match trouble {
        Trouble::Full => "the disk is full",
        Trouble::ReadOnly => "the disk can only be read (read-only)",
        Trouble::TakesNoChanges => "the server takes no changes (read-only)",
        Trouble::Disk => "the disk fails",
        Trouble::Damaged => "the file is damaged or no database",
        Trouble::Other => return None,
    })
}

/// Why a file of the embedded database can't be opened, and what to do about it. SQLite does not pass on
/// what the system said, so the disk is asked whether it has room.
pub(super) fn of_file(path: &Path, cause: &sqlx::Error) -> String {
    let trouble = match trouble(cause) {
        Trouble::Disk | Trouble::Other if has_no_room(path) => Trouble::Full,
        trouble => trouble,
    };
    let way_out = match trouble {
        Trouble::Full => "make room on it, then start again",
        Trouble::ReadOnly | Trouble::TakesNoChanges => {
            "see that the folder and its file system can be written"
        }
        Trouble::Disk => "look for the cause in the log of the system, or restore a backup",
        Trouble::Damaged | Trouble::Other => {
            "see that the folder is writable and the file is a Portcullis database, or restore a backup"
        }
    };
    match trouble {
        Trouble::Full => format!("the disk is full: {}; {way_out}", said(cause)),
        _ => format!("{}; {way_out}", in_words(cause)),
    }
}

fn has_no_room(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    let room = rustix::fs::statvfs(folder);
    room.is_ok_and(|room| room.f_bavail == 0 || (room.f_files > 0 && room.f_favail == 0))
}

/// What the engine itself says.
fn said(cause: &sqlx::Error) -> String {
    match cause {
        sqlx::Error::Database(fault) => match code_of(&**fault) {
            Some(code) => format!("{} (code {code})", fault.message()),
            None => fault.message().to_owned(),
        },
        cause => cause.to_string(),
    }
}

/// What a commit that was not answered with success comes to. The engines say so where nothing was
/// written; where they do not, it may be.
pub(super) fn of_commit(cause: sqlx::Error) -> StoreError {
    match nothing_was_written(&cause) {
        true => StoreError::Failed {
            doing: "committing a change",
            cause,
        },
        false => StoreError::Unanswered(cause),
    }
}

fn nothing_was_written(cause: &sqlx::Error) -> bool {
    let sqlx::Error::Database(fault) = cause else {
        // The connection was lost, or the answer is late.
        return false;
    };
    if let Some(fault) = fault.try_downcast_ref::<PgDatabaseError>() {
        // An ERROR rolls back. FATAL and PANIC end the connection, perhaps after the commit.
        return fault.severity() == PgSeverity::Error;
    }
    // The frame that commits is the last that SQLite writes to its log, and it is valid as a whole. After a
    // failed flush it may be on the disk or not (https://sqlite.org/wal.html).
    matches!(
        code_of(&**fault).map(|code| code & 0xff),
        Some(FULL | READ_ONLY | BUSY)
    )
}

fn trouble(cause: &sqlx::Error) -> Trouble {
    let fault = match cause {
        sqlx::Error::Database(fault) => fault,
        sqlx::Error::Io(fault) => return trouble_of_io(fault),
        _ => return Trouble::Other,
    };
    if let Some(fault) = fault.try_downcast_ref::<PgDatabaseError>() {
        return match fault.code() {
            "53100" => Trouble::Full,
            "25006" => Trouble::TakesNoChanges,
            "58030" => Trouble::Disk,
            "XX001" | "XX002" => Trouble::Damaged,
            _ => Trouble::Other,
        };
    }
    match code_of(&**fault) {
        Some(IO_ERROR_SHARED_SIZE) => Trouble::Full,
        Some(code) => match code & 0xff {
            FULL => Trouble::Full,
            READ_ONLY => Trouble::ReadOnly,
            IO_ERROR => Trouble::Disk,
            CORRUPT | NOT_A_DATABASE => Trouble::Damaged,
            _ => Trouble::Other,
        },
        None => Trouble::Other,
    }
}

fn trouble_of_io(fault: &io::Error) -> Trouble {
    match fault.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
        io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        _ => Trouble::Other,
    }
}

fn code_of(fault: &dyn DatabaseError) -> Option<i64> {
    fault.code().and_then(|code| code.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_called_that_and_other_faults_are_not() {
        for (kind, words) in [
            (io::ErrorKind::StorageFull, "the disk is full: "),
            (io::ErrorKind::QuotaExceeded, "the disk is full: "),
            (
                io::ErrorKind::ReadOnlyFilesystem,
                "the disk can only be read",
            ),
        ] {
            let told = in_words(&sqlx::Error::Io(kind.into()));
            assert!(told.starts_with(words), "{told}");
        }
        let reset = sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        assert!(!in_words(&reset).contains("disk"));
    }

    #[test]
    fn a_commit_whose_answer_was_lost_is_not_certain() {
        let lost = sqlx::Error::Io(io::ErrorKind::ConnectionReset.into());
        assert!(matches!(of_commit(lost), StoreError::Unanswered(_)));
        let late = sqlx::Error::Io(io::ErrorKind::TimedOut.into());
        assert!(matches!(of_commit(late), StoreError::Unanswered(_)));
    }
}
