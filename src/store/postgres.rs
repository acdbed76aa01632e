//! The engine for several nodes: connecting to PostgreSQL, what is asked of it, and bringing its
//! tables to this version.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use super::schema::{self, Version};
use super::statement::{in_time, sql};
use super::{StoreError, failed};
use crate::clock::Timestamp;
use crate::config::Server;
use crate::secret::random_bytes;

/// Each version of the tables. Only ever added to; what a version adds leaves the one before at work,
/// or raises `head.readers`.
const VERSIONS: &[Version] = &[
    (1, "init", include_str!("migrations/postgres/0001_init.sql")),
    (
        2,
        "replaced",
        include_str!("migrations/postgres/0002_replaced.sql"),
    ),
    (
        3,
        "authority",
        include_str!("migrations/postgres/0003_authority.sql"),
    ),
    (
        4,
        "request",
        include_str!("migrations/postgres/0004_request.sql"),
    ),
    (
        5,
        "ended",
        include_str!("migrations/postgres/0005_ended.sql"),
    ),
    (
        6,
        "audit numbers",
        include_str!("migrations/postgres/0006_audit_numbers.sql"),
    ),
    (
        7,
        "unanswered",
        include_str!("migrations/postgres/0007_unanswered.sql"),
    ),
    (
        8,
        "second-factors",
        include_str!("migrations/postgres/0008_second_factors.sql"),
    ),
    (
        9,
        "probe",
        include_str!("migrations/postgres/0009_probe.sql"),
    ),
    (
        10,
        "guesses",
        include_str!("migrations/postgres/0010_guesses.sql"),
    ),
    (
        11,
        "sealed",
        include_str!("migrations/postgres/0011_sealed.sql"),
    ),
];

/// How many connections a node has beside the one that follows the feed and the one that listens.
const CONNECTIONS: u32 = 8;

/// How long a connection is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the server holds every connection to. A gateway that stops in the middle of a change must not
/// hold up those of the others: whoever is idle in a transaction is thrown out.
const MANNERS: [(&str, &str); 4] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "400ms"),
    ("tcp_user_timeout", "5s"),
];

/// Connects, sees that the server keeps what it acknowledges, and brings the tables to this version.
pub(super) async fn open(server: &Server) -> Result<PgPool, StoreError> {
    let connection = connect(server).await;
    let mut connection = connection.map_err(|cause| cannot_connect(server, &cause))?;
    keeps_its_word(&mut connection, server).await?;
    locks_exclude(&mut connection, server).await?;
    migrate(&mut connection, server).await?;
    let _ = in_time(connection.close()).await;
    Ok(PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with(options(server)))
}

/// A connection for somebody who keeps it.
pub(super) async fn connect(server: &Server) -> Result<PgConnection, sqlx::Error> {
    in_time(options(server).connect()).await
}

/// What time it is there, which is the time of all its nodes.
pub(super) async fn time(pool: &PgPool) -> Result<Timestamp, StoreError> {
    let (now,): (i64,) = sql("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        .one(super::statement::On::PostgresPool(pool))
        .await
        .map_err(failed("asking the store for the time"))?;
    Ok(Timestamp::from_millis(now))
}

/// Whether a gateway could start on it; `false` where it has no tables yet.
pub(super) async fn look(server: &Server) -> Result<Option<Vec<u8>>, StoreError> {
    let mut connection = connect(server)
        .await
        .map_err(|cause| cannot_connect(server, &cause))?;
    keeps_its_word(&mut connection, server).await?;
    let doing = failed("looking at the store");
    let (there,): (bool,) = sql("SELECT to_regclass('seal_check') IS NOT NULL")
        .one(&mut connection)
        .await
        .map_err(&doing)?;
    let mut word = None;
    if there {
        is_readable(&mut connection, server).await?;
        let found: Option<(Vec<u8>,)> = sql("SELECT value FROM seal_check")
            .maybe(&mut connection)
            .await
            .map_err(&doing)?;
        word = found.map(|(value,)| value);
    }
    let _ = in_time(connection.close()).await;
    Ok(word)
}

fn options(server: &Server) -> PgConnectOptions {
    server
        .options()
        .application_name("portcullis")
        .options(MANNERS)
        .statement_cache_capacity(200)
}

fn cannot_connect(server: &Server, cause: &sqlx::Error) -> StoreError {
    // What the server says, without the line of its source that said it.
    let said = cause.as_database_error().map(|fault| fault.message());
    StoreError::Connect {
        place: server.to_string(),
        cause: said.map_or_else(|| cause.to_string(), str::to_owned),
    }
}

/// What was answered with success survives a crash (promise 3) only where the server waits for its
/// disk.
async fn keeps_its_word(connection: &mut PgConnection, server: &Server) -> Result<(), StoreError> {
    let unfit = |why: &str| StoreError::Unfit {
        place: server.to_string(),
        why: why.to_owned(),
    };
    let (commit, fsync, version, standby): (String, String, i64, bool) = sql(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'),
                current_setting('server_version_num')::bigint, pg_is_in_recovery()",
    )
    .one(&mut *connection)
    .await
    .map_err(failed("asking the store how it writes"))?;
    if version < OLDEST_SERVER {
        return Err(unfit("it is older than PostgreSQL 13"));
    }
    if standby {
        return Err(unfit(
            "it is a standby, on which nothing can be written; name the primary",
        ));
    }
    if commit == "off" {
        return Err(unfit(
            "synchronous_commit is off, so a crash could undo what was answered; set it to on, \
             for example with: ALTER ROLE … SET synchronous_commit = on",
        ));
    }
    if fsync == "off" {
        return Err(unfit(
            "fsync is off, so a crash could lose everything; set it to on",
        ));
    }
    Ok(())
}

/// Everything rests on changes that take turns. There are servers that speak the language of PostgreSQL
/// and take its advisory locks for a manner of speaking.
async fn locks_exclude(connection: &mut PgConnection, server: &Server) -> Result<(), StoreError> {
    let number = i64::from_ne_bytes(random_bytes());
    let doing = "trying whether locks exclude";
    let other = connect(server).await;
    let mut other = other.map_err(|cause| cannot_connect(server, &cause))?;
    let take = "SELECT pg_try_advisory_lock($1)";
    let (first,): (bool,) = sql(take)
        .bind(number)
        .one(&mut other)
        .await
        .map_err(failed(doing))?;
    let (second,): (bool,) = sql(take)
        .bind(number)
        .one(connection)
        .await
        .map_err(failed(doing))?;
    // It goes with the connection.
    let _ = in_time(other.close()).await;
    match first && !second {
        true => Ok(()),
        false => Err(StoreError::Unfit {
            place: server.to_string(),
            why: "two connections were given one and the same advisory lock, so changes would not take turns"
                .to_owned(),
        }),
    }
}

const OLDEST_SERVER: i64 = 130_000;

/// Nodes that start together take turns: the migrator holds a lock while it works.
async fn migrate(connection: &mut PgConnection, server: &Server) -> Result<(), StoreError> {
    let (there,): (bool,) = sql("SELECT to_regclass('head') IS NOT NULL")
        .one(&mut *connection)
        .await
        .map_err(failed("looking for the tables"))?;
    if there {
        is_readable(connection, server).await?;
    }
    let mut migrator = schema::migrations(VERSIONS);
    // A newer gateway beside this one has added to the tables what does not concern it.
    migrator.set_ignore_missing(there);
    // Waiting for another node is no reason to give up, and work on many rows takes its time.
    let patient = "SET lock_timeout = 0; SET statement_timeout = 0;
         SET idle_in_transaction_session_timeout = 0";
    let patient = sqlx::raw_sql(patient).execute(&mut *connection).await;
    patient.map_err(failed("preparing the tables"))?;
    let migrated = migrator.run(connection).await;
    migrated.map_err(|cause| schema::not_migrated(cause, server, VERSIONS))
}

/// Whether this version can work with the tables.
async fn is_readable(connection: &mut PgConnection, server: &Server) -> Result<(), StoreError> {
    let (readers,): (i64,) = sql("SELECT readers FROM head")
        .one(connection)
        .await
        .map_err(failed("reading the version of the tables"))?;
    let known = schema::latest(VERSIONS);
    if readers > known {
        return Err(StoreError::Newer {
            place: server.to_string(),
            version: readers,
            known,
        });
    }
    Ok(())
}
