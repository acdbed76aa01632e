//! Failed guesses as several nodes count them: a guess counts as failed from before it is looked at,
//! and is given back when it was right, so that many at once on many nodes are never more than are
//! allowed.

use std::time::Duration;

use super::change::Desk;
use super::statement::sql;
use super::{Store, StoreError, Work, failed};
use crate::clock::Timestamp;
use crate::model::{Action, Actor, Event, Guess, UserId, UserName};

/// By what a guess is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuessKey {
    User(UserId, Guess),
    /// Anything else, by a name of its own.
    Other(String),
}

/// What is allowed of one key.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// So many within the window.
    pub count: u32,
    pub window: Duration,
    /// And so many before one that is right.
    pub in_a_row: u32,
}

/// Whether there was room for one more guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guessed {
    Counted,
    /// Not for so long.
    Refused(Duration),
}

impl Store {
    /// Counts a guess by all of the keys, or by none.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; nothing is counted then.
    pub async fn count_guess(&self, keys: &[(GuessKey, Bound)]) -> Result<Guessed, StoreError> {
        let doing = "counting a guess";
        let now = self.clock.now();
        let mut work = self.engine.begin_beside().await.map_err(failed(doing))?;
        for (key, bound) in keys {
            if !count(&mut work, key, *bound, now).await? {
                work.undo().await;
                return self.refuse(key, *bound, now).await;
            }
        }
        work.commit().await.map_err(failed(doing))?;
        Ok(Guessed::Counted)
    }

    /// The guess was right, or nobody looked at it.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; it counts as failed then.
    pub async fn give_back_guess(&self, keys: &[GuessKey]) -> Result<(), StoreError> {
        for key in keys {
            let statement = match key {
                GuessKey::User(user, guess) => {
                    sql("UPDATE failures SET failed = greatest(failed - 1, 0),
                         in_a_row = greatest(in_a_row - 1, 0)
                     WHERE user_id = $1 AND guess = $2")
                    .bind(user.0)
                    .bind(guess.as_str())
                }
                GuessKey::Other(key) => sql("UPDATE guesses SET failed = greatest(failed - 1, 0),
                         in_a_row = greatest(in_a_row - 1, 0)
                     WHERE key = $1")
                .bind(key),
            };
            let given = statement.run(self.engine.writer()).await;
            given.map_err(failed("giving a guess back"))?;
        }
        Ok(())
    }

    /// How long to wait; who is locked is told of in the audit list, once.
    async fn refuse(
        &self,
        key: &GuessKey,
        bound: Bound,
        now: Timestamp,
    ) -> Result<Guessed, StoreError> {
        let statement = match key {
            GuessKey::User(user, guess) => {
                sql("SELECT window_ends, in_a_row FROM failures WHERE user_id = $1 AND guess = $2")
                    .bind(user.0)
                    .bind(guess.as_str())
            }
            GuessKey::Other(key) => {
                sql("SELECT window_ends, in_a_row FROM guesses WHERE key = $1").bind(key)
            }
        };
        let found: Option<(i64, i64)> = statement
            .maybe(&self.engine)
            .await
            .map_err(failed("counting a guess"))?;
        let (ends, in_a_row) = found.unwrap_or((now.millis(), 0));
        let is_locked = in_a_row >= i64::from(bound.in_a_row);
        if let (GuessKey::User(user, guess), true) = (key, is_locked) {
            self.lock_out(*user, *guess, in_a_row).await?;
        }
        let wait = Timestamp::from_millis(ends).since(now).min(bound.window);
        Ok(Guessed::Refused(match is_locked {
            true => bound.window,
            false => wait.max(Duration::from_secs(1)),
        }))
    }

    async fn lock_out(&self, user: UserId, guess: Guess, in_a_row: i64) -> Result<(), StoreError> {
        let doing = "locking a user";
        let locked: Option<(String,)> = sql("SELECT name FROM users JOIN failures ON user_id = id
             WHERE id = $1 AND guess = $2 AND NOT locked")
        .bind(user.0)
        .bind(guess.as_str())
        .maybe(&self.engine)
        .await
        .map_err(failed(doing))?;
        let Some(name) = locked.and_then(|(name,)| UserName::parse(&name).ok()) else {
            return Ok(());
        };
        let mut work = self.engine.begin().await.map_err(failed(doing))?;
        let written = sql(
            "UPDATE failures SET locked = TRUE WHERE user_id = $1 AND guess = $2 AND NOT locked",
        )
        .bind(user.0)
        .bind(guess.as_str())
        .run(&mut work)
        .await
        .map_err(failed(doing))?;
        if written == 1 {
            let what = guess.as_str();
            let event = Event::about(Actor::Gateway, Action::UserLocked, &name)
                .detail(format!("{in_a_row} wrong {what}s in a row"));
            let mut desk = Desk::new(&mut work, &self.seal, self.clock.now());
            desk.record(&event).await?;
        }
        work.commit().await.map_err(failed(doing))
    }
}

/// Whether there was room. A window that is over begins anew, and none ends later than one that begins
/// now.
async fn count(
    work: &mut Work,
    key: &GuessKey,
    bound: Bound,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let statement = match key {
        GuessKey::User(..) => sql(
            "INSERT INTO failures AS old (user_id, guess, failed, window_ends, in_a_row, locked)
             SELECT id, $6, 1, $2, 1, FALSE FROM users WHERE id = $5
             ON CONFLICT (user_id, guess) DO UPDATE SET
                 failed = CASE WHEN old.window_ends <= $1 THEN 1 ELSE old.failed + 1 END,
                 window_ends = CASE WHEN old.window_ends <= $1 THEN $2
                     ELSE least(old.window_ends, $2) END,
                 in_a_row = old.in_a_row + 1
             WHERE old.in_a_row < $4 AND (old.window_ends <= $1 OR old.failed < $3)",
        ),
        GuessKey::Other(_) => sql(
            "INSERT INTO guesses AS old (key, failed, window_ends, in_a_row) VALUES ($5, 1, $2, 1)
             ON CONFLICT (key) DO UPDATE SET
                 failed = CASE WHEN old.window_ends <= $1 THEN 1 ELSE old.failed + 1 END,
                 window_ends = CASE WHEN old.window_ends <= $1 THEN $2
                     ELSE least(old.window_ends, $2) END,
                 in_a_row = old.in_a_row + 1
             WHERE old.in_a_row < $4 AND (old.window_ends <= $1 OR old.failed < $3)",
        ),
    };
    let statement = statement
        .bind(now.millis())
        .bind(now.plus(bound.window).millis())
        .bind(bound.count)
        .bind(bound.in_a_row);
    let statement = match key {
        GuessKey::User(user, guess) => statement.bind(user.0).bind(guess.as_str()),
        GuessKey::Other(key) => statement.bind(key),
    };
    let counted = statement
        .run(work)
        .await
        .map_err(failed("counting a guess"))?;
    Ok(counted == 1)
}
