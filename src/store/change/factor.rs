//! The second factor that a sign-in is begun with. Each code counts once: the statement that spends it
//! decides.

use super::Desk;
use crate::model::UserId;
use crate::secret::Secret;
use crate::store::seal::{Place, Seal};
use crate::store::statement::sql;
use crate::store::{Store, StoreError, failed};

/// What a new session was proved with; it is spent in the transaction that keeps the session, so that
/// no code is spent for nothing and none that is spent after the user's generation has moved on.
#[derive(Debug)]
pub enum Proof {
    /// A step of the app, and with it every earlier one (RFC 6238 §5.2). [`StoreError::CodeSpent`] if
    /// this step or a later one has been taken, or if its code was shown before its time.
    TotpStep(i64),
    /// [`StoreError::CodeSpent`] if the user has none of this hash.
    RecoveryCode([u8; 32]),
    /// The first second factor, with its recovery codes. [`StoreError::FactorExists`] if there is one.
    Enrolment {
        secret: Secret<Vec<u8>>,
        /// The step whose code proved that the app has the secret; it is spent by this.
        step: i64,
        recovery_codes: Vec<[u8; 32]>,
    },
}

impl Store {
    /// Remembers that the code of a step that is to come was shown. Who is told so of a guess must not be
    /// able to wait until it is right. One step is remembered, the last: for two of them somebody has to
    /// guess two codes that are to come within ten minutes.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn note_shown_early(&self, user: UserId, step: i64) -> Result<(), StoreError> {
        sql("UPDATE totp_factors SET shown_early = $2 WHERE user_id = $1")
            .bind(user.0)
            .bind(step)
            .run(self.engine.writer())
            .await
            .map(drop)
            .map_err(failed("noting a code that was shown early"))
    }
}

impl Proof {
    pub(super) async fn spend(self, user: UserId, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        match self {
            Self::TotpStep(step) => spend_step(desk, user, step).await,
            Self::RecoveryCode(hash) => spend_recovery_code(desk, user, hash).await,
            Self::Enrolment {
                secret,
                step,
                recovery_codes,
            } => enrol(desk, user, &secret, step, &recovery_codes).await,
        }
    }
}

async fn spend_step(desk: &mut Desk<'_>, user: UserId, step: i64) -> Result<(), StoreError> {
    let doing = "spending a code";
    let spent: Option<(Vec<u8>,)> = sql("UPDATE totp_factors SET last_step = $2
         WHERE user_id = $1 AND last_step < $2 AND shown_early <> $2 RETURNING secret")
    .bind(user.0)
    .bind(step)
    .maybe(desk.connection())
    .await
    .map_err(failed(doing))?;
    let (sealed,) = spent.ok_or(StoreError::CodeSpent)?;
    if !Seal::is_former(&sealed) {
        return Ok(());
    }
    let secret = desk.seal.open(&totp_place(user), &sealed)?;
    let sealed = desk.seal.seal(&totp_place(user), secret.expose())?;
    sql("UPDATE totp_factors SET secret = $2 WHERE user_id = $1")
        .bind(user.0)
        .bind(sealed)
        .run(desk.connection())
        .await
        .map(drop)
        .map_err(failed(doing))
}

async fn spend_recovery_code(
    desk: &mut Desk<'_>,
    user: UserId,
    hash: [u8; 32],
) -> Result<(), StoreError> {
    let spent = sql("DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2")
        .bind(user.0)
        .bind(hash.as_slice())
        .run(desk.connection())
        .await
        .map_err(failed("spending a recovery code"))?;
    match spent {
        1 => Ok(()),
        _ => Err(StoreError::CodeSpent),
    }
}

async fn enrol(
    desk: &mut Desk<'_>,
    user: UserId,
    secret: &Secret<Vec<u8>>,
    step: i64,
    recovery_codes: &[[u8; 32]],
) -> Result<(), StoreError> {
    let doing = "enrolling a second factor";
    let sealed = desk.seal.seal(&totp_place(user), secret.expose())?;
    let enrolled = sql(
        "INSERT INTO totp_factors (user_id, secret, last_step) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO NOTHING",
    )
    .bind(user.0)
    .bind(sealed)
    .bind(step)
    .run(desk.connection())
    .await
    .map_err(failed(doing))?;
    if enrolled != 1 {
        return Err(StoreError::FactorExists);
    }
    // Other secrets that were shown for this user are good for nothing any more.
    sql("DELETE FROM sign_ins WHERE user_id = $1 AND secret IS NOT NULL")
        .bind(user.0)
        .run(desk.connection())
        .await
        .map_err(failed(doing))?;
    for hash in recovery_codes {
        sql("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)")
            .bind(user.0)
            .bind(hash.as_slice())
            .run(desk.connection())
            .await
            .map_err(failed(doing))?;
    }
    Ok(())
}

/// Where a TOTP secret is kept.
pub(in crate::store) fn totp_place(user: UserId) -> Place {
    let former = format!("totp_factors/{}", user.0);
    Place::new("totp_factors.secret", user.0.to_string(), former)
}
