//! Sessions that nobody ended: removed from the store with the reason, in pieces, and why one has ended.

use std::collections::HashMap;

use serde_json::json;

use super::change::{Desk, ENDED_KEPT, Gone, hex};
use super::feed::Subject;
use super::read::read_as;
use super::statement::sql;
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::config::SessionLimits;
use crate::model::{EndReason, EndedSession, TokenHash};

/// A session that is over in the table of this node.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    pub token: TokenHash,
    /// `None` where somebody ended it, which is told elsewhere.
    pub ended: Option<EndedSession>,
}

/// How many are removed in one transaction, which is a handful of statements.
pub const OVER_AT_ONCE: usize = 1000;

const DOING: &str = "forgetting sessions that are over";

/// Token, user, device, when it was begun, when it was last seen and until when it was good.
type Row = (Vec<u8>, String, String, i64, i64, Option<i64>);

impl Store {
    /// Removes sessions that are over, and tells of each why: of a shared store also those that are too old
    /// or were replaced, whoever had them; but none that another node has seen since. [`OVER_AT_ONCE`]
    /// at the most, as a revocation waits for its turn meanwhile. How many it were.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; nothing is changed then.
    pub async fn forget_over(
        &self,
        over: &[Over],
        limits: &SessionLimits,
    ) -> Result<usize, StoreError> {
        let mut work = self.engine.begin().await.map_err(failed(DOING))?;
        let mut desk = Desk::new(&mut work, &self.seal, self.clock.now());
        match remove(&mut desk, over, limits).await {
            Ok(removed) => {
                work.commit().await.map_err(failed(DOING))?;
                Ok(removed)
            }
            Err(fault) => {
                work.undo().await;
                Err(fault)
            }
        }
    }

    /// Why the session of this token has ended, if it was one and that is still known.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn why_ended(
        &self,
        token: &TokenHash,
        limits: &SessionLimits,
    ) -> Result<Option<EndedSession>, StoreError> {
        let doing = failed("asking why a session ended");
        let now = self.clock.now();
        let kept: Option<(String, i64)> = sql(
            "SELECT reason, at FROM ended_sessions WHERE token = $1 AND at >= $2
             ORDER BY seq DESC LIMIT 1",
        )
        .bind(token.0.as_slice())
        .bind(now.minus(ENDED_KEPT).millis())
        .maybe(&self.engine)
        .await
        .map_err(&doing)?;
        if let Some((reason, at)) = kept {
            // A newer gateway may know reasons that this one can't put into words.
            return Ok(EndReason::from_stored(&reason).map(|reason| EndedSession {
                reason,
                at: Timestamp::from_millis(at),
            }));
        }
        // It may have run out, and wait to be removed.
        let there: Option<(i64, i64, Option<i64>)> = sql(
            "SELECT sessions.created, last_seen, good_until FROM sessions
             JOIN users ON users.id = user_id AND users.generation = sessions.generation
             WHERE token = $1",
        )
        .bind(token.0.as_slice())
        .maybe(&self.engine)
        .await
        .map_err(&doing)?;
        Ok(there.and_then(|row| by_limits(row, limits, now)))
    }
}

async fn remove(
    desk: &mut Desk<'_>,
    over: &[Over],
    limits: &SessionLimits,
) -> Result<usize, StoreError> {
    let rows = match desk.is_shared() {
        true => remove_shared(desk, over, limits).await,
        false => remove_own(desk, over).await,
    };
    let known: HashMap<_, _> = over.iter().map(|one| (one.token, one.ended)).collect();
    let mut gone = Vec::new();
    let rows = rows.map_err(failed(DOING))?;
    let removed = rows.len();
    for (token, user, device, created, last_seen, good_until) in rows {
        let unreadable = |_| StoreError::Unreadable("the token of a session".to_owned());
        let token = TokenHash(token.try_into().map_err(unreadable)?);
        let ended = match known.get(&token) {
            Some(ended) => *ended,
            None => by_limits((created, last_seen, good_until), limits, desk.now),
        };
        if let Some(EndedSession { reason, at }) = ended {
            let user = read_as(&user)?;
            gone.push(Gone {
                token,
                user,
                device,
                reason,
                at,
            });
        }
    }
    desk.tell_of_ends(&gone).await?;
    // The others may not know yet that a second factor is asked for.
    let policy = |one: &&Gone| one.reason == EndReason::SecondFactor;
    for one in gone.iter().filter(policy) {
        desk.tell(&Subject::Session(one.token)).await?;
    }
    desk.send().await?;
    Ok(removed)
}

/// Why a session with these times is over, if it is: when it was begun and last seen, and until when it was
/// good.
fn by_limits(
    (created, last_seen, good_until): (i64, i64, Option<i64>),
    limits: &SessionLimits,
    now: Timestamp,
) -> Option<EndedSession> {
    let old = Timestamp::from_millis(created).plus(limits.lifetime);
    let idle = Timestamp::from_millis(last_seen).plus(limits.idle_timeout);
    let ends = [
        (EndReason::Replaced, good_until.map(Timestamp::from_millis)),
        (EndReason::Lifetime, Some(old)),
        (EndReason::Idle, Some(idle)),
    ];
    let ends = ends
        .into_iter()
        .filter_map(|(reason, at)| Some(EndedSession { reason, at: at? }));
    ends.filter(|end| end.at <= now).min_by_key(|end| end.at)
}

/// From a store that this gateway has to itself: its table is right.
async fn remove_own(desk: &mut Desk<'_>, over: &[Over]) -> Result<Vec<Row>, sqlx::Error> {
    let tokens: Vec<_> = over.iter().map(|one| hex(&one.token)).collect();
    sql(
        "DELETE FROM sessions WHERE token IN (SELECT unhex(value) FROM json_each($1))
         RETURNING token, (SELECT name FROM users WHERE users.id = user_id), device,
             created, last_seen, good_until",
    )
    .bind(json!(tokens).to_string())
    .all(desk.connection())
    .await
}

/// From a shared store. A row that another node is changing just now is left for the next time. The
/// conditions stand twice: they are looked at once more when the row is locked.
async fn remove_shared(
    desk: &mut Desk<'_>,
    over: &[Over],
    limits: &SessionLimits,
) -> Result<Vec<Row>, sqlx::Error> {
    let (mut idle, mut outright) = (Vec::new(), Vec::new());
    for one in over {
        match one.ended {
            Some(ended) if ended.reason == EndReason::SecondFactor => {
                outright.push(one.token.0.to_vec());
            }
            Some(_) => idle.push(one.token.0.to_vec()),
            // Its row went with the revocation.
            None => {}
        }
    }
    let now = desk.now;
    sql(
        "DELETE FROM sessions USING users WHERE users.id = user_id AND token IN (
             SELECT token FROM sessions
             WHERE token IN (
                     SELECT token FROM sessions WHERE created <= $1
                     UNION SELECT token FROM sessions
                         WHERE replaced_by IS NOT NULL AND good_until <= $2
                     UNION SELECT unnest($3)
                     UNION SELECT unnest($4))
                 AND (created <= $1 OR good_until <= $2 OR token = ANY($4)
                     OR (token = ANY($3) AND last_seen <= $5))
             LIMIT $6 FOR UPDATE SKIP LOCKED)
         RETURNING token, name, device, sessions.created, last_seen, good_until",
    )
    .bind(now.minus(limits.lifetime).millis())
    .bind(now.millis())
    .bind(idle)
    .bind(outright)
    .bind(now.minus(limits.idle_timeout).millis())
    .bind(i64::try_from(OVER_AT_ONCE).unwrap_or(i64::MAX))
    .all(desk.connection())
    .await
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::tests::{event, session, with_ada};
    use super::*;
    use crate::model::{Action, Event, UserId};
    use crate::store::change::{EndSession, RaiseEveryGeneration, RaiseGeneration};

    const LIMITS: SessionLimits = SessionLimits {
        idle_timeout: Duration::from_secs(60),
        lifetime: Duration::from_secs(300),
        max_per_user: 3,
    };

    /// Far from every limit, for rows that nobody asks the limits of.
    const LONG: SessionLimits = SessionLimits {
        idle_timeout: Duration::from_secs(1_000_000_000),
        lifetime: Duration::from_secs(1_000_000_000),
        max_per_user: 3,
    };

    fn over(token: TokenHash, reason: EndReason, at: Timestamp) -> Over {
        Over {
            token,
            ended: Some(EndedSession { reason, at }),
        }
    }

    async fn reason_of(store: &Store, token: u8) -> Option<EndReason> {
        let why = store.why_ended(&TokenHash([token; 32]), &LONG).await;
        why.unwrap().map(|ended| ended.reason)
    }

    async fn begin(store: &Store, user: UserId, generation: i64, token: u8) {
        let start = session(user, generation, token);
        store.commit(start, event()).await.unwrap();
    }

    async fn told(store: &Store) -> Vec<(String, String, Option<String>)> {
        let all = store.audit(0, 100).await.unwrap().into_iter();
        let told = all.filter(|entry| entry.action == "session-ended");
        told.map(|entry| (entry.actor, entry.detail, entry.subject))
            .collect()
    }

    async fn rows(store: &Store) -> i64 {
        let rows = sql("SELECT count(*) FROM ended_sessions");
        let (rows,): (i64,) = rows.one(&store.engine).await.unwrap();
        rows
    }

    #[tokio::test]
    async fn the_oldest_over_the_limit_is_told_of_where_it_is_removed() {
        let (_folder, store, ada) = with_ada().await;
        for token in 1..=4 {
            begin(&store, ada, 1, token).await;
        }
        let clause = EndReason::TooMany.clause();
        let detail = format!("Firefox on Linux: because {clause}");
        let ada = Some("ada".to_owned());
        assert_eq!(told(&store).await, [("gateway".to_owned(), detail, ada)]);
        assert_eq!(reason_of(&store, 1).await, Some(EndReason::TooMany));
        for live_or_unknown in [2, 3, 4, 99] {
            assert_eq!(reason_of(&store, live_or_unknown).await, None);
        }
    }

    #[tokio::test]
    async fn what_somebody_ended_has_the_reason_of_the_act_and_one_entry() {
        let (_folder, store, ada) = with_ada().await;
        begin(&store, ada, 1, 1).await;
        begin(&store, ada, 1, 2).await;
        let by = |action| Event { action, ..event() };
        let token = TokenHash([1; 32]);
        let act = by(Action::SessionEnded);
        store.commit(EndSession { token }, act).await.unwrap();
        assert_eq!(reason_of(&store, 1).await, Some(EndReason::One));
        let raise = RaiseGeneration { user: ada };
        let act = by(Action::PasswordChangedElsewhere);
        let raised = store.commit(raise, act).await.unwrap();
        assert_eq!(raised.outcome().sessions, 1);
        assert_eq!(reason_of(&store, 2).await, Some(EndReason::Password));
        begin(&store, ada, 2, 3).await;
        let act = by(Action::StoreRestored);
        let everybody = store.commit(RaiseEveryGeneration, act).await.unwrap();
        assert_eq!(everybody.outcome().sessions, 1);
        assert_eq!(reason_of(&store, 3).await, Some(EndReason::Restored));
        assert_eq!(told(&store).await.len(), 1, "the act itself");
    }

    #[tokio::test]
    async fn a_row_is_told_of_once_whoever_comes_first() {
        let (_folder, store, ada) = with_ada().await;
        begin(&store, ada, 1, 1).await;
        begin(&store, ada, 1, 2).await;
        let at = store.clock().now();
        let all = [1, 2].map(|token| over(TokenHash([token; 32]), EndReason::Idle, at));
        for _ in 0..2 {
            store.forget_over(&all, &LONG).await.unwrap();
        }
        let unknown = Over {
            token: TokenHash([3; 32]),
            ended: None,
        };
        store.forget_over(&[unknown], &LONG).await.unwrap();
        let told = told(&store).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].1.starts_with("2 sessions, each because"),
            "{told:?}"
        );
        let kept = sql("SELECT token FROM ended_sessions");
        let kept: Vec<(Vec<u8>,)> = kept.all(&store.engine).await.unwrap();
        assert_eq!(kept.len(), 2);
    }

    #[tokio::test]
    async fn what_ran_out_and_waits_to_be_removed_is_told_by_the_limits() {
        let (_folder, store, ada) = with_ada().await;
        let now = store.clock().now();
        for (token, age) in [(1, 400), (2, 100), (3, 10)] {
            let mut start = session(ada, 1, token);
            start.record.created = now.minus(Duration::from_secs(age));
            start.record.last_seen = start.record.created;
            store.commit(start, event()).await.unwrap();
        }
        let mut found = Vec::new();
        for token in 1..=3 {
            let why = store.why_ended(&TokenHash([token; 32]), &LIMITS).await;
            found.push(
                why.unwrap()
                    .map(|ended| (ended.reason, now.since(ended.at).as_secs())),
            );
        }
        let idle = |seconds| Some((EndReason::Idle, seconds));
        assert_eq!(found, [idle(340), idle(40), None]);
    }

    #[tokio::test]
    async fn ten_thousand_run_out_in_a_few_statements_and_the_latest_are_known() {
        let (_folder, store, ada) = with_ada().await;
        let fill =
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)
             INSERT INTO sessions
                 (token, id, user_id, generation, created, last_seen, address, device)
             SELECT unhex(printf('%064x', i)), 'id' || i, $1, 1, i, i, '192.0.2.1', 'curl' FROM n";
        sql(fill)
            .bind(ada.0)
            .run(store.engine.writer())
            .await
            .unwrap();
        // More than are kept were there before.
        let before =
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 45000)
             INSERT INTO ended_sessions (token, reason, at)
             SELECT unhex(printf('%064x', i + 100000)), 'idle', $1 FROM n";
        let now = store.clock().now();
        sql(before)
            .bind(now.millis())
            .run(store.engine.writer())
            .await
            .unwrap();
        let token = |number: u32| {
            let mut hash = [0; 32];
            hash[28..].copy_from_slice(&number.to_be_bytes());
            TokenHash(hash)
        };
        let all: Vec<_> = (1..=10_000)
            .map(|number| over(token(number), EndReason::Lifetime, now))
            .collect();
        let begun = Instant::now();
        for piece in all.chunks(1000) {
            store.forget_over(piece, &LONG).await.unwrap();
        }
        println!("10,000 sessions ran out in {:?}", begun.elapsed());
        let why = async |number| store.why_ended(&token(number), &LONG).await.unwrap();
        for number in [1, 5000, 10_000, 100_000 + 45_000] {
            assert!(why(number).await.is_some(), "{number}");
        }
        for forgotten in [100_001, 100_000 + 4_000] {
            assert!(why(forgotten).await.is_none(), "{forgotten}");
        }
        assert_eq!(rows(&store).await, 50_000);
        assert_eq!(told(&store).await.len(), 10, "one for each transaction");
        // What is too old is said no more, and goes with the next one.
        let old = now.minus(ENDED_KEPT).minus(Duration::from_secs(1));
        sql("UPDATE ended_sessions SET at = $1")
            .bind(old.millis())
            .run(store.engine.writer())
            .await
            .unwrap();
        assert!(why(10_000).await.is_none());
        begin(&store, ada, 1, 200).await;
        let last = over(TokenHash([200; 32]), EndReason::Idle, now);
        store.forget_over(&[last], &LONG).await.unwrap();
        assert_eq!(rows(&store).await, 1);
    }
}
