//! Half signed in: who has given a right password and nothing else yet.
//!
//! A sign-in that waits for a code lives five minutes and takes five tries. One that waits for an app lives
//! thirty, and a new sign-in in the same browser goes on with it, so that the secret that the app was given
//! stays good. Both are over when somebody finishes them. They are kept in the store, so that any node can
//! go on. The cookie is not a session token and the table is not the session table: it opens no page but
//! the next step.
//!
//! Who is shown the secret of an app that is not enrolled yet: a browser that holds the cookie of the
//! sign-in which the secret was made for, and no one else. With the password alone, another browser is
//! given a secret of its own. It may enrol that one, since the first factor of an account takes a password
//! and no more; then the sign-ins of the others are over, and the person sees that, instead of sharing an app
//! with a stranger without a sign. A script of a panel could give a browser the cookie of a stranger's sign-in,
//! in browsers that don't know the prefix of its name. So a sign-in with a password goes on with one of the
//! same network only. Every change of the account ends them all, by the generation.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::throttle::network;
use super::{Login, MOMENT, Origin, PendingView, SignInError, WaitsFor};
use crate::clock::Timestamp;
use crate::credentials::totp;
use crate::model::User;
use crate::secret::{Secret, random_bytes, sha256};
use crate::store::SignIn;

/// How long a person has for the code.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How long a person has to find, install and set up an app.
const TO_ENROL: Duration = Duration::from_secs(30 * 60);

/// How many codes may be tried in one sign-in.
const TRIES: u32 = 5;

/// How many sign-ins may be under way; each needed a right password.
const MOST: u32 = 10_000;

/// How many of one user. The oldest goes, so that one user can't fill the table for everybody.
const MOST_PER_USER: u32 = 10;

/// The cookie of a sign-in that is under way.
#[derive(Debug, Clone)]
pub struct Half(Secret<String>);

/// A sign-in that is under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// The user as read together with the password hash.
    pub(super) user: User,
    pub(super) stage: Stage,
    pub(super) ends: Timestamp,
}

/// What it waits for.
#[derive(Debug)]
pub(super) enum Stage {
    Code,
    /// A code of an app that was given this secret.
    Enrolment(Secret<Vec<u8>>),
}

impl Half {
    /// The sign-in that a browser shows.
    pub fn shown(cookie: &str) -> Self {
        Self(Secret::new(cookie.to_owned()))
    }

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

    /// Waits for an app: for the one that this browser was shown a secret for, as long as that is good.
    pub(super) async fn wait_for_app(
        &self,
        user: User,
        from: &Origin,
    ) -> Result<Half, SignInError> {
        // The address of a proxy says nothing of where the browser is: then the secret is always a new one.
        if let Some((shown, address)) = from.half.as_ref().zip(from.address.counted()) {
            let ends = self.0.clock.now().plus(TO_ENROL);
            let cookie = sha256(shown.cookie_value());
            let network = network(address).to_string();
            let going_on = self.0.store.go_on_enrolling(&cookie, &user, &network, ends);
            if going_on.await.map_err(SignInError::Store)? {
                return Ok(shown.clone());
            }
        }
        let secret = totp::new_secret();
        self.wait_for(user, Stage::Enrolment(secret), from).await
    }

    pub(super) async fn wait_for(
        &self,
        user: User,
        stage: Stage,
        from: &Origin,
    ) -> Result<Half, SignInError> {
        let half = Half(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>())));
        let sign_in = SignIn {
            cookie: sha256(half.cookie_value()),
            user,
            ends: self.0.clock.now().plus(match stage {
                Stage::Code => LIFETIME,
                Stage::Enrolment(_) => TO_ENROL,
            }),
            secret: match stage {
                Stage::Code => None,
                Stage::Enrolment(secret) => Some(secret),
            },
            network: network(from.address.address()).to_string(),
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
            ends: found.ends,
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
