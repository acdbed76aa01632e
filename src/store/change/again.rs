//! What a database begins with that came from a backup, or from a server that had not heard of all.

use super::user::RaiseEveryGeneration;
use super::{Change, Desk};
use crate::store::feed::{FeedNumber, Origin};
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
#[derive(Debug)]
pub struct BeginAnew {
    /// What was ended may live again in it: see [`BeginAgain`].
    pub ends_everything: bool,
    /// What it is known by from now on.
    pub origin: Origin,
    /// The number that the feed goes on after, if it is beyond its end.
    pub after: FeedNumber,
}

impl Change for BeginAnew {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        sql("UPDATE head SET origin = $1, seq = greatest(seq, $2)")
            .bind(self.origin.stored())
            .bind(self.after.number())
            .run(desk.connection())
            .await
            .map_err(failed("beginning the feed anew"))?;
        match self.ends_everything {
            // Tokens stay: they are the operator's, who is told, and with them a panel ends sessions.
            true => end_what_may_be_over(desk).await,
            false => Ok(()),
        }
    }
}

impl Change for BeginAgain {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        end_what_may_be_over(desk).await?;
        sql("DELETE FROM tokens")
            .run(desk.connection())
            .await
            .map(drop)
            .map_err(failed("spending tokens"))
    }
}

/// Ends what people hold: a store that has forgotten something may not know that it is over.
async fn end_what_may_be_over(desk: &mut Desk<'_>) -> Result<(), StoreError> {
    RaiseEveryGeneration.apply(desk).await?;
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
