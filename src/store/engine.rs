//! The two engines behind the one door, and the transaction that a change is written in.
//!
//! Both have one writer at a time, so a change sees everything that was committed before it, and what
//! is said about one gateway's changes holds for those of several: SQLite has one connection that
//! writes, and in PostgreSQL every change holds one advisory lock until its commit.

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Postgres, Row, Sqlite, SqlitePool};

use super::origin::here;
use super::statement::{On, in_time};

/// Where everything is kept.
#[derive(Debug, Clone)]
pub(super) enum Engine {
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// A transaction that is open. Dropped, it is rolled back.
#[derive(Debug)]
pub(super) enum Work {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(Errand),
}

/// A transaction of PostgreSQL. A connection on which one was not brought to its end is closed and
/// never used again: what is still under way on it can't be told.
#[derive(Debug)]
pub(super) struct Errand {
    connection: PoolConnection<Postgres>,
    /// What was begun works on the store in which the feed was begun, or on one without a feed.
    is_at_home: bool,
    is_over: bool,
}

/// `pg_advisory_xact_lock`: one change at a time. The number is arbitrary, and the lock counts within
/// one database. Then, under the lock, whether it is the store that it was.
const BEGIN_CHANGE: &str = concat!(
    "BEGIN; SELECT pg_advisory_xact_lock(8094321764021); SELECT origin IN ('', ",
    here!(),
    ") FROM head"
);

impl Engine {
    /// Begins a change: until its end nobody else begins one.
    pub(super) async fn begin(&self) -> Result<Work, sqlx::Error> {
        self.begin_by(BEGIN_CHANGE).await
    }

    /// Begins what may go on beside a change.
    pub(super) async fn begin_beside(&self) -> Result<Work, sqlx::Error> {
        self.begin_by("BEGIN").await
    }

    async fn begin_by(&self, words: &'static str) -> Result<Work, sqlx::Error> {
        match self {
            Self::Sqlite { writer, .. } => {
                let transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
                Ok(Work::Sqlite(transaction))
            }
            Self::Postgres(pool) => {
                let mut errand = Errand {
                    connection: pool.acquire().await?,
                    is_at_home: false,
                    is_over: false,
                };
                let said = errand.say(words).await?;
                errand.is_at_home = match said.last() {
                    Some(row) => row.try_get(0).unwrap_or(false),
                    None => false,
                };
                Ok(Work::Postgres(errand))
            }
        }
    }

    /// Whether other nodes work on the same store.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Where a single statement is written, without a transaction around it.
    pub(super) fn writer(&self) -> On<'_> {
        match self {
            Self::Sqlite { writer, .. } => On::SqlitePool(writer),
            Self::Postgres(pool) => On::PostgresPool(pool),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => {
                // A server that no longer answers would keep it waiting.
                let closing = async {
                    pool.close().await;
                    Ok(())
                };
                let _ = in_time(closing).await;
            }
        }
    }
}

impl<'c> From<&'c Engine> for On<'c> {
    fn from(engine: &'c Engine) -> Self {
        match engine {
            Engine::Sqlite { readers, .. } => Self::SqlitePool(readers),
            Engine::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

impl<'c> From<&'c mut Work> for On<'c> {
    fn from(work: &'c mut Work) -> Self {
        match work {
            Work::Sqlite(transaction) => Self::Sqlite(&mut *transaction),
            Work::Postgres(errand) => Self::Postgres(&mut errand.connection),
        }
    }
}

impl Work {
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Whether the feed was begun in the store that it works on. The embedded one has no other.
    pub(super) fn is_at_home(&self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(errand) => errand.is_at_home,
        }
    }

    /// Everything of it, on disk.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(mut errand) => {
                errand.say("COMMIT").await?;
                errand.is_over = true;
                Ok(())
            }
        }
    }

    /// Nothing of it. What can't be rolled back on its connection ends with that.
    pub(super) async fn undo(self) {
        match self {
            Self::Sqlite(transaction) => drop(transaction),
            Self::Postgres(mut errand) => {
                errand.is_over = errand.say("ROLLBACK").await.is_ok();
            }
        }
    }
}

impl Errand {
    async fn say(&mut self, words: &'static str) -> Result<Vec<PgRow>, sqlx::Error> {
        let connection: &mut PgConnection = &mut self.connection;
        in_time(sqlx::raw_sql(words).fetch_all(connection)).await
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if !self.is_over {
            self.connection.close_on_drop();
        }
    }
}
