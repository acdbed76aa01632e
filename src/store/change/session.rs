//! Changes of sessions.

use std::time::Duration;

use super::ended::tokens;
use super::{Change, Desk, Gone, Proof};
use crate::clock::Timestamp;
use crate::model::{EndReason, Event, SessionRecord, TokenHash, UserId};
use crate::store::feed::Subject;
use crate::store::read::read_as;
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Keeps a new session, if the user is enabled and still of the generation at which the password was
/// checked; [`StoreError::Stale`] otherwise (promise 2). It ends the user's row of failed sign-ins.
#[derive(Debug)]
pub struct StartSession {
    pub record: SessionRecord,
    /// With more than these the oldest of the user end.
    pub max_per_user: usize,
    /// The session that the browser showed when it signed in. Another user's ends; one of this user stays
    /// good for [`GRACE`], for the requests that the browser has sent already.
    pub replaces: Option<TokenHash>,
    /// SHA-256 of the cookie of the sign-in that was under way, and is over with this;
    /// [`StoreError::SignInOver`] when it is over already.
    pub sign_in: Option<[u8; 32]>,
    /// The second factor that was shown, which is spent by this, and the event that tells of it.
    pub proof: Option<(Proof, Event)>,
}

/// A session was kept.
#[derive(Debug)]
pub struct Admitted {
    /// Sessions that ended for it: another user's in the same browser, and the oldest over the limit.
    pub ended: Vec<TokenHash>,
    /// Those that it has replaced, and until when they are good.
    pub replaced: Vec<(TokenHash, Timestamp)>,
}

/// How long a replaced session stays good.
pub const GRACE: Duration = Duration::from_secs(10);

/// Forgets one session, with those that it has replaced or that replaced it: they are one sign-in to the
/// person who ends it. Harmless when they are gone already. Outcome: the sessions that were there.
#[derive(Debug)]
pub struct EndSession {
    pub token: TokenHash,
}

/// Ends the sessions of a user, or of everybody, that were begun up to a moment: those that were ended
/// in memory when the store could not write it. What was begun later lives on.
#[derive(Debug)]
pub struct EndSessionsBegunBy {
    /// `None` for everybody's.
    pub user: Option<UserId>,
    pub at: Timestamp,
}

impl Change for EndSessionsBegunBy {
    type Outcome = u64;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<u64, StoreError> {
        let rows = sql("DELETE FROM sessions
             WHERE user_id = coalesce($1, user_id) AND created <= $2 RETURNING token")
        .bind(self.user.map(|user| user.0))
        .bind(self.at.millis())
        .all(desk.connection())
        .await
        .map_err(failed("ending sessions that were ended in memory"))?;
        let ended = tokens(rows);
        let (reason, at) = (desk.reason, self.at);
        let why = ended.iter().map(|token| (*token, reason, at));
        desk.keep_why(&why.collect::<Vec<_>>()).await?;
        for token in &ended {
            desk.tell(&Subject::Session(*token)).await?;
        }
        Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
    }
}

impl Change for StartSession {
    type Outcome = Admitted;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Admitted, StoreError> {
        if let Some(cookie) = &self.sign_in {
            desk.end_sign_in(cookie).await?;
        }
        insert(desk, &self.record).await?;
        if let Some((proof, event)) = self.proof {
            proof.spend(self.record.user, desk).await?;
            desk.record(&event).await?;
        }
        desk.end_the_row(self.record.user).await?;
        let mut replaced = Vec::new();
        let mut gone = Vec::new();
        if let Some(token) = self.replaces {
            replaced = replace(desk, token, &self.record).await?;
            gone = end_of_another(desk, token, &self.record).await?;
        }
        gone.extend(end_surplus(desk, &self.record, self.max_per_user).await?);
        desk.tell_of_ends(&gone).await?;
        let ended: Vec<_> = gone.into_iter().map(|one| one.token).collect();
        for token in &ended {
            desk.tell(&Subject::Session(*token)).await?;
        }
        for (token, until) in &replaced {
            desk.tell(&Subject::Replaced(*token, *until)).await?;
        }
        Ok(Admitted { ended, replaced })
    }
}

impl Change for EndSession {
    type Outcome = Vec<TokenHash>;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Vec<TokenHash>, StoreError> {
        let ended = desk.end_with_its_chain(self.token).await?;
        // Said also of one that is gone: a node may have missed that.
        let others = ended.iter().filter(|token| **token != self.token);
        for token in others.chain([&self.token]) {
            desk.tell(&Subject::Session(*token)).await?;
        }
        Ok(ended)
    }
}

/// Lets the replaced session of the same user end soon, and with it what that one has replaced.
async fn replace(
    desk: &mut Desk<'_>,
    old: TokenHash,
    new: &SessionRecord,
) -> Result<Vec<(TokenHash, Timestamp)>, StoreError> {
    let until = desk.now.plus(GRACE);
    let rows: Vec<(Vec<u8>, i64)> = sql("UPDATE sessions
         SET replaced_by = $3, good_until = CASE WHEN good_until < $4 THEN good_until ELSE $4 END
         WHERE (token = $1 OR replaced_by = $1) AND user_id = $2 RETURNING token, good_until")
    .bind(old.0.as_slice())
    .bind(new.user.0)
    .bind(new.token.0.as_slice())
    .bind(until.millis())
    .all(desk.connection())
    .await
    .map_err(failed("replacing a session"))?;
    let replaced = rows.into_iter().filter_map(|(token, until)| {
        let token = token.try_into().ok().map(TokenHash)?;
        Some((token, Timestamp::from_millis(until)))
    });
    Ok(replaced.collect())
}

/// Ends the session of another user whose browser this is no longer.
async fn end_of_another(
    desk: &mut Desk<'_>,
    old: TokenHash,
    new: &SessionRecord,
) -> Result<Vec<Gone>, StoreError> {
    let rows = sql(
        "DELETE FROM sessions WHERE (token = $1 OR replaced_by = $1) AND user_id <> $2
         RETURNING token, (SELECT name FROM users WHERE users.id = user_id), device",
    )
    .bind(old.0.as_slice())
    .bind(new.user.0)
    .all(desk.connection())
    .await
    .map_err(failed("replacing a session"))?;
    gone(rows, EndReason::OtherUser, desk.now)
}

/// Ends the oldest sessions beyond `most`, with what they have replaced.
async fn end_surplus(
    desk: &mut Desk<'_>,
    new: &SessionRecord,
    most: usize,
) -> Result<Vec<Gone>, StoreError> {
    let rows = sql(
        "DELETE FROM sessions WHERE user_id = $1 AND coalesce(replaced_by, token) NOT IN (
             SELECT token FROM sessions WHERE user_id = $1 AND replaced_by IS NULL
             ORDER BY token = $3 DESC, created DESC LIMIT $2)
         RETURNING token, (SELECT name FROM users WHERE users.id = user_id), device",
    )
    .bind(new.user.0)
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .bind(new.token.0.as_slice())
    .all(desk.connection())
    .await
    .map_err(failed("keeping a session"))?;
    gone(rows, EndReason::TooMany, desk.now)
}

fn gone(
    rows: Vec<(Vec<u8>, String, String)>,
    reason: EndReason,
    at: Timestamp,
) -> Result<Vec<Gone>, StoreError> {
    let gone = rows.into_iter().map(|(token, user, device)| {
        let unreadable = |_| StoreError::Unreadable("the token of a session".to_owned());
        Ok(Gone {
            token: TokenHash(token.try_into().map_err(unreadable)?),
            user: read_as(&user)?,
            device,
            reason,
            at,
        })
    });
    gone.collect()
}

async fn insert(desk: &mut Desk<'_>, record: &SessionRecord) -> Result<(), StoreError> {
    let kept = sql("INSERT INTO sessions
             (token, id, user_id, generation, created, last_seen, address, device, second_factor)
         SELECT $1, $2, id, generation, $5, $6, $7, $8, $9 FROM users
         WHERE id = $3 AND generation = $4 AND NOT disabled")
    .bind(record.token.0.as_slice())
    .bind(record.id.to_string())
    .bind(record.user.0)
    .bind(record.generation.number())
    .bind(record.created.millis())
    .bind(record.last_seen.millis())
    .bind(record.address.to_string())
    .bind(&record.device)
    .bind(record.second_factor.map(|kind| kind.as_str()))
    .run(desk.connection())
    .await
    .map_err(failed("keeping a session"))?;
    match kept {
        1 => Ok(()),
        _ => Err(StoreError::Stale),
    }
}
