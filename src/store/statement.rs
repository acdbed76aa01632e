//! Statements that serve both engines: one text with places `$1`, `$2`, and values bound in turn.
//!
//! What a statement of PostgreSQL may take is bounded here: a network that swallows packets must not
//! hold up a sign-in for as long as TCP hopes.

use std::io;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments, FromRow, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool,
};

/// How long PostgreSQL may take for one statement, the way there and back included.
const PATIENCE: Duration = Duration::from_secs(2);

/// A text and what is bound to its places.
#[derive(Debug)]
#[must_use]
pub(super) struct Statement {
    text: &'static str,
    values: Vec<Value>,
}

/// What can be bound. Both engines keep whole numbers of 64 bits, text, bytes and truth values.
#[derive(Debug)]
pub(super) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Flag(Option<bool>),
    /// Only PostgreSQL has lists.
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    BytesEach(Vec<Option<Vec<u8>>>),
    Flags(Vec<Option<bool>>),
}

/// What a row is read as: a tuple of what can be bound.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// Where a statement is put: an open transaction, or any connection of a pool.
#[derive(Debug)]
pub(super) enum On<'c> {
    Sqlite(&'c mut SqliteConnection),
    SqlitePool(&'c SqlitePool),
    Postgres(&'c mut PgConnection),
    PostgresPool(&'c PgPool),
}

/// A statement without values yet.
pub(super) fn sql(text: &'static str) -> Statement {
    Statement {
        text,
        values: Vec::new(),
    }
}

impl Statement {
    /// Binds the next place.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Carries it out; how many rows it concerned.
    pub(super) async fn run<'c>(self, on: impl Into<On<'c>>) -> Result<u64, sqlx::Error> {
        let text = self.text;
        match on.into() {
            On::Sqlite(connection) => {
                let query = sqlx::query_with::<Sqlite, _>(text, self.for_sqlite()?);
                query
                    .execute(connection)
                    .await
                    .map(|done| done.rows_affected())
            }
            On::SqlitePool(pool) => {
                let query = sqlx::query_with::<Sqlite, _>(text, self.for_sqlite()?);
                query.execute(pool).await.map(|done| done.rows_affected())
            }
            On::Postgres(connection) => self.run_there(connection).await,
            On::PostgresPool(pool) => {
                let mut connection = pool.acquire().await?;
                let done = self.run_there(&mut connection).await;
                let is_lost = done.as_ref().is_err_and(is_lost);
                if is_lost {
                    drop(connection.detach());
                }
                done
            }
        }
    }

    /// Every row of the answer.
    pub(super) async fn all<'c, T: Row>(
        self,
        on: impl Into<On<'c>>,
    ) -> Result<Vec<T>, sqlx::Error> {
        let text = self.text;
        match on.into() {
            On::Sqlite(connection) => {
                let query = sqlx::query_as_with::<Sqlite, T, _>(text, self.for_sqlite()?);
                query.fetch_all(connection).await
            }
            On::SqlitePool(pool) => {
                let query = sqlx::query_as_with::<Sqlite, T, _>(text, self.for_sqlite()?);
                query.fetch_all(pool).await
            }
            On::Postgres(connection) => self.all_there(connection).await,
            On::PostgresPool(pool) => {
                let mut connection = pool.acquire().await?;
                let rows = self.all_there(&mut connection).await;
                let is_lost = rows.as_ref().is_err_and(is_lost);
                if is_lost {
                    drop(connection.detach());
                }
                rows
            }
        }
    }

    /// The first row, if there is one.
    pub(super) async fn maybe<'c, T: Row>(
        self,
        on: impl Into<On<'c>>,
    ) -> Result<Option<T>, sqlx::Error> {
        Ok(self.all(on).await?.into_iter().next())
    }

    /// The one row that there is.
    pub(super) async fn one<'c, T: Row>(self, on: impl Into<On<'c>>) -> Result<T, sqlx::Error> {
        self.maybe(on).await?.ok_or(sqlx::Error::RowNotFound)
    }

    async fn run_there(self, connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
        let query = sqlx::query_with::<Postgres, _>(self.text, self.for_postgres()?);
        let done = in_time(query.execute(connection)).await?;
        Ok(done.rows_affected())
    }

    async fn all_there<T: Row>(self, connection: &mut PgConnection) -> Result<Vec<T>, sqlx::Error> {
        let query = sqlx::query_as_with::<Postgres, T, _>(self.text, self.for_postgres()?);
        in_time(query.fetch_all(connection)).await
    }

    fn for_sqlite(self) -> Result<SqliteArguments, sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        for value in self.values {
            match value {
                Value::Integer(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
                Value::Bytes(value) => arguments.add(value),
                Value::Flag(value) => arguments.add(value),
                Value::Integers(_) | Value::Texts(_) | Value::BytesEach(_) | Value::Flags(_) => {
                    Err("SQLite has no lists".into())
                }
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }

    fn for_postgres(self) -> Result<PgArguments, sqlx::Error> {
        let mut arguments = PgArguments::default();
        for value in self.values {
            match value {
                Value::Integer(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
                Value::Bytes(value) => arguments.add(value),
                Value::Flag(value) => arguments.add(value),
                Value::Integers(values) => arguments.add(values),
                Value::Texts(values) => arguments.add(values),
                Value::BytesEach(values) => arguments.add(values),
                Value::Flags(values) => arguments.add(values),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// The outcome of something that PostgreSQL is asked for, within [`PATIENCE`].
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| {
        let late = io::Error::new(io::ErrorKind::TimedOut, "the server did not answer in time");
        Err(sqlx::Error::Io(late))
    })
}

/// Whether nothing more can be said on that connection.
pub(super) fn is_lost(fault: &sqlx::Error) -> bool {
    !matches!(fault, sqlx::Error::Database(_))
}

impl<'c> From<&'c mut SqliteConnection> for On<'c> {
    fn from(connection: &'c mut SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }
}

impl<'c> From<&'c mut PgConnection> for On<'c> {
    fn from(connection: &'c mut PgConnection) -> Self {
        Self::Postgres(connection)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Integer(Some(value.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Flag(Some(value))
    }
}

impl From<Option<bool>> for Value {
    fn from(value: Option<bool>) -> Self {
        Self::Flag(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(Some(value.to_vec()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

impl From<Vec<i64>> for Value {
    fn from(values: Vec<i64>) -> Self {
        Self::Integers(values.into_iter().map(Some).collect())
    }
}

impl From<Vec<String>> for Value {
    fn from(values: Vec<String>) -> Self {
        Self::Texts(values.into_iter().map(Some).collect())
    }
}

impl From<Vec<Vec<u8>>> for Value {
    fn from(values: Vec<Vec<u8>>) -> Self {
        Self::BytesEach(values.into_iter().map(Some).collect())
    }
}
