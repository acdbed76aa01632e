//! The versions of the tables, and how a database is brought to the latest.

use std::fmt::Display;

use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::StoreError;

/// A version of the tables: its number, its name, and the text that makes it of the one before.
pub(super) type Version = (i64, &'static str, &'static str);

pub(super) fn migrations(versions: &'static [Version]) -> Migrator {
    let migrations = versions
        .iter()
        .map(|&(version, name, text)| {
            let kind = MigrationType::Simple;
            Migration::new(version, name.into(), kind, SqlStr::from_static(text), false)
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// Why the database at `place` could not be brought to the latest version.
pub(super) fn not_migrated(
    cause: MigrateError,
    place: &dyn Display,
    versions: &[Version],
) -> StoreError {
    match cause {
        // It was brought to a version that is not in the list.
        MigrateError::VersionMissing(version) => StoreError::Newer {
            place: place.to_string(),
            version,
            known: latest(versions),
        },
        cause => StoreError::Migrate {
            place: place.to_string(),
            cause,
        },
    }
}

pub(super) fn latest(versions: &[Version]) -> i64 {
    let versions = versions.iter().map(|(version, ..)| *version);
    versions.max().unwrap_or(0)
}
