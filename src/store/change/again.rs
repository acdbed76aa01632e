//! What a database begins with that came from a backup, or from a server that had not heard of all.

use super::user::raise_everybody;
use super::{Change, Desk};
use crate::store::feed::{FeedNumber, Subject};
use crate::store::origin::{Home, Origin, here};
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Seconds of one step of a time-based code (RFC 6238 §4.1).
const STEP: u64 = 30;

/// Ends everything that may have been ended or used after a backup was made, which must not live again
/// (promise 2): sessions, half sign-ins, set-up links, codes of apps, recovery codes and management
/// tokens.
#[derive(Debug)]
pub struct BeginAgain;

/// Begins the feed of a shared store anew, where the store is another one than it was.
/// [`StoreError::Stale`] if it is not, or not any more, as it was seen.
#[derive(Debug)]
pub struct BeginAnew {
    /// What was ended may live again in it: see [`BeginAgain`].
    pub ends_everything: bool,
    /// The store as it was seen.
    pub home: Home,
    /// The last number of the feed in it.
    pub head: FeedNumber,
    /// The number that the feed goes on after, if it is beyond its end.
    pub after: FeedNumber,
}

impl Change for BeginAnew {
    type Outcome = ();

    fn begins_anew(&self) -> bool {
        true
    }

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        // It may have been begun by another gateway meanwhile, or this connection lead elsewhere.
        let begun = sql(concat!(
            "UPDATE head SET origin = $1, seq = greatest(seq, $2)
             WHERE origin = $3 AND seq = $4 AND $1 = ",
            here!()
        ))
        .bind(self.home.here.as_str())
        .bind(self.after.number())
        .bind(self.home.begun.as_ref().map_or("", Origin::as_str))
        .bind(self.head.number())
        .run(desk.connection())
        .await
        .map_err(failed("beginning the feed anew"))?;
        if begun == 0 {
            return Err(StoreError::Stale);
        }
        if self.ends_everything {
            leave_generations_out(desk).await?;
            // Management tokens stay: they do not hang on anybody's generation, and by them a panel ends
            // sessions. The operator is told to look at them.
            end_what_may_be_over(desk, &Subject::BegunAnew).await?;
        }
        Ok(())
    }
}

impl Change for BeginAgain {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        end_what_may_be_over(desk, &Subject::Everybody).await?;
        sql("DELETE FROM tokens")
            .run(desk.connection())
            .await
            .map(drop)
            .map_err(failed("spending tokens"))
    }
}

/// Gives everybody a generation that no session has had which the store has forgotten: a node may still know
/// of it, and of a generation that would be given again. Those came one by one, and never a thousand of one
/// user in a second, so the milliseconds since 1970 are beyond them all.
async fn leave_generations_out(desk: &mut Desk<'_>) -> Result<(), StoreError> {
    sql("UPDATE users SET generation = greatest(generation, $1)")
        .bind(desk.now.millis())
        .run(desk.connection())
        .await
        .map(drop)
        .map_err(failed("leaving generations out"))
}

/// Ends what people hold: a store that has forgotten something may not know that it is over.
async fn end_what_may_be_over(desk: &mut Desk<'_>, told: &Subject) -> Result<(), StoreError> {
    raise_everybody(desk, told).await?;
    // Codes of apps up to this moment may have been used since.
    let step = i64::try_from(desk.now.unix_seconds() / STEP).unwrap_or(i64::MAX);
    sql("UPDATE totp_factors SET last_step = $1 WHERE last_step < $1")
        .bind(step)
        .run(desk.connection())
        .await
        .map_err(failed("spending codes"))?;
    for statement in [
        "DELETE FROM recovery_codes",
        "DELETE FROM setup_links",
        "DELETE FROM sign_ins",
    ] {
        sql(statement)
            .run(desk.connection())
            .await
            .map_err(failed("ending what was under way"))?;
    }
    Ok(())
}
