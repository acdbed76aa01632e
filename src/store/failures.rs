//! Failed sign-ins as they survive a restart.
//!
//! The throttle counts in memory and writes behind. What an answer depends on is not: a password that
//! is set, a link that is made and a sign-in that is whole forget their counts in their transaction.

use super::change::Desk;
use super::statement::sql;
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::{Action, Actor, Event, Guess, UserId, UserName};

/// The failed guesses of one user, of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    pub user: UserId,
    pub guess: Guess,
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
        let rows: Vec<Row> =
            sql("SELECT user_id, guess, failed, window_ends, in_a_row, locked FROM failures")
                .all(&self.engine)
                .await
                .map_err(failed("reading failed sign-ins"))?;
        let known = |(user, guess, failed, ends, in_a_row, locked): Row| {
            let all = [Guess::Password, Guess::Code];
            Some(Failures {
                user: UserId(user),
                guess: all.into_iter().find(|one| one.as_str() == guess)?,
                failed: u32::try_from(failed).unwrap_or(u32::MAX),
                window_ends: Timestamp::from_millis(ends),
                in_a_row: u32::try_from(in_a_row).unwrap_or(u32::MAX),
                locked,
            })
        };
        Ok(rows.into_iter().filter_map(known).collect())
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
            desk.keep_failures(count).await?;
        }
        work.commit().await.map_err(failed(doing))
    }
}

impl Desk<'_> {
    async fn keep_failures(&mut self, count: &Failures) -> Result<(), StoreError> {
        let doing = "writing failed sign-ins";
        let before: Option<(String, bool)> = sql("SELECT name, coalesce(locked, FALSE) FROM users
             LEFT JOIN failures ON user_id = id AND guess = $2 WHERE id = $1")
        .bind(count.user.0)
        .bind(count.guess.as_str())
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
        .bind(count.user.0)
        .bind(count.guess.as_str())
        .bind(count.failed)
        .bind(count.window_ends.millis())
        .bind(count.in_a_row)
        .bind(count.locked)
        .run(self.connection())
        .await
        .map_err(failed(doing))?;
        match UserName::parse(&name) {
            Ok(name) if count.locked && !was_locked => {
                let what = count.guess.as_str();
                let event = Event::about(Actor::Gateway, Action::UserLocked, &name)
                    .detail(format!("{} wrong {what}s in a row", count.in_a_row));
                self.record(&event).await
            }
            _ => Ok(()),
        }
    }

    /// Forgets every failure of a user, whom somebody with the right to do so lets in anew.
    pub(super) async fn forget_failures(&mut self, user: UserId) -> Result<(), StoreError> {
        sql("DELETE FROM failures WHERE user_id = $1")
            .bind(user.0)
            .run(self.connection())
            .await
            .map(drop)
            .map_err(failed("forgetting failed sign-ins"))
    }

    /// A whole sign-in ends the row of failures, but not the window.
    pub(super) async fn end_the_row(&mut self, user: UserId) -> Result<(), StoreError> {
        sql("UPDATE failures SET in_a_row = 0, locked = FALSE WHERE user_id = $1")
            .bind(user.0)
            .run(self.connection())
            .await
            .map(drop)
            .map_err(failed("ending a row of failed sign-ins"))
    }
}
