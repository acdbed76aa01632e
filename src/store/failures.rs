//! Failed sign-ins as they survive a restart.
//!
//! The throttle counts in memory and writes behind. What an answer depends on is not: a password that
//! is set, a link that is made and a sign-in that is whole forget their counts in their transaction.
//! Wrong passwords are counted by name, whether a user has it or not, and kept alike.

use super::change::Desk;
use super::statement::sql;
use super::{GuessKey, NameTag, Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::{Action, Actor, Event, Guess, UserId, UserName};

/// The failed guesses that are counted by one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    pub key: GuessKey,
    /// In the window that ends at `window_ends`.
    pub failed: u32,
    pub window_ends: Timestamp,
    /// Since the last whole sign-in.
    pub in_a_row: u32,
    /// Whether these are too many, so that waiting does not help.
    pub locked: bool,
}

impl Store {
    /// Every count that is kept.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    pub async fn failures(&self) -> Result<Vec<Failures>, StoreError> {
        type Row = (i64, String, i64, i64, i64, bool);
        type KeyRow = (String, i64, i64, i64, bool);
        let doing = "reading failed sign-ins";
        let rows: Vec<Row> =
            sql("SELECT user_id, guess, failed, window_ends, in_a_row, locked FROM failures")
                .all(&self.engine)
                .await
                .map_err(failed(doing))?;
        let of_users = rows.into_iter().filter_map(|row| {
            let (user, guess, failed, ends, in_a_row, locked) = row;
            let guess = Guess::ALL.into_iter().find(|one| one.as_str() == guess)?;
            Some((
                GuessKey::User(UserId(user), guess),
                failed,
                ends,
                in_a_row,
                locked,
            ))
        });
        let rows: Vec<KeyRow> =
            sql("SELECT key, failed, window_ends, in_a_row, locked FROM guesses")
                .all(&self.engine)
                .await
                .map_err(failed(doing))?;
        let of_keys = rows.into_iter().filter_map(|row| {
            let (key, failed, ends, in_a_row, locked) = row;
            Some((GuessKey::read(&key)?, failed, ends, in_a_row, locked))
        });
        let all = of_users.chain(of_keys);
        let known = all.map(|(key, failed, ends, in_a_row, locked)| Failures {
            key,
            failed: u32::try_from(failed).unwrap_or(u32::MAX),
            window_ends: Timestamp::from_millis(ends),
            in_a_row: u32::try_from(in_a_row).unwrap_or(u32::MAX),
            locked,
        });
        Ok(known.collect())
    }

    /// Writes counts, and into the audit list who is locked by them.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; nothing is changed then.
    pub async fn keep_failures(&self, counts: &[Failures]) -> Result<(), StoreError> {
        let doing = "writing failed sign-ins";
        let mut work = self.engine.begin().await.map_err(failed(doing))?;
        let mut desk = Desk::new(&mut work, &self.seal, self.clock.now());
        for count in counts {
            match &count.key {
                GuessKey::User(user, guess) => desk.keep_of_user(*user, *guess, count).await?,
                key => desk.keep_of_key(&key.text(), count).await?,
            }
        }
        work.commit().await.map_err(failed(doing))
    }

    /// Gives every user the key that guesses at the password are counted by, and brings over what a
    /// version before this one has counted by user.
    pub(super) async fn bring_guesses_over(&self) -> Result<(), StoreError> {
        let doing = "bringing counts of failed sign-ins over";
        let mut work = self.engine.begin().await.map_err(failed(doing))?;
        let users: Vec<(i64, String)> = sql("SELECT id, name FROM users WHERE guess_key IS NULL")
            .all(&mut work)
            .await
            .map_err(failed(doing))?;
        for (id, name) in users {
            sql("UPDATE users SET guess_key = $2 WHERE id = $1")
                .bind(id)
                .bind(NameTag::of(&self.seal, &name).key())
                .run(&mut work)
                .await
                .map_err(failed(doing))?;
        }
        for statement in [
            "INSERT INTO guesses (key, failed, window_ends, in_a_row, locked)
             SELECT guess_key, failed, window_ends, in_a_row, locked
             FROM failures JOIN users ON id = user_id WHERE guess = 'password'
             ON CONFLICT (key) DO NOTHING",
            "DELETE FROM failures WHERE guess = 'password'",
        ] {
            sql(statement).run(&mut work).await.map_err(failed(doing))?;
        }
        work.commit().await.map_err(failed(doing))
    }

    /// The names with failures in a row that no user has.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so for what follows.
    pub async fn rows_of_no_user(&self) -> Result<Vec<GuessKey>, StoreError> {
        let rows: Vec<(String,)> = sql(
            "SELECT key FROM guesses WHERE in_a_row > 0 AND key LIKE 'name/%'
             AND NOT EXISTS (SELECT 1 FROM users WHERE guess_key = key)",
        )
        .all(&self.engine)
        .await
        .map_err(failed("reading failed sign-ins"))?;
        let keys = rows.into_iter().filter_map(|(key,)| GuessKey::read(&key));
        Ok(keys.collect())
    }

    /// Ends the rows of failures of these names, as a whole sign-in would.
    pub async fn end_rows(&self, keys: &[GuessKey]) -> Result<(), StoreError> {
        for key in keys {
            sql("UPDATE guesses SET in_a_row = 0, locked = FALSE WHERE key = $1")
                .bind(key.text())
                .run(self.engine.writer())
                .await
                .map_err(failed("ending a row of failed sign-ins"))?;
        }
        Ok(())
    }
}

impl Desk<'_> {
    async fn keep_of_key(&mut self, key: &str, count: &Failures) -> Result<(), StoreError> {
        let doing = "writing failed sign-ins";
        let before: Option<(bool,)> = sql("SELECT locked FROM guesses WHERE key = $1")
            .bind(key)
            .maybe(self.connection())
            .await
            .map_err(failed(doing))?;
        sql(
            "INSERT INTO guesses (key, failed, window_ends, in_a_row, locked)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (key) DO UPDATE SET failed = excluded.failed,
                 window_ends = excluded.window_ends, in_a_row = excluded.in_a_row,
                 locked = excluded.locked",
        )
        .bind(key)
        .bind(count.failed)
        .bind(count.window_ends.millis())
        .bind(count.in_a_row)
        .bind(count.locked)
        .run(self.connection())
        .await
        .map_err(failed(doing))?;
        let was_locked = before.is_some_and(|(locked,)| locked);
        match count.locked && !was_locked {
            true => self.tell_of_locked(key, i64::from(count.in_a_row)).await,
            false => Ok(()),
        }
    }

    /// Tells of whom too many failures lock, if it is somebody.
    pub(super) async fn tell_of_locked(
        &mut self,
        key: &str,
        in_a_row: i64,
    ) -> Result<(), StoreError> {
        let names: Vec<(String,)> = sql("SELECT name FROM users WHERE guess_key = $1")
            .bind(key)
            .all(self.connection())
            .await
            .map_err(failed("locking a user"))?;
        for name in names
            .into_iter()
            .filter_map(|(name,)| UserName::parse(&name).ok())
        {
            let event = Event::about(Actor::Gateway, Action::UserLocked, &name)
                .detail(format!("{in_a_row} wrong passwords in a row"));
            self.record(&event).await?;
        }
        Ok(())
    }

    async fn keep_of_user(
        &mut self,
        user: UserId,
        guess: Guess,
        count: &Failures,
    ) -> Result<(), StoreError> {
        let doing = "writing failed sign-ins";
        let before: Option<(String, bool)> = sql("SELECT name, coalesce(locked, FALSE) FROM users
             LEFT JOIN failures ON user_id = id AND guess = $2 WHERE id = $1")
        .bind(user.0)
        .bind(guess.as_str())
        .maybe(self.connection())
        .await
        .map_err(failed(doing))?;
        let Some((name, was_locked)) = before else {
            return Ok(()); // Removed meanwhile.
        };
        sql(
            "INSERT INTO failures (user_id, guess, failed, window_ends, in_a_row, locked)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (user_id, guess) DO UPDATE SET failed = excluded.failed,
                 window_ends = excluded.window_ends, in_a_row = excluded.in_a_row,
                 locked = excluded.locked",
        )
        .bind(user.0)
        .bind(guess.as_str())
        .bind(count.failed)
        .bind(count.window_ends.millis())
        .bind(count.in_a_row)
        .bind(count.locked)
        .run(self.connection())
        .await
        .map_err(failed(doing))?;
        match UserName::parse(&name) {
            Ok(name) if count.locked && !was_locked => {
                let what = guess.as_str();
                let event = Event::about(Actor::Gateway, Action::UserLocked, &name)
                    .detail(format!("{} wrong {what}s in a row", count.in_a_row));
                self.record(&event).await
            }
            _ => Ok(()),
        }
    }

    /// Forgets every failure of a user, whom somebody with the right to do so lets in anew.
    pub(super) async fn forget_failures(&mut self, user: UserId) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM failures WHERE user_id = $1",
            "DELETE FROM guesses WHERE key = (SELECT guess_key FROM users WHERE id = $1)",
        ] {
            sql(statement)
                .bind(user.0)
                .run(self.connection())
                .await
                .map_err(failed("forgetting failed sign-ins"))?;
        }
        Ok(())
    }

    /// A whole sign-in ends the row of failures, but not the window.
    pub(super) async fn end_the_row(&mut self, user: UserId) -> Result<(), StoreError> {
        for statement in [
            // Not one that is locked: a device that is known gets past it, and gives strangers no new tries by that.
            "UPDATE failures SET in_a_row = 0 WHERE user_id = $1 AND NOT locked",
            "UPDATE guesses SET in_a_row = 0, locked = FALSE
             WHERE key = (SELECT guess_key FROM users WHERE id = $1)",
        ] {
            sql(statement)
                .bind(user.0)
                .run(self.connection())
                .await
                .map_err(failed("ending a row of failed sign-ins"))?;
        }
        Ok(())
    }
}
