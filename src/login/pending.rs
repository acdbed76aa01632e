//! Half signed in: who has given a right password and nothing else yet.
//!
//! A transaction lives five minutes, takes five tries and is over when somebody finishes it. It is kept
//! in the store, so that any node can go on with it. Its cookie is not a session token and its table is
//! not the session table: it opens no page but the next step.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Login, MOMENT, PendingView, SignInError, WaitsFor};
use crate::model::User;
use crate::secret::{Secret, random_bytes, sha256};
use crate::store::SignIn;

/// How long a person has for the next step.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How many codes may be tried in one sign-in.
const TRIES: u32 = 5;

/// How many sign-ins may be under way; each needed a right password.
const MOST: u32 = 10_000;

/// How many of one user. The oldest goes, so that one user can't fill the table for everybody.
const MOST_PER_USER: u32 = 10;

/// The cookie of a sign-in that is under way.
#[derive(Debug)]
pub struct Half(Secret<String>);

/// A sign-in that is under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// The user as read together with the password hash.
    pub(super) user: User,
    pub(super) stage: Stage,
}

/// What it waits for.
#[derive(Debug)]
pub(super) enum Stage {
    Code,
    /// A code of an app that was given this secret.
    Enrolment(Secret<Vec<u8>>),
}

impl Half {
    /// The value of the cookie.
    pub fn cookie_value(&self) -> &str {
        self.0.expose()
    }
}

impl Login {
    /// The sign-in that a cookie belongs to, while it is under way.
    ///
    /// # Errors
    /// [`SignInError::Store`]
    pub async fn pending(&self, cookie: &str) -> Result<Option<PendingView>, SignInError> {
        let pending = match self.under_way(cookie).await {
            Err(SignInError::Expired) => return Ok(None),
            pending => pending?,
        };
        Ok(Some(PendingView {
            user: pending.user.name,
            waits_for: match pending.stage {
                Stage::Code => WaitsFor::Code,
                Stage::Enrolment(_) => WaitsFor::Enrolment,
            },
        }))
    }

    pub(super) async fn wait_for(&self, user: User, stage: Stage) -> Result<Half, SignInError> {
        let half = Half(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>())));
        let sign_in = SignIn {
            cookie: sha256(half.cookie_value()),
            user,
            secret: match stage {
                Stage::Code => None,
                Stage::Enrolment(secret) => Some(secret),
            },
            ends: self.0.clock.now().plus(LIFETIME),
        };
        let kept = self.0.store.keep_sign_in(&sign_in, MOST_PER_USER, MOST);
        match kept.await.map_err(SignInError::Store)? {
            true => Ok(half),
            false => Err(SignInError::Busy {
                retry_after: MOMENT,
            }),
        }
    }

    pub(super) async fn under_way(&self, cookie: &str) -> Result<Pending, SignInError> {
        let found = self.0.store.sign_in(&sha256(cookie)).await;
        let found = found.map_err(SignInError::Store)?;
        let found = found.ok_or(SignInError::Expired)?;
        Ok(Pending {
            user: found.user,
            stage: found.secret.map_or(Stage::Code, Stage::Enrolment),
        })
    }

    /// Looks one up for a try, which is counted.
    pub(super) async fn under_try(&self, cookie: &str) -> Result<Pending, SignInError> {
        let has_one_left = self.0.store.try_sign_in(&sha256(cookie), TRIES).await;
        match has_one_left.map_err(SignInError::Store)? {
            true => self.under_way(cookie).await,
            false => Err(SignInError::Expired),
        }
    }
}
