//! What a database from a backup begins with.

use super::user::RaiseEveryGeneration;
use super::{Change, Desk};
use crate::store::{StoreError, failed};

/// Ends every session, and makes every set-up link dead: what was ended or used after the backup was
/// made must not live again (promise 2).
#[derive(Debug)]
pub struct BeginAgain;

impl Change for BeginAgain {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        RaiseEveryGeneration.apply(desk).await?;
        sqlx::query("DELETE FROM setup_links")
            .execute(&mut *desk.connection)
            .await
            .map(drop)
            .map_err(failed("ending set-up links"))
    }
}
