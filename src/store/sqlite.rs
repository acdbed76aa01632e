//! The embedded engine: opening the database file and bringing it to this version.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::engine::Engine;
use super::schema::{self, Version};
use super::statement::{On, sql};
use super::{StoreError, failed};

/// Each version of the tables. Only ever added to.
const VERSIONS: &[Version] = &[
    (1, "init", include_str!("migrations/sqlite/0001_init.sql")),
    (
        2,
        "history",
        include_str!("migrations/sqlite/0002_history.sql"),
    ),
    (
        3,
        "failures",
        include_str!("migrations/sqlite/0003_failures.sql"),
    ),
    (
        4,
        "sign-ins",
        include_str!("migrations/sqlite/0004_sign_ins.sql"),
    ),
    (
        5,
        "replaced",
        include_str!("migrations/sqlite/0005_replaced.sql"),
    ),
    (
        6,
        "authority",
        include_str!("migrations/sqlite/0006_authority.sql"),
    ),
    (
        7,
        "request",
        include_str!("migrations/sqlite/0007_request.sql"),
    ),
    (8, "ended", include_str!("migrations/sqlite/0008_ended.sql")),
    (
        9,
        "unanswered",
        include_str!("migrations/sqlite/0009_unanswered.sql"),
    ),
    (
        10,
        "second-factors",
        include_str!("migrations/sqlite/0010_second_factors.sql"),
    ),
    (
        11,
        "probe",
        include_str!("migrations/sqlite/0011_probe.sql"),
    ),
    (
        12,
        "guesses",
        include_str!("migrations/sqlite/0012_guesses.sql"),
    ),
];

/// How many connections read beside the one that writes.
const READERS: u32 = 4;

/// Opens writer and readers.
pub(super) async fn open(path: &Path) -> Result<Engine, StoreError> {
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
    make_file(path).map_err(|cause| cannot_open(sqlx::Error::Io(cause)))?;
    let writer = pool(1)
        .connect_with(options.clone())
        .await
        .map_err(cannot_open)?;
    migrate(path, &writer).await?;
    let readers = pool(READERS)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(cannot_open)?;
    Ok(Engine::Sqlite { writer, readers })
}

/// A missing database is made for its owner alone; SQLite gives the files beside it the same mode.
fn make_file(path: &Path) -> std::io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Connections to a file have no reason to be closed and made again.
fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| Box::pin(is_out_of_its_transaction(connection)))
}

/// Whether a connection may be used again. When a disk is full, SQLite itself rolls back, and the
/// driver, whose own rollback then fails, counts a transaction that is no more: every later change
/// on that connection would be refused for ever.
async fn is_out_of_its_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A rollback may still be in the queue; this comes after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Whether tables, indexes and all else are exactly what [`VERSIONS`] make.
pub(super) async fn is_as_it_should_be(engine: &Engine) -> Result<bool, StoreError> {
    let doing = "comparing the tables";
    let options = SqliteConnectOptions::new().in_memory(true);
    let fresh = self::pool(1).connect_with(options).await;
    let fresh = fresh.map_err(failed(doing))?;
    migrate(Path::new(":memory:"), &fresh).await?;
    let what = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name";
    type Item = (String, String, String, Option<String>);
    let found: Vec<Item> = sql(what).all(engine).await.map_err(failed(doing))?;
    let wanted: Vec<Item> = sql(what)
        .all(On::SqlitePool(&fresh))
        .await
        .map_err(failed(doing))?;
    fresh.close().await;
    Ok(found == wanted)
}

async fn migrate(path: &Path, writer: &SqlitePool) -> Result<(), StoreError> {
    let migrated = schema::migrations(VERSIONS).run(writer).await;
    migrated.map_err(|cause| schema::not_migrated(cause, &path.display(), VERSIONS))
}

/// Whether the tables are of a version that this program knows.
pub(super) async fn is_known(
    path: &Path,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let version = sqlx::query_as("SELECT max(version) FROM _sqlx_migrations");
    let (version,): (Option<i64>,) = version
        .fetch_one(connection)
        .await
        .map_err(failed("reading the version of the tables"))?;
    let known = schema::latest(VERSIONS);
    match version {
        Some(version) if version > known => Err(StoreError::Newer {
            place: path.display().to_string(),
            version,
            known,
        }),
        _ => Ok(()),
    }
}
