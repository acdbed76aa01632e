//! What survives: one door to the database.
//!
//! Every durable change is a value ([`change`]); [`Store::commit`] writes it and its audit entry in
//! one transaction and returns a [`Committed`], which only this room can make: an answer of success
//! that needs one cannot be given before the change is on disk (promise 3). A change whose condition
//! does not hold is rolled back whole and is an error, so that success always means done.
//!
//! One writer, several readers; `synchronous=FULL`, or power loss could undo what was answered.

pub mod change;
mod copy;
mod failures;
mod guard;
mod look;
mod read;
mod schema;
mod seal;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sqlx::SqlitePool;

use self::change::{Change, Desk};
pub use self::copy::{back_up, restore};
pub use self::failures::Failures;
pub use self::look::look;
pub use self::read::{AuditEntry, ManagementToken, Person, SetupLink, SignInFacts, TotpFactor};
use self::seal::Seal;
use crate::clock::{Clock, Timestamp};
use crate::config::KeySource;
use crate::model::{Event, Generation, TokenHash};
use crate::telemetry::Metrics;

/// The database of one gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    seal: Seal,
    clock: Clock,
    metrics: Metrics,
}

/// Evidence that a change is on disk. Only the store can make one.
#[derive(Debug)]
pub struct Committed<T> {
    outcome: T,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("can't open the database {}: {cause}; see that the folder is writable and the file is a Portcullis database, or restore a backup", path.display())]
    Open { path: PathBuf, cause: sqlx::Error },
    #[error("can't bring the database {} to this version: {cause}", path.display())]
    Migrate {
        path: PathBuf,
        cause: sqlx::migrate::MigrateError,
    },
    #[error("the database {} is of a newer Portcullis (version {version} of its tables, this program knows {known}); start the newer program, or restore a backup from before it", path.display())]
    Newer {
        path: PathBuf,
        version: i64,
        known: i64,
    },
    #[error("{} can be read or changed by other users (mode {mode:o}); take that away with: chmod 600 {}", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the master key: {0}")]
    Key(String),
    #[error("the store failed while {doing}: {cause}")]
    Failed {
        doing: &'static str,
        cause: sqlx::Error,
    },
    #[error("the store holds something that can't be read: {0}")]
    Unreadable(String),
    #[error("can't {doing} {}: {cause}", path.display())]
    Copy {
        doing: &'static str,
        path: PathBuf,
        cause: String,
    },
    #[error("there is a user of this name already")]
    NameTaken,
    #[error("there is a token of this name already")]
    TokenNameTaken,
    #[error("there is no such user")]
    NoSuchUser,
    #[error("this link has been used, has expired, or was replaced by a newer one")]
    LinkSpent,
    #[error("this is the last administrator who can sign in; make somebody else one first")]
    LastAdministrator,
    #[error("the session that asked for this has ended meanwhile")]
    ActorEnded,
    #[error("there is no token of this name")]
    NoSuchToken,
    #[error("the code has been used already")]
    CodeSpent,
    #[error("there is a second factor already")]
    FactorExists,
    #[error("the password, role or state of the user has changed meanwhile")]
    Stale,
}

impl Store {
    /// Opens the database in `data_dir`, making it and the master key when both are missing.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the file can't be opened or is no database (it is never made anew),
    /// [`StoreError::Key`] when the master key is missing, unreadable or another one.
    pub async fn open(data_dir: &Path, clock: Clock) -> Result<Self, StoreError> {
        Self::open_under(&KeySource::DataDir, data_dir, clock).await
    }

    /// The same under a master key from elsewhere.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Exposed`] when others can read what is to be kept from them.
    pub async fn open_under(
        key: &KeySource,
        data_dir: &Path,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let path = data_dir.join(DATABASE);
        guard::only_mine(&path)?;
        let seal = Seal::load(key, data_dir, !path.exists())?;
        let (writer, readers) = schema::open(&path).await?;
        let store = Self {
            writer,
            readers,
            seal,
            clock,
            metrics: Metrics::default(),
        };
        store.check_seal().await?;
        Ok(store)
    }

    /// The same, with its changes counted there.
    #[must_use]
    pub fn measured(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Writes a change and the event that tells of it, both or neither.
    ///
    /// # Errors
    /// The error of the change's own condition, [`StoreError::ActorEnded`] or [`StoreError::Failed`];
    /// nothing is changed then.
    pub async fn commit<C: Change>(
        &self,
        change: C,
        event: Event,
    ) -> Result<Committed<C::Outcome>, StoreError> {
        let (now, asked) = (self.clock.now(), Instant::now());
        let mut transaction = self
            .writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed("beginning a change"))?;
        let mut desk = Desk::new(&mut transaction, &self.seal, now);
        desk.admit(&event.actor).await?;
        let outcome = change.apply(&mut desk).await?;
        desk.record(&event).await?;
        transaction
            .commit()
            .await
            .map_err(failed("committing a change"))?;
        self.metrics.store_change(asked.elapsed());
        Ok(Committed { outcome })
    }

    /// Writes when sessions were last seen, and forgets those that have expired.
    ///
    /// Only what still has its generation is written: a session that was ended meanwhile stays ended
    /// (CVE-2025-32441).
    ///
    /// # Errors
    /// [`StoreError::Failed`]; nothing is changed then.
    pub async fn tidy_sessions(
        &self,
        seen: &[(TokenHash, Generation, Timestamp)],
        expired: &[TokenHash],
    ) -> Result<(), StoreError> {
        let doing = "writing when sessions were last seen";
        let mut transaction = self
            .writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(failed(doing))?;
        for (token, generation, at) in seen {
            sqlx::query("UPDATE sessions SET last_seen = $3 WHERE token = $1 AND generation = $2")
                .bind(token.0.as_slice())
                .bind(generation.number())
                .bind(at.millis())
                .execute(&mut *transaction)
                .await
                .map_err(failed(doing))?;
        }
        for token in expired {
            sqlx::query("DELETE FROM sessions WHERE token = $1")
                .bind(token.0.as_slice())
                .execute(&mut *transaction)
                .await
                .map_err(failed(doing))?;
        }
        transaction.commit().await.map_err(failed(doing))
    }

    /// A key for the hidden field of forms: the same after a restart, and not in the database.
    pub fn form_key(&self) -> [u8; 32] {
        self.seal.derived_key("forms")
    }

    /// Closes the database in good order.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

impl<T> Committed<T> {
    /// What the change brought about.
    pub fn outcome(&self) -> &T {
        &self.outcome
    }

    /// The same, given away.
    pub fn into_outcome(self) -> T {
        self.outcome
    }
}

const DATABASE: &str = "portcullis.db";

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |cause| StoreError::Failed { doing, cause }
}

#[cfg(test)]
mod tests;
