//! Failed guesses as several nodes count them: a guess counts as failed from before it is looked at,
//! and is given back when it was right, so that many at once on many nodes are never more than are
//! allowed.

use std::time::Duration;

use super::change::Desk;
use super::seal::Seal;
use super::statement::sql;
use super::{Store, StoreError, Work, failed};
use crate::clock::Timestamp;
use crate::model::{Action, Actor, DeviceId, Event, Guess, UserId, UserName};

/// By what a guess is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GuessKey {
    User(UserId, Guess),
    /// A name, which a user has or not.
    Name(NameTag),
    /// A device that signed in before.
    Device(DeviceId, Guess),
    /// Anything else, by a name of its own.
    Other(String),
}

/// A name as it is counted by: one of `NAMES` counters, chosen under a key, so that it can't be told
/// which names share one. Names that users have and those that they have not are counted alike, or the
/// throttle would tell which are which; and the counters are never more than these, whatever names are
/// invented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameTag(u32);

/// With a thousand users, one in two hundred and fifty shares a counter with another.
const NAMES: u32 = 1 << 18;

impl NameTag {
    pub(super) fn of(seal: &Seal, name: &str) -> Self {
        let tag = seal.tag_of_name(name);
        let bits = tag.as_ref().iter().take(4);
        let number = bits.fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        Self(number % NAMES)
    }

    /// The name in the database.
    pub(super) fn key(self) -> String {
        format!("name/{:05x}", self.0)
    }
}

impl GuessKey {
    /// The name in the database. Of one length for each kind, in letters and digits, so that every
    /// engine keeps them in one order.
    pub(super) fn text(&self) -> String {
        match self {
            Self::User(user, guess) => format!("user/{}/{}", user.0, guess.as_str()),
            Self::Name(tag) => tag.key(),
            Self::Device(device, guess) => format!("device/{device}/{}", guess.as_str()),
            Self::Other(key) => key.clone(),
        }
    }

    /// Reads what is kept over a restart.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text.split_once('/')? {
            ("name", number) => {
                let number = u32::from_str_radix(number, 16).ok()?;
                Some(Self::Name(NameTag(number)))
            }
            ("device", rest) => {
                let (device, guess) = rest.split_once('/')?;
                let guess = Guess::ALL.into_iter().find(|one| one.as_str() == guess)?;
                let number = u128::from_str_radix(device, 16).ok()?;
                Some(Self::Device(DeviceId(number.to_be_bytes()), guess))
            }
            _ => None,
        }
    }
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
    /// What a name is counted by.
    pub fn name_tag(&self, name: &str) -> NameTag {
        NameTag::of(&self.seal, name)
    }

    /// How reports call a name that no user has: it may be a password that a person
    /// typed into the wrong field. The same name is called the same, by those with the master key alone.
    pub fn pseudonym(&self, name: &str) -> String {
        let tag = self.seal.tag_of_name(name);
        let bytes = tag.as_ref().iter().rev().take(5);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    /// Bytes that follow from a name and a day under a key: the same on every node, and by nobody to be
    /// foretold.
    pub fn whim(&self, name: &GuessKey, day: Option<i64>) -> [u8; 32] {
        let day = day.map_or_else(String::new, |day| day.to_string());
        let tag = self.seal.tag_of_name(&format!("\n{}\n{day}", name.text()));
        let mut bytes = [0; 32];
        for (byte, made) in bytes.iter_mut().zip(tag.as_ref()) {
            *byte = *made;
        }
        bytes
    }

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
                key => sql("UPDATE guesses SET failed = greatest(failed - 1, 0),
                         in_a_row = greatest(in_a_row - 1, 0)
                     WHERE key = $1")
                .bind(key.text()),
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
                sql("SELECT window_ends, in_a_row, locked FROM failures WHERE user_id = $1 AND guess = $2")
                    .bind(user.0)
                    .bind(guess.as_str())
            }
            key => {
                sql("SELECT window_ends, in_a_row, locked FROM guesses WHERE key = $1").bind(key.text())
            }
        };
        let found: Option<(i64, i64, bool)> = statement
            .maybe(&self.engine)
            .await
            .map_err(failed("counting a guess"))?;
        let (ends, in_a_row, was_told) = found.unwrap_or((now.millis(), 0, false));
        let is_locked = in_a_row >= i64::from(bound.in_a_row);
        match key {
            GuessKey::User(user, guess) if is_locked && !was_told => {
                self.lock_out(*user, *guess, in_a_row).await?;
            }
            // Asked for every name, whether a user has it or not.
            GuessKey::Name(_) if is_locked && !was_told => {
                self.lock_name(&key.text(), in_a_row).await?
            }
            _ => {}
        }
        let wait = Timestamp::from_millis(ends).since(now).min(bound.window);
        Ok(Guessed::Refused(match is_locked {
            true => bound.window,
            false => wait.max(Duration::from_secs(1)),
        }))
    }

    async fn lock_name(&self, key: &str, in_a_row: i64) -> Result<(), StoreError> {
        let doing = "locking a user";
        let mut work = self.engine.begin().await.map_err(failed(doing))?;
        let written = sql("UPDATE guesses SET locked = TRUE WHERE key = $1 AND NOT locked")
            .bind(key)
            .run(&mut work)
            .await
            .map_err(failed(doing))?;
        if written == 1 {
            let mut desk = Desk::new(&mut work, &self.seal, self.clock.now());
            desk.tell_of_locked(key, in_a_row).await?;
        }
        work.commit().await.map_err(failed(doing))
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
        _ => sql(
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
        key => statement.bind(key.text()),
    };
    let counted = statement
        .run(work)
        .await
        .map_err(failed("counting a guess"))?;
    Ok(counted == 1)
}
