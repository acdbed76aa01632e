//! What is kept of sessions that have ended, in the transaction that removes them: why, for the browsers
//! that had them, and the entry of the audit list where no act tells of it.

use std::time::Duration;

use serde_json::json;

use super::Desk;
use crate::clock::Timestamp;
use crate::model::{Action, Actor, EndReason, Event, TokenHash, UserId, UserName};
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// How long it is known why a session has ended: from a Friday over a week off.
pub const ENDED_KEPT: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// Of how many sessions; the latest. Some six megabytes.
const MOST: i64 = 50_000;

/// Of how many where everybody's end at once: those that were used last.
const MOST_OF_EVERYBODY: i64 = 10_000;

/// How many devices an entry of the audit list names.
const NAMED: usize = 5;

const DOING: &str = "keeping why sessions ended";

/// A session that was just removed, which no act tells of.
#[derive(Debug)]
pub(in crate::store) struct Gone {
    pub(in crate::store) token: TokenHash,
    pub(in crate::store) user: UserName,
    pub(in crate::store) device: String,
    pub(in crate::store) reason: EndReason,
    pub(in crate::store) at: Timestamp,
}

/// Removes sessions and keeps why: the text for SQLite, where [`Desk::keep_why`] has to follow, and the
/// one for PostgreSQL, which is one way there and back. `$1` belongs to the condition.
macro_rules! removal {
    ($condition:literal) => {
        (
            concat!(
                "DELETE FROM sessions WHERE ",
                $condition,
                " RETURNING token"
            ),
            concat!(
                "WITH gone AS (DELETE FROM sessions WHERE ",
                $condition,
                " RETURNING token),
                 kept AS (INSERT INTO ended_sessions (token, reason, at)
                     SELECT token, $2, $3 FROM gone),
                 trimmed AS (DELETE FROM ended_sessions WHERE at < $4
                     OR seq <= (SELECT max(seq) FROM ended_sessions) - $5)
                 SELECT token FROM gone"
            ),
        )
    };
}

impl Desk<'_> {
    /// Removes the sessions of a user; how many there were.
    pub(super) async fn end_sessions_of(&mut self, user: UserId) -> Result<u64, StoreError> {
        let removed = self.remove(removal!("user_id = $1"), user.0).await?;
        Ok(u64::try_from(removed.len()).unwrap_or(u64::MAX))
    }

    /// Removes a session with those that it has replaced or that replaced it; which there were.
    pub(super) async fn end_with_its_chain(
        &mut self,
        token: TokenHash,
    ) -> Result<Vec<TokenHash>, StoreError> {
        let texts = removal!(
            "token = $1 OR replaced_by = $1
             OR token IN (SELECT replaced_by FROM sessions WHERE token = $1)
             OR replaced_by IN (SELECT replaced_by FROM sessions WHERE token = $1)"
        );
        self.remove(texts, token.0.as_slice()).await
    }

    async fn remove(
        &mut self,
        (for_sqlite, for_postgres): (&'static str, &'static str),
        subject: impl Into<crate::store::statement::Value>,
    ) -> Result<Vec<TokenHash>, StoreError> {
        let doing = "ending sessions";
        if self.is_shared() {
            let rows = sql(for_postgres)
                .bind(subject)
                .bind(self.reason.as_str())
                .bind(self.now.millis())
                .bind(self.now.minus(ENDED_KEPT).millis())
                .bind(MOST)
                .all(self.connection())
                .await;
            return rows.map(tokens).map_err(failed(doing));
        }
        let rows = sql(for_sqlite)
            .bind(subject)
            .all(self.connection())
            .await
            .map_err(failed(doing))?;
        let removed = tokens(rows);
        let (reason, now) = (self.reason, self.now);
        let why = removed.iter().map(|token| (*token, reason, now));
        self.keep_why(&why.collect::<Vec<_>>()).await?;
        Ok(removed)
    }

    /// Removes everybody's sessions; how many there were.
    pub(super) async fn end_every_session(&mut self) -> Result<u64, StoreError> {
        sql("INSERT INTO ended_sessions (token, reason, at)
             SELECT token, $1, $2 FROM sessions ORDER BY last_seen DESC LIMIT $3")
        .bind(self.reason.as_str())
        .bind(self.now.millis())
        .bind(MOST_OF_EVERYBODY)
        .run(self.connection())
        .await
        .map_err(failed(DOING))?;
        self.trim().await?;
        sql("DELETE FROM sessions")
            .run(self.connection())
            .await
            .map_err(failed("ending every session"))
    }

    /// Keeps why each of these sessions has ended, and when.
    pub(super) async fn keep_why(
        &mut self,
        ended: &[(TokenHash, EndReason, Timestamp)],
    ) -> Result<(), StoreError> {
        if ended.is_empty() {
            return Ok(());
        }
        let statement = if self.is_shared() {
            let tokens: Vec<_> = ended.iter().map(|(token, ..)| token.0.to_vec()).collect();
            let reasons: Vec<_> = ended
                .iter()
                .map(|(_, why, _)| why.as_str().to_owned())
                .collect();
            let times: Vec<_> = ended.iter().map(|(.., at)| at.millis()).collect();
            sql("INSERT INTO ended_sessions (token, reason, at)
                 SELECT token, reason, at FROM unnest($1, $2, $3) AS new (token, reason, at)")
            .bind(tokens)
            .bind(reasons)
            .bind(times)
        } else {
            // SQLite has no lists, but it reads them.
            let rows = ended.iter();
            let rows = rows.map(|(token, why, at)| json!([hex(token), why.as_str(), at.millis()]));
            sql("INSERT INTO ended_sessions (token, reason, at)
                 SELECT unhex(value ->> 0), value ->> 1, value ->> 2 FROM json_each($1)")
            .bind(json!(rows.collect::<Vec<_>>()).to_string())
        };
        statement
            .run(self.connection())
            .await
            .map_err(failed(DOING))?;
        self.trim().await
    }

    /// Keeps why these sessions have ended, and writes it to the audit list: one entry for all of a user
    /// that ended for the same reason.
    pub(in crate::store) async fn tell_of_ends(&mut self, gone: &[Gone]) -> Result<(), StoreError> {
        let why = gone.iter().map(|one| (one.token, one.reason, one.at));
        self.keep_why(&why.collect::<Vec<_>>()).await?;
        self.record_all(&entries(gone)).await
    }

    async fn trim(&mut self) -> Result<(), StoreError> {
        sql("DELETE FROM ended_sessions WHERE at < $1
             OR seq <= (SELECT max(seq) FROM ended_sessions) - $2")
        .bind(self.now.minus(ENDED_KEPT).millis())
        .bind(MOST)
        .run(self.connection())
        .await
        .map(drop)
        .map_err(failed(DOING))
    }
}

fn entries(gone: &[Gone]) -> Vec<Event> {
    let mut groups: Vec<(&UserName, EndReason, Vec<&str>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for one in gone {
        let place = *places
            .entry((&one.user, one.reason))
            .or_insert_with(|| groups.len());
        match groups.get_mut(place) {
            Some((.., devices)) => devices.push(&one.device),
            None => groups.push((&one.user, one.reason, vec![&one.device])),
        }
    }
    let entry = |(user, reason, devices): (&UserName, EndReason, Vec<&str>)| {
        let named = devices.iter().take(NAMED).copied().collect::<Vec<_>>();
        let more = match devices.len() - named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (named, clause) = (named.join(", "), reason.clause());
        let detail = match devices.len() {
            1 => format!("{named}: because {clause}"),
            many => format!("{many} sessions, each because {clause}: {named}{more}"),
        };
        Event::about(Actor::Gateway, Action::SessionEnded, user).detail(detail)
    };
    groups.into_iter().map(entry).collect()
}

pub(in crate::store) fn tokens(rows: Vec<(Vec<u8>,)>) -> Vec<TokenHash> {
    rows.into_iter()
        .filter_map(|(token,)| token.try_into().ok().map(TokenHash))
        .collect()
}

/// As `unhex` of SQLite reads it.
pub(in crate::store) fn hex(token: &TokenHash) -> String {
    use std::fmt::Write;
    token.0.iter().fold(String::new(), |mut text, byte| {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(user: &str, reason: EndReason, device: &str) -> Gone {
        Gone {
            token: TokenHash([0; 32]),
            user: UserName::parse(user).unwrap(),
            device: device.to_owned(),
            reason,
            at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn many_sessions_of_a_user_are_one_entry_for_each_reason() {
        let mut all = vec![
            gone("bob", EndReason::Idle, "curl"),
            gone("ada", EndReason::Lifetime, "Firefox on Linux"),
        ];
        all.extend((0..7).map(|_| gone("ada", EndReason::Idle, "Safari on iOS")));
        all.push(gone("bob", EndReason::Idle, "Chrome on Windows"));
        let told: Vec<_> = entries(&all)
            .into_iter()
            .map(|event| (event.subject.unwrap().to_string(), event.detail))
            .collect();
        let idle = "each because it was not used for too long";
        let phones = ["Safari on iOS"; 5].join(", ");
        assert_eq!(
            told,
            [
                (
                    "bob".to_owned(),
                    format!("2 sessions, {idle}: curl, Chrome on Windows")
                ),
                (
                    "ada".to_owned(),
                    "Firefox on Linux: because it had reached the greatest age that a session may have"
                        .to_owned()
                ),
                (
                    "ada".to_owned(),
                    format!("7 sessions, {idle}: {phones} and 2 more")
                ),
            ]
        );
    }
}
