//! Opening the database file and bringing it to this version.

use std::path::Path;
use std::time::Duration;

use sqlx::SqlStr;
use sqlx::SqlitePool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::StoreError;

/// Each version of the tables: number, name, text. Only ever added to.
const VERSIONS: &[(i64, &str, &str)] = &[(1, "init", include_str!("migrations/0001_init.sql"))];

/// How many connections read beside the one that writes.
const READERS: u32 = 4;

/// Opens writer and readers.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let cannot_open = |cause| StoreError::Open {
        path: path.to_owned(),
        cause,
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF");
    let writer = pool(1)
        .connect_with(options.clone().create_if_missing(true))
        .await
        .map_err(cannot_open)?;
    migrate(path, &writer).await?;
    let readers = pool(READERS)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(cannot_open)?;
    Ok((writer, readers))
}

/// Connections to a file have no reason to be closed and made again.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .idle_timeout(None)
        .max_lifetime(None)
}

async fn migrate(path: &Path, writer: &SqlitePool) -> Result<(), StoreError> {
    let migrations = VERSIONS
        .iter()
        .map(|&(version, name, text)| {
            let kind = MigrationType::Simple;
            Migration::new(version, name.into(), kind, SqlStr::from_static(text), false)
        })
        .collect();
    Migrator::with_migrations(migrations)
        .run(writer)
        .await
        .map_err(|cause| StoreError::Migrate {
            path: path.to_owned(),
            cause,
        })
}
