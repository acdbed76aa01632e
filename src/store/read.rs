//! Reading. Nothing here changes anything; the readers' connections could not.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::change::totp_place;
use super::statement::sql;
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::{
    FactorKind, Generation, Role, SessionId, SessionRecord, TokenHash, User, UserId, UserName,
};
use crate::secret::Secret;

/// Everything that a sign-in is decided by, read at one moment.
#[derive(Debug)]
pub struct SignInFacts {
    pub user: User,
    /// Argon2id as a PHC string; `None` until the set-up link has been used.
    pub password: Option<Secret<String>>,
    pub totp: Option<TotpFactor>,
    /// How many recovery codes are left.
    pub recovery_codes: usize,
}

/// A TOTP app.
#[derive(Debug)]
pub struct TotpFactor {
    pub secret: Secret<Vec<u8>>,
    /// The latest step taken.
    pub last_step: i64,
}

/// A one-time link that is alive.
#[derive(Debug)]
pub struct SetupLink {
    pub user: User,
    pub expires: Timestamp,
}

/// A user as lists show one.
#[derive(Debug)]
pub struct Person {
    pub user: User,
    pub has_password: bool,
    pub second_factors: Vec<FactorKind>,
    /// How many recovery codes are left.
    pub recovery_codes: usize,
    /// How many sessions are kept.
    pub sessions: usize,
    /// Whether too many sign-ins failed in a row, so that waiting does not help.
    pub locked: bool,
}

/// One entry of the audit list.
#[derive(Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub subject: Option<String>,
    pub detail: String,
    /// The number of the request that did it, as in the access log; `None` for what no request did.
    pub request: Option<String>,
}

pub(super) type UserRow = (i64, String, String, Option<String>, bool, i64);
type PersonRow = (
    i64,
    String,
    String,
    Option<String>,
    bool,
    i64,
    bool,
    bool,
    i64,
    i64,
    bool,
);

/// What a [`Person`] is read from. A macro, since a statement has to be one literal.
macro_rules! person_columns {
    () => {
        "SELECT id, name, role, email, disabled, generation, password IS NOT NULL,
                EXISTS (SELECT 1 FROM totp_factors WHERE totp_factors.user_id = id),
                (SELECT count(*) FROM recovery_codes WHERE recovery_codes.user_id = id),
                (SELECT count(*) FROM sessions
                 WHERE sessions.user_id = users.id AND replaced_by IS NULL),
                EXISTS (SELECT 1 FROM failures WHERE failures.user_id = id AND locked)
                    OR EXISTS (SELECT 1 FROM guesses WHERE key = guess_key AND locked)
         FROM users"
    };
}

/// How many sessions are read at once when they are restored.
const AT_ONCE: i64 = 10_000;

impl Store {
    /// The user of a name.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Unreadable`]; so for every read.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let row: Option<UserRow> =
            sql("SELECT id, name, role, email, disabled, generation FROM users WHERE name = $1")
                .bind(name.as_str())
                .maybe(&self.engine)
                .await
                .map_err(failed("looking up a user"))?;
        row.map(user).transpose()
    }

    /// What a sign-in of this name is decided by; `None` for an unknown name.
    pub async fn sign_in_facts(&self, name: &UserName) -> Result<Option<SignInFacts>, StoreError> {
        type Row = (
            i64,
            String,
            String,
            Option<String>,
            bool,
            i64,
            Option<String>,
            Option<Vec<u8>>,
            Option<i64>,
            i64,
        );
        // One statement reads one moment: password and generation belong together (promise 2).
        let row: Option<Row> = sql(
            "SELECT id, name, role, email, disabled, generation, password, secret, last_step,
                    (SELECT count(*) FROM recovery_codes WHERE recovery_codes.user_id = id)
             FROM users LEFT JOIN totp_factors ON totp_factors.user_id = id WHERE name = $1",
        )
        .bind(name.as_str())
        .maybe(&self.engine)
        .await
        .map_err(failed("looking up a sign-in"))?;
        let Some((id, name, role, email, disabled, generation, password, secret, step, codes)) =
            row
        else {
            return Ok(None);
        };
        let user = user((id, name, role, email, disabled, generation))?;
        let totp = match secret.zip(step) {
            Some((sealed, last_step)) => Some(TotpFactor {
                secret: self.seal.open(&totp_place(user.id), &sealed)?,
                last_step,
            }),
            None => None,
        };
        Ok(Some(SignInFacts {
            user,
            password: password.map(Secret::new),
            totp,
            recovery_codes: count(codes),
        }))
    }

    /// The link of this hash, while it is alive.
    pub async fn setup_link(&self, hash: &[u8; 32]) -> Result<Option<SetupLink>, StoreError> {
        type Row = (i64, String, String, Option<String>, bool, i64, i64);
        let row: Option<Row> = sql(
            "SELECT id, name, role, email, disabled, users.generation, expires
             FROM users JOIN setup_links ON setup_links.user_id = id
                 AND setup_links.generation = users.generation
             WHERE hash = $1 AND expires > $2 AND NOT disabled",
        )
        .bind(hash.as_slice())
        .bind(self.clock.now().millis())
        .maybe(&self.engine)
        .await
        .map_err(failed("looking up a set-up link"))?;
        row.map(|(id, name, role, email, disabled, generation, expires)| {
            Ok(SetupLink {
                user: user((id, name, role, email, disabled, generation))?,
                expires: Timestamp::from_millis(expires),
            })
        })
        .transpose()
    }

    /// The passwords before the current one that are remembered, as PHC strings; the newest first.
    pub async fn past_passwords(&self, user: UserId) -> Result<Vec<Secret<String>>, StoreError> {
        let rows: Vec<(String,)> = sql("SELECT password FROM past_passwords
             WHERE user_id = $1 ORDER BY seq DESC")
        .bind(user.0)
        .all(&self.engine)
        .await
        .map_err(failed("reading past passwords"))?;
        Ok(rows.into_iter().map(|(phc,)| Secret::new(phc)).collect())
    }

    /// Everybody, by name.
    pub async fn people(&self) -> Result<Vec<Person>, StoreError> {
        let rows: Vec<PersonRow> = sql(concat!(person_columns!(), " ORDER BY name"))
            .all(&self.engine)
            .await
            .map_err(failed("listing users"))?;
        rows.into_iter().map(person).collect()
    }

    /// One user as lists show one.
    pub async fn person(&self, name: &UserName) -> Result<Option<Person>, StoreError> {
        let row: Option<PersonRow> = sql(concat!(person_columns!(), " WHERE name = $1"))
            .bind(name.as_str())
            .maybe(&self.engine)
            .await
            .map_err(failed("looking up a user"))?;
        row.map(person).transpose()
    }

    /// Gives the sessions of enabled users that are of their user's generation to `take`.
    pub async fn each_session(
        &self,
        take: impl FnMut(SessionRecord, Arc<User>),
    ) -> Result<(), StoreError> {
        let users = self.enabled_users().await?;
        let range = sql("SELECT min(rowid) - 1, max(rowid) FROM sessions");
        let (first, last): (Option<i64>, Option<i64>) = range
            .one(&self.engine)
            .await
            .map_err(failed("restoring sessions"))?;
        let (next, last) = (AtomicI64::new(first.unwrap_or(0)), last.unwrap_or(0));
        let take = Mutex::new(take);
        let read = || async {
            loop {
                let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                if from >= last {
                    return Ok::<(), StoreError>(());
                }
                let lines = self
                    .session_lines(from, from.saturating_add(AT_ONCE))
                    .await?;
                let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
                for line in lines.lines() {
                    let record = session(line)?;
                    let user = users.get(&record.user);
                    if let Some(user) = user.filter(|user| user.generation == record.generation) {
                        take(record, user.clone());
                    }
                }
            }
        };
        // Two readers: one reads while what the other has read is taken in.
        tokio::try_join!(read(), read()).map(drop)
    }

    async fn enabled_users(&self) -> Result<HashMap<UserId, Arc<User>>, StoreError> {
        let lines: (Option<String>,) = sql(
            "SELECT group_concat(printf('%d %s %s %d %s', id, name, role, generation, email), char(10))
             FROM users WHERE NOT disabled",
        )
        .one(&self.engine)
        .await
        .map_err(failed("restoring sessions"))?;
        let lines = lines.0.unwrap_or_default();
        let users = lines.lines().map(|line| {
            let user = enabled_user(line)?;
            Ok((user.id, Arc::new(user)))
        });
        users.collect()
    }

    /// The sessions of these row ids, a line each. A row of the driver costs ten times what it costs to
    /// read it, and there may be a million.
    async fn session_lines(&self, after: i64, to: i64) -> Result<String, StoreError> {
        let lines: (Option<String>,) = sql(
            "SELECT group_concat(printf('%d %s %s %d %d %d %s %s %d %s', user_id, hex(token), id,
                        generation, created, last_seen, address, second_factor, good_until, device),
                    char(10))
             FROM sessions WHERE rowid > $1 AND rowid <= $2",
        )
        .bind(after)
        .bind(to)
        .one(&self.engine)
        .await
        .map_err(failed("restoring sessions"))?;
        Ok(lines.0.unwrap_or_default())
    }

    /// The audit list after entry `after`, oldest first, at the most `limit` entries.
    pub async fn audit(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<AuditRow> = sql(
            "SELECT seq, at, actor, action, subject, detail, request FROM audit
             WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(limit)
        .all(&self.engine)
        .await
        .map_err(failed("reading the audit list"))?;
        Ok(rows.into_iter().map(audit_entry).collect())
    }

    /// The audit list before entry `before`, or from its end: newest first, at the most `limit` entries.
    pub async fn audit_before(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<AuditRow> = sql(
            "SELECT seq, at, actor, action, subject, detail, request FROM audit
             WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit)
        .all(&self.engine)
        .await
        .map_err(failed("reading the audit list"))?;
        Ok(rows.into_iter().map(audit_entry).collect())
    }
}

type AuditRow = (
    i64,
    i64,
    String,
    String,
    Option<String>,
    String,
    Option<String>,
);

fn audit_entry((seq, at, actor, action, subject, detail, request): AuditRow) -> AuditEntry {
    AuditEntry {
        seq,
        at: Timestamp::from_millis(at),
        actor,
        action,
        subject,
        detail,
        request,
    }
}

pub(super) fn user(
    (id, name, role, email, disabled, generation): UserRow,
) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(id),
        name: read_as::<UserName>(&name)?,
        role: read_as::<Role>(&role)?,
        email,
        disabled,
        generation: Generation::from_stored(generation),
    })
}

fn person(row: PersonRow) -> Result<Person, StoreError> {
    let (id, name, role, email, disabled, generation, has_password, totp, codes, open, locked) =
        row;
    Ok(Person {
        user: user((id, name, role, email, disabled, generation))?,
        has_password,
        second_factors: totp.then_some(FactorKind::Totp).into_iter().collect(),
        recovery_codes: count(codes),
        sessions: count(open),
        locked,
    })
}

/// Reads a line of [`Store::enabled_users`].
fn enabled_user(line: &str) -> Result<User, StoreError> {
    let mut parts = line.splitn(5, ' ');
    let mut part = || {
        let fault = || StoreError::Unreadable(format!("the user {line:?}"));
        parts.next().ok_or_else(fault)
    };
    Ok(User {
        id: UserId(read_as(part()?)?),
        name: read_as(part()?)?,
        role: read_as(part()?)?,
        disabled: false,
        generation: Generation::from_stored(read_as(part()?)?),
        email: Some(part()?)
            .filter(|email| !email.is_empty())
            .map(str::to_owned),
    })
}

/// Reads a line of [`Store::session_lines`].
fn session(line: &str) -> Result<SessionRecord, StoreError> {
    let name = line.split(' ').nth(2).unwrap_or_default();
    let unreadable = || StoreError::Unreadable(format!("the session {name:?}"));
    let mut parts = line.splitn(10, ' ');
    let mut part = || parts.next().ok_or_else(unreadable);
    Ok(SessionRecord {
        user: UserId(read_as(part()?)?),
        token: TokenHash(unhex(part()?).ok_or_else(unreadable)?),
        id: SessionId::parse(part()?).ok_or_else(unreadable)?,
        generation: Generation::from_stored(read_as(part()?)?),
        created: Timestamp::from_millis(read_as(part()?)?),
        last_seen: Timestamp::from_millis(read_as(part()?)?),
        address: read_as::<IpAddr>(part()?)?,
        second_factor: FactorKind::from_stored(part()?),
        // `printf` writes nothing as 0.
        good_until: Some(read_as(part()?)?)
            .filter(|&until| until != 0)
            .map(Timestamp::from_millis),
        device: part()?.to_owned(),
    })
}

/// Thirty-two bytes, as SQLite's `hex` writes them.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16);
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(bytes)
}

pub(super) fn read_as<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &str,
) -> Result<T, StoreError> {
    text.parse()
        .map_err(|fault| StoreError::Unreadable(format!("{text:?}: {fault}")))
}

fn count(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
