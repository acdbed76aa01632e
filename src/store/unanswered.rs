//! Acts that are written, and whose callers may not know it: a commit whose answer was lost, a node that has not
//! confirmed, a gateway that was killed before it could answer.
//!
//! Their callers are asked to call again, and an act that can't be done twice must not be refused then because
//! it is done. So its mark is written with the change, in one transaction, and taken away once the caller was
//! answered that it is done. Any node finds it, also after a restart.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::change::Desk;
use super::read::{UserRow, user};
use super::statement::{Statement, sql};
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::{Asked, Event, User, UserName};

/// How long an act may be asked for again.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// Acts of this process whose callers have their answers, and whose marks may still be in the store. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered(Arc<Mutex<HashSet<[u8; 32]>>>);

/// What an act left behind whose caller may not know that it is done.
#[derive(Debug)]
pub struct Unanswered {
    /// Whom it was about.
    pub subject: Option<UserName>,
    /// SHA-256 of the secret that it made, which was not shown to anyone.
    pub made: Option<[u8; 32]>,
}

impl Store {
    /// Whether this very act, by the same caller, is done already and its caller perhaps got no answer.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so for everything here.
    pub async fn unanswered(&self, event: &Event) -> Result<Option<Unanswered>, StoreError> {
        match &event.asked {
            Some(asked) => self.unanswered_act(asked).await,
            None => Ok(None),
        }
    }

    /// The same for an act of which no more is known.
    pub async fn unanswered_act(&self, asked: &Asked) -> Result<Option<Unanswered>, StoreError> {
        if self.answered.lock().contains(&asked.act) {
            return Ok(None);
        }
        type Row = (Option<String>, Option<Vec<u8>>);
        let found: Option<Row> =
            sql("SELECT subject, made FROM unanswered WHERE act = $1 AND at > $2")
                .bind(asked.act.as_slice())
                .bind(self.clock.now().minus(KEPT).millis())
                .maybe(&self.engine)
                .await
                .map_err(failed("looking for an act that is asked for again"))?;
        Ok(found.map(|(subject, made)| Unanswered {
            subject: subject.and_then(|name| UserName::parse(&name).ok()),
            made: made.and_then(|made| made.try_into().ok()),
        }))
    }

    /// Whose one-time link this is, by its hash, though it may open nothing any more.
    pub async fn user_of_link(&self, hash: &[u8; 32]) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> = sql("SELECT id, name, role, email, disabled, users.generation
             FROM users JOIN setup_links ON user_id = id WHERE hash = $1")
        .bind(hash.as_slice())
        .maybe(&self.engine)
        .await
        .map_err(failed("looking up a set-up link"))?;
        row.map(user).transpose()
    }

    /// Says that the caller has its answer that the act is done: the same call is another act from now on. Its mark
    /// is removed by [`Store::forget_answered`], for which no caller waits.
    pub fn answered(&self, asked: &Asked) {
        self.answered.lock().insert(asked.act);
    }

    /// Takes the mark of an act away.
    pub async fn forget_answered(&self, asked: &Asked) -> Result<(), StoreError> {
        sql("DELETE FROM unanswered WHERE act = $1")
            .bind(asked.act.as_slice())
            .run(self.engine.writer())
            .await
            .map_err(failed("forgetting an act that was answered"))?;
        self.answered.lock().remove(&asked.act);
        Ok(())
    }
}

impl Answered {
    /// A panic while holding the lock leaves the set whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk<'_> {
    /// Leaves the mark of an act in the embedded store, and takes those away that are too old to be asked for
    /// again. A shared store has it with the entry of the audit list, by [`bound`].
    pub(super) async fn mark(&mut self, event: &Event, asked: &Asked) -> Result<(), StoreError> {
        let doing = "marking an act that may be asked for again";
        sql("DELETE FROM unanswered WHERE at <= $1")
            .bind(self.now.minus(KEPT).millis())
            .run(self.connection())
            .await
            .map_err(failed(doing))?;
        sql(
            "INSERT INTO unanswered (act, at, subject, made) VALUES ($1, $2, $3, $4)
             ON CONFLICT (act) DO UPDATE SET at = excluded.at, subject = excluded.subject,
                 made = excluded.made",
        )
        .bind(asked.act.as_slice())
        .bind(self.now.millis())
        .bind(event.subject.as_ref().map(|name| name.as_str()))
        .bind(asked.made.map(|made| made.to_vec()))
        .run(self.connection())
        .await
        .map(drop)
        .map_err(failed(doing))
    }
}

/// Binds what a statement needs beside an entry of the audit list: the mark, what the act made, and up to
/// when marks are too old.
pub(super) fn bound(statement: Statement, asked: &Asked, now: Timestamp) -> Statement {
    statement
        .bind(asked.act.as_slice())
        .bind(asked.made.map(|made| made.to_vec()))
        .bind(now.minus(KEPT).millis())
}
