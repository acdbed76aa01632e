//! Who else can read what is kept (promise 4): files that others can read are not used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::StoreError;

/// What is there is for its owner alone; what is missing will be.
///
/// # Errors
/// [`StoreError::Exposed`], with what would mend it.
pub(super) fn only_mine(path: &Path) -> Result<(), StoreError> {
    let Ok(file) = fs::metadata(path) else {
        return Ok(());
    };
    let mode = file.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(StoreError::Exposed {
        path: path.to_owned(),
        mode,
    })
}
