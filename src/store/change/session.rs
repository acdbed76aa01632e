//! Changes of sessions.

use super::{Change, Desk, Proof};
use crate::model::{Event, SessionRecord, TokenHash};
use crate::store::feed::Subject;
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Keeps a new session, if the user is enabled and still of the generation at which the password was
/// checked; [`StoreError::Stale`] otherwise (promise 2). It ends the user's row of failed sign-ins.
#[derive(Debug)]
pub struct StartSession {
    pub record: SessionRecord,
    /// With more than these the oldest of the user end.
    pub max_per_user: usize,
    /// The session that the browser showed when it signed in; it ends.
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
    /// Sessions that ended for it: the replaced one, and the oldest over the limit.
    pub ended: Vec<TokenHash>,
}

/// Forgets one session. Harmless when it is gone already. Outcome: how many were kept of it.
#[derive(Debug)]
pub struct EndSession {
    pub token: TokenHash,
}

impl Change for StartSession {
    type Outcome = Admitted;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<Admitted, StoreError> {
        let doing = "keeping a session";
        if let Some(cookie) = &self.sign_in {
            desk.end_sign_in(cookie).await?;
        }
        insert(desk, &self.record).await?;
        if let Some((proof, event)) = self.proof {
            proof.spend(self.record.user, desk).await?;
            desk.record(&event).await?;
        }
        desk.end_the_row(self.record.user).await?;
        let replaced: Vec<(Vec<u8>,)> = match self.replaces {
            Some(token) => sql("DELETE FROM sessions WHERE token = $1 RETURNING token")
                .bind(token.0.to_vec())
                .all(desk.connection())
                .await
                .map_err(failed(doing))?,
            None => Vec::new(),
        };
        let surplus: Vec<(Vec<u8>,)> =
            sql("DELETE FROM sessions WHERE user_id = $1 AND token NOT IN (
                 SELECT token FROM sessions WHERE user_id = $1
                 ORDER BY token = $3 DESC, created DESC LIMIT $2)
             RETURNING token")
            .bind(self.record.user.0)
            .bind(i64::try_from(self.max_per_user).unwrap_or(i64::MAX))
            .bind(self.record.token.0.to_vec())
            .all(desk.connection())
            .await
            .map_err(failed(doing))?;
        let ended = replaced.into_iter().chain(surplus);
        let ended: Vec<_> = ended
            .filter_map(|(token,)| token.try_into().ok().map(TokenHash))
            .collect();
        for token in &ended {
            desk.tell(&Subject::Session(*token)).await?;
        }
        Ok(Admitted { ended })
    }
}

impl Change for EndSession {
    type Outcome = u64;

    async fn apply(self, desk: &mut Desk<'_>) -> Result<u64, StoreError> {
        let ended = sql("DELETE FROM sessions WHERE token = $1")
            .bind(self.token.0.as_slice())
            .run(desk.connection())
            .await
            .map_err(failed("ending a session"))?;
        desk.tell(&Subject::Session(self.token)).await?;
        Ok(ended)
    }
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
