//! What a database from a backup begins with.

use super::user::RaiseEveryGeneration;
use super::{Change, Desk};
use crate::store::{StoreError, failed};

/// Seconds of one step of a time-based code (RFC 6238 §4.1).
const STEP: u64 = 30;

/// Ends every session, and makes every set-up link dead: what was ended or used after the backup was
/// made must not live again (promise 2).
#[derive(Debug)]
pub struct BeginAgain;

impl Change for BeginAgain {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        RaiseEveryGeneration.apply(desk).await?;
        // Codes of apps up to this moment may have been used since.
        let step = i64::try_from(desk.now.unix_seconds() / STEP).unwrap_or(i64::MAX);
        sqlx::query("UPDATE totp_factors SET last_step = max(last_step, $1)")
            .bind(step)
            .execute(&mut *desk.connection)
            .await
            .map_err(failed("spending codes"))?;
        sqlx::query("DELETE FROM setup_links")
            .execute(&mut *desk.connection)
            .await
            .map(drop)
            .map_err(failed("ending set-up links"))
    }
}
