//! A core dump of this program would hold passwords, tokens and the master key: there is none.
//!
//! The process is marked as not dumpable, which also keeps other processes of the same
//! user from reading its memory (prctl(2), `PR_SET_DUMPABLE`; its files in /proc belong to root then), and
//! the limit of a core is set to nothing, for a kernel that hands dumps to a program all the same.

use std::ffi::OsStr;
use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// The variable of the environment with which a developer has core dumps and debuggers, at `1`.
pub const ALLOWED_BY: &str = "PORTCULLIS_CORE_DUMPS";

/// Allows none from now on, unless the environment does.
///
/// # Errors
/// What the kernel says; the process is dumped as the system does it by default then.
pub fn forbid() -> io::Result<()> {
    if std::env::var_os(ALLOWED_BY).as_deref() == Some(OsStr::new("1")) {
        return Ok(());
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    Ok(())
}
