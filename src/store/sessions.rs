//! Sessions as they are kept: brought into a node's table when they are asked for, and when they were
//! last seen.

use std::net::IpAddr;

use super::feed::Line;
use super::read::{read_as, user};
use super::statement::sql;
use super::{Engine, Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::{FactorKind, Generation, SessionId, SessionRecord, TokenHash, User, UserId};

/// Which sessions are asked for.
#[derive(Debug, Clone)]
pub enum Wanted {
    Tokens(Vec<TokenHash>),
    User(UserId),
    Id(SessionId),
    /// The first so many after this token, or from the beginning.
    After(Option<TokenHash>, u32),
}

type Row = (
    i64,
    String,
    String,
    Option<String>,
    bool,
    i64,
    Vec<u8>,
    String,
    i64,
    i64,
    String,
    String,
    Option<String>,
    Option<i64>,
);

/// What a session is read from, with its user. A macro, since a statement has to be one literal.
macro_rules! sessions_where {
    ($condition:literal) => {
        concat!(
            "SELECT users.id, name, role, email, disabled, users.generation, token, sessions.id,
                    sessions.created, last_seen, address, device, second_factor, good_until
             FROM sessions JOIN users ON users.id = user_id
                 AND users.generation = sessions.generation AND NOT disabled WHERE ",
            $condition
        )
    };
}

impl Line {
    /// Those of the sessions that live in the store: of an enabled user, and of the user's generation.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Unreadable`]
    pub async fn sessions(
        &mut self,
        wanted: &Wanted,
    ) -> Result<Vec<(SessionRecord, User)>, StoreError> {
        let statement = match wanted {
            Wanted::Tokens(tokens) => {
                let tokens: Vec<_> = tokens.iter().map(|token| token.0.to_vec()).collect();
                sql(sessions_where!("token = ANY($1)")).bind(tokens)
            }
            Wanted::User(user) => sql(sessions_where!("user_id = $1")).bind(user.0),
            Wanted::Id(id) => sql(sessions_where!("sessions.id = $1")).bind(id.to_string()),
            Wanted::After(token, most) => {
                let after = token.map_or(Vec::new(), |token| token.0.to_vec());
                sql(sessions_where!("token > $1 ORDER BY token LIMIT $2"))
                    .bind(after)
                    .bind(*most)
            }
        };
        let rows: Vec<Row> = statement
            .all(&mut self.connection)
            .await
            .map_err(failed("bringing sessions from the store"))?;
        rows.into_iter().map(session).collect()
    }
}

impl Store {
    /// Writes when sessions were last seen.
    ///
    /// Only what still has its generation is written: a session that was ended meanwhile stays ended
    /// (CVE-2025-32441).
    ///
    /// # Errors
    /// [`StoreError::Failed`]; nothing is changed then.
    pub async fn note_seen(
        &self,
        seen: &[(TokenHash, Generation, Timestamp)],
    ) -> Result<(), StoreError> {
        let doing = "writing when sessions were last seen";
        if let Engine::Postgres(_) = &self.engine {
            return self.note_seen_shared(seen).await.map_err(failed(doing));
        }
        let mut work = self.engine.begin().await.map_err(failed(doing))?;
        for (token, generation, at) in seen {
            sql("UPDATE sessions SET last_seen = $3 WHERE token = $1 AND generation = $2")
                .bind(token.0.as_slice())
                .bind(generation.number())
                .bind(at.millis())
                .run(&mut work)
                .await
                .map_err(failed(doing))?;
        }
        work.commit().await.map_err(failed(doing))
    }

    /// Another node may have seen a session later. A row that somebody else is changing just now is
    /// left for the next time: nobody waits here while he holds another, and a revocation never waits
    /// for this.
    async fn note_seen_shared(
        &self,
        seen: &[(TokenHash, Generation, Timestamp)],
    ) -> Result<(), sqlx::Error> {
        let tokens: Vec<_> = seen.iter().map(|(token, ..)| token.0.to_vec()).collect();
        let generations: Vec<_> = seen.iter().map(|(_, one, _)| one.number()).collect();
        let times: Vec<_> = seen.iter().map(|(.., at)| at.millis()).collect();
        sql(
            "WITH free AS (SELECT token FROM sessions WHERE token = ANY($1) FOR UPDATE SKIP LOCKED)
             UPDATE sessions SET last_seen = new.at
             FROM unnest($1, $2, $3) AS new (token, generation, at), free
             WHERE sessions.token = new.token AND free.token = new.token
                 AND sessions.generation = new.generation AND sessions.last_seen < new.at",
        )
        .bind(tokens)
        .bind(generations)
        .bind(times)
        .run(self.engine.writer())
        .await
        .map(drop)
    }
}

fn session(row: Row) -> Result<(SessionRecord, User), StoreError> {
    let (id, name, role, email, disabled, generation, token, public, created, last_seen, ..) = row;
    let (.., address, device, second_factor, good_until) = row;
    let unreadable = || StoreError::Unreadable(format!("the session {public:?}"));
    let user = user((id, name, role, email, disabled, generation))?;
    let record = SessionRecord {
        token: TokenHash(token.try_into().map_err(|_| unreadable())?),
        id: SessionId::parse(&public).ok_or_else(unreadable)?,
        user: user.id,
        generation: user.generation,
        created: Timestamp::from_millis(created),
        last_seen: Timestamp::from_millis(last_seen),
        address: read_as::<IpAddr>(&address)?,
        device,
        second_factor: second_factor.as_deref().and_then(FactorKind::from_stored),
        good_until: good_until.map(Timestamp::from_millis),
    };
    Ok((record, user))
}
