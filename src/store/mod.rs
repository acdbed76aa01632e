//! What survives: one door to the database.
//!
//! Every durable change is a value ([`change`]); [`Store::commit`] writes it and its audit entry in
//! one transaction and returns a [`Committed`], which only this room can make: an answer of success
//! that needs one cannot be given before the change is on disk (promise 3). A change whose condition
//! does not hold is rolled back whole and is an error, so that success always means done.
//!
//! One writer, several readers; `synchronous=FULL`, or power loss could undo what was answered.

mod admission;
pub mod change;
mod copy;
mod engine;
mod expiry;
mod failures;
mod feed;
mod guesses;
mod look;
mod moving;
mod node;
mod origin;
mod postgres;
mod probe;
mod read;
mod schema;
mod seal;
mod sessions;
mod sign_ins;
mod sqlite;
mod statement;
mod tokens;
mod trouble;
mod unanswered;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sqlx::PgPool;

use self::change::{Change, Desk};
pub use self::copy::{back_up, restore};
use self::engine::{Engine, Work};
pub use self::expiry::{OVER_AT_ONCE, Over};
pub use self::failures::Failures;
pub use self::feed::{Ear, Entry, Feed, FeedNumber, Line, Subject, Tag, Told};
pub use self::guesses::{Bound, GuessKey, Guessed, NameTag};
pub use self::look::{Looked, look};
pub use self::moving::{Moved, move_to};
pub use self::node::{Card, NodeId, NodeRow};
pub use self::origin::{Home, Mark, Origin};
use self::probe::Probe;
pub use self::read::{AuditEntry, Person, SetupLink, SignInFacts, TotpFactor};
use self::seal::Seal;
pub use self::sessions::Wanted;
pub use self::sign_ins::{HalfSignIn, SignIn};
pub use self::tokens::ManagementToken;
use self::unanswered::Answered;
pub use self::unanswered::Unanswered;
use crate::clock::Clock;
use crate::config::{KeySource, Live, Place, Server, Storage};
use crate::model::{EndReason, Event, Scope};
use crate::secret::Secret;
use crate::secret_file::{self, Own, SecretFileError};
use crate::telemetry::Metrics;

/// The database of a gateway, or of several. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Engine,
    /// Where further connections are made to; `None` for the embedded engine.
    server: Option<Server>,
    seal: Seal,
    clock: Clock,
    metrics: Metrics,
    /// What sessions are held to when they ask for a change; `None` for the built-in limits.
    terms: Option<Live>,
    answered: Answered,
    probe: Probe,
}

/// Evidence that a change is on disk. Only the store can make one.
#[derive(Debug)]
pub struct Committed<T> {
    outcome: T,
    /// The feed's entry of it, for other nodes.
    told: Option<Told>,
}

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("can't open the database {}: {}", path.display(), trouble::of_file(path, cause))]
    Open { path: PathBuf, cause: sqlx::Error },
    #[error("can't bring the database {place} to this version: {cause}")]
    Migrate {
        place: String,
        cause: sqlx::migrate::MigrateError,
    },
    #[error(
        "the database {place} is of a newer Portcullis (version {version} of its tables, this program knows {known}); start the newer program, or restore a backup from before it"
    )]
    Newer {
        place: String,
        version: i64,
        known: i64,
    },
    #[error(
        "can't connect to {place}: {cause}; see that the server runs, lets this user in, and has this database"
    )]
    Connect { place: String, cause: String },
    #[error("{place} can't be used: {why}")]
    Unfit { place: String, why: String },
    #[error("this needs the embedded store, and the configuration names a server; {0}")]
    NotEmbedded(&'static str),
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error("the master key: {0}")]
    Key(String),
    #[error("the store failed while {doing}: {}", trouble::in_words(cause))]
    Failed {
        doing: &'static str,
        cause: sqlx::Error,
    },
    /// The commit was sent, and what became of it is not known.
    #[error("the store did not confirm the change, so it may be written or not: {}", trouble::in_words(.0))]
    Unanswered(sqlx::Error),
    #[error("the store holds something that can't be read: {0}")]
    Unreadable(String),
    #[error("can't {doing} {}: {cause}", path.display())]
    Copy {
        doing: &'static str,
        path: PathBuf,
        cause: String,
    },
    #[error(
        "the store is another one than the gateways have worked with, and before anything is changed in it every session ends; try again in a moment"
    )]
    Elsewhere,
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
    #[error(
        "the management token that asked for this was removed or expired before the call was carried out"
    )]
    TokenEnded,
    #[error("this is about an administrator, for which a token needs the scope {0}, too")]
    NeedsScope(Scope),
    #[error("there is no token of this name")]
    NoSuchToken,
    #[error("the code has been used already")]
    CodeSpent,
    #[error("there is a second factor already")]
    FactorExists,
    #[error("the sign-in is over")]
    SignInOver,
    #[error("the password, role or state of the user was changed by another act")]
    Stale,
}

impl Store {
    /// Opens the embedded database in `data_dir`, making it and the master key when both are missing.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the file can't be opened or is no database (it is never made anew),
    /// [`StoreError::Key`] when the master key is missing, unreadable or another one,
    /// [`StoreError::Secret`] when others can read what is to be kept from them.
    pub async fn open(data_dir: &Path, clock: Clock) -> Result<Self, StoreError> {
        Self::open_embedded(&KeySource::DataDir, data_dir, clock).await
    }

    /// Opens what the configuration names. The time of a server is the time of all its nodes.
    ///
    /// # Errors
    /// As [`Store::open`]; [`StoreError::Connect`] and [`StoreError::Unfit`] for a server.
    pub async fn open_at(storage: &Storage, data_dir: &Path) -> Result<Self, StoreError> {
        match &storage.place {
            Place::Embedded => {
                Self::open_embedded(&storage.master_key, data_dir, Clock::system()).await
            }
            Place::Shared(server) => Self::open_shared(server, &storage.master_key, data_dir).await,
        }
    }

    async fn open_embedded(
        key: &KeySource,
        data_dir: &Path,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let path = data_dir.join(DATABASE);
        secret_file::examine(&path, Own::Mend)?;
        let seal = Seal::load(key, data_dir, !path.exists(), Own::Mend)?.0;
        let store = Self {
            engine: sqlite::open(&path).await?,
            server: None,
            seal,
            clock,
            metrics: Metrics::default(),
            terms: None,
            answered: Answered::default(),
            probe: Probe::default(),
        };
        store.check_seal().await?;
        store.bring_guesses_over().await?;
        Ok(store)
    }

    async fn open_shared(
        server: &Server,
        key: &KeySource,
        data_dir: &Path,
    ) -> Result<Self, StoreError> {
        let pool = postgres::open(server).await?;
        let now = postgres::time(&pool).await?;
        let engine = Engine::Postgres(pool);
        let sealed = seal::word_of(&engine).await;
        let is_new = sealed.map_err(failed("reading the seal check"))?.is_none();
        let store = Self {
            engine,
            server: Some(server.clone()),
            seal: Seal::load(key, data_dir, is_new, Own::Mend)?.0,
            clock: Clock::set_to(now),
            metrics: Metrics::default(),
            terms: None,
            answered: Answered::default(),
            probe: Probe::default(),
        };
        store.check_seal().await?;
        store.bring_guesses_over().await?;
        Ok(store)
    }

    /// What time it is for everything that is kept here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether other nodes work on it too.
    pub fn is_shared(&self) -> bool {
        self.engine.is_shared()
    }

    /// The same, with its changes counted there.
    #[must_use]
    pub fn measured(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same, holding the sessions that ask for changes to the limits that are in force.
    #[must_use]
    pub fn holding_sessions_to(mut self, terms: Live) -> Self {
        self.terms = Some(terms);
        self
    }

    /// Writes a change and the event that tells of it, both or neither.
    ///
    /// # Errors
    /// The error of the change's own condition, [`StoreError::Failed`], or why the credential of the
    /// actor is not good any more: [`StoreError::ActorEnded`], [`StoreError::SignInOver`],
    /// [`StoreError::LinkSpent`], [`StoreError::Stale`], [`StoreError::TokenEnded`]. Nothing is changed
    /// then. [`StoreError::Unanswered`] when that is not certain.
    pub async fn commit<C: Change>(
        &self,
        change: C,
        event: Event,
    ) -> Result<Committed<C::Outcome>, StoreError> {
        let asked = Instant::now();
        let work = self.begin(change.begins_anew(), "beginning a change");
        let mut work = work.await?;
        match self.write(&mut work, change, event).await {
            Ok(committed) => {
                if let Err(cause) = work.commit().await {
                    return Err(trouble::of_commit(cause));
                }
                self.metrics.store_change(asked.elapsed());
                Ok(committed)
            }
            Err(fault) => {
                work.undo().await;
                Err(fault)
            }
        }
    }

    /// A credential that ended in what a server had acknowledged may live again in one that took over, so
    /// nothing is changed there before the follower has begun the feed again.
    async fn begin(&self, begins_anew: bool, doing: &'static str) -> Result<Work, StoreError> {
        let work = self.engine.begin().await.map_err(failed(doing))?;
        if work.is_at_home() || begins_anew {
            return Ok(work);
        }
        work.undo().await;
        Err(StoreError::Elsewhere)
    }

    async fn write<C: Change>(
        &self,
        work: &mut Work,
        change: C,
        event: Event,
    ) -> Result<Committed<C::Outcome>, StoreError> {
        self.admit(work, &event.actor, change.manages()).await?;
        let desk = Desk::new(work, &self.seal, self.clock.now());
        let mut desk = desk.ending_for(EndReason::of_act(event.action));
        let outcome = change.apply(&mut desk).await?;
        desk.record(&event).await?;
        let told = desk.send().await?;
        Ok(Committed { outcome, told })
    }

    /// Writes a change that is nothing to tell of.
    pub(crate) async fn settle<C: Change>(&self, change: C) -> Result<(), StoreError> {
        let doing = "writing what was found";
        let mut work = self.begin(change.begins_anew(), doing).await?;
        let mut desk = Desk::new(&mut work, &self.seal, self.clock.now());
        change.apply(&mut desk).await?;
        work.commit().await.map_err(failed(doing))
    }

    /// The pool of a shared store.
    fn pool(&self) -> Option<&PgPool> {
        match &self.engine {
            Engine::Sqlite { .. } => None,
            Engine::Postgres(pool) => Some(pool),
        }
    }

    /// A key for the hidden field of forms: the same after a restart, and not in the database.
    pub fn form_key(&self) -> [u8; 32] {
        *self.seal.for_forms().expose()
    }

    /// A key for the cookies of devices: the same on every node and after a restart.
    pub fn device_key(&self) -> Secret<[u8; 32]> {
        self.seal.for_devices().clone()
    }

    /// Closes the database in good order.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

impl StoreError {
    /// What is wrong with the store, in words for anyone: no names, places or texts of the engine.
    pub fn in_plain_words(&self) -> &'static str {
        match self {
            Self::Failed { cause, .. } | Self::Unanswered(cause) => trouble::in_plain_words(cause),
            _ => "it fails",
        }
    }

    /// Whether the store itself failed, rather than a condition of what was asked.
    pub const fn is_of_the_store(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::Migrate { .. }
            | Self::Newer { .. }
            | Self::Connect { .. }
            | Self::Unfit { .. }
            | Self::NotEmbedded(_)
            | Self::Key(_)
            | Self::Secret(_)
            | Self::Failed { .. }
            | Self::Unanswered(_)
            | Self::Unreadable(_)
            | Self::Elsewhere
            | Self::Copy { .. } => true,
            Self::NameTaken
            | Self::TokenNameTaken
            | Self::NoSuchUser
            | Self::LinkSpent
            | Self::LastAdministrator
            | Self::ActorEnded
            | Self::TokenEnded
            | Self::NeedsScope(_)
            | Self::NoSuchToken
            | Self::CodeSpent
            | Self::FactorExists
            | Self::SignInOver
            | Self::Stale => false,
        }
    }
}

impl<T> Committed<T> {
    /// What the change brought about.
    pub fn outcome(&self) -> &T {
        &self.outcome
    }

    /// The feed's entry of what it ended, for other nodes.
    pub fn told(&self) -> Option<Told> {
        self.told
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
