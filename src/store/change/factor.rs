//! Changes of second factors. Each code counts once: the statement that spends it decides.

use super::{Change, Desk};
use crate::model::{Generation, UserId};
use crate::secret::Secret;
use crate::store::{StoreError, failed};

/// Takes a TOTP step, and with it every earlier one (RFC 6238 §5.2). [`StoreError::CodeSpent`] if
/// this step or a later one has been taken.
#[derive(Debug)]
pub struct SpendTotpStep {
    pub user: UserId,
    pub step: i64,
}

/// Takes a recovery code. [`StoreError::CodeSpent`] if the user has none of this hash.
#[derive(Debug)]
pub struct SpendRecoveryCode {
    pub user: UserId,
    pub hash: [u8; 32],
}

/// Adds the first second factor with its recovery codes. [`StoreError::Stale`] if the generation has
/// moved on, [`StoreError::FactorExists`] if there is one already.
#[derive(Debug)]
pub struct EnrolTotp {
    pub user: UserId,
    pub generation: Generation,
    pub secret: Secret<Vec<u8>>,
    /// The step whose code proved that the app has the secret; it is spent by this.
    pub step: i64,
    pub recovery_codes: Vec<[u8; 32]>,
}

impl Change for SpendTotpStep {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let spent = sqlx::query(
            "UPDATE totp_factors SET last_step = $2 WHERE user_id = $1 AND last_step < $2",
        )
        .bind(self.user.0)
        .bind(self.step)
        .execute(&mut *desk.connection)
        .await
        .map_err(failed("spending a code"))?;
        match spent.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::CodeSpent),
        }
    }
}

impl Change for SpendRecoveryCode {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let spent = sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2")
            .bind(self.user.0)
            .bind(self.hash.as_slice())
            .execute(&mut *desk.connection)
            .await
            .map_err(failed("spending a recovery code"))?;
        match spent.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::CodeSpent),
        }
    }
}

impl Change for EnrolTotp {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let doing = "enrolling a second factor";
        let sealed = desk
            .seal
            .seal(&totp_place(self.user), self.secret.expose())?;
        let enrolled = sqlx::query(
            "INSERT INTO totp_factors (user_id, secret, last_step)
             SELECT id, $3, $4 FROM users WHERE id = $1 AND generation = $2 AND disabled = 0",
        )
        .bind(self.user.0)
        .bind(self.generation.number())
        .bind(sealed)
        .bind(self.step)
        .execute(&mut *desk.connection)
        .await;
        match enrolled {
            Ok(done) if done.rows_affected() == 1 => {}
            Ok(_) => return Err(StoreError::Stale),
            Err(cause) if is_unique_violation(&cause) => return Err(StoreError::FactorExists),
            Err(cause) => return Err(failed(doing)(cause)),
        }
        for hash in &self.recovery_codes {
            sqlx::query("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)")
                .bind(self.user.0)
                .bind(hash.as_slice())
                .execute(&mut *desk.connection)
                .await
                .map_err(failed(doing))?;
        }
        Ok(())
    }
}

/// What a TOTP secret is bound to when it is sealed.
pub(in crate::store) fn totp_place(user: UserId) -> String {
    format!("totp_factors/{}", user.0)
}

fn is_unique_violation(cause: &sqlx::Error) -> bool {
    cause
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
