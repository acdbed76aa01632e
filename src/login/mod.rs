//! From stranger to session, as types.
//!
//! ```text
//! password ──> PasswordChecked ──┬─> Half (waits for a code) ──> SignedIn ──> session
//!                                ├─> Half (waits for an app) ──> SignedIn ──> session
//!                                └─> SignedIn, where no second factor is asked for
//! ```
//!
//! Each step has a type of its own, which only the step before can make. A visitor who has given a
//! right password holds a [`Half`]: another type in another table under another cookie, never a
//! session. A session is kept only if the user's generation is still the one that was read together
//! with the password hash (promise 2).

mod another_time;
mod bounded;
mod decoy;
mod device;
mod guess;
mod pending;
mod runs;
mod start;
mod tally;
mod throttle;
mod told;
mod wrong_secrets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use self::another_time::AnotherTime;
pub use self::device::{Devices, LIFETIME as DEVICE_LIFETIME, ShownDevice};
pub use self::guess::keep_counts;
pub use self::pending::Half;
use self::pending::{Pending, Stage};
pub use self::runs::Wrong;
use self::start::SignedIn;
use self::throttle::{Attempt, Throttle};
use self::told::{Failure, Told, Whose};
pub use self::wrong_secrets::WrongSecrets;
use crate::clock::Clock;
use crate::cluster::{Cluster, Unreached};
use crate::config::Live;
use crate::credentials::password::{PasswordError, Passwords, Purpose};
use crate::credentials::recovery::{self, RecoveryCode};
use crate::credentials::totp::{self, TotpError};
use crate::model::{Action, Actor, ClientAddress, Event, FactorKind, TokenHash, User, UserName};
use crate::secret::Secret;
use crate::session::{Session, Sessions, Token};
use crate::store::change::{Proof, RehashPassword};
use crate::store::{SignInFacts, Store, StoreError};

/// Signs people in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Login(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    store: Store,
    sessions: Sessions,
    cluster: Cluster,
    passwords: Passwords,
    config: Live,
    /// What an app calls the place: `ada@panel.example`.
    host: String,
    clock: Clock,
    throttle: Throttle,
    devices: Devices,
    told: Told,
    /// Keeping a session and taking it into the table go in one order for all, or a session that the
    /// store has ended for a newer one could enter the table after that one was told.
    starting: tokio::sync::Mutex<()>,
}

/// From where somebody signs in.
#[derive(Debug, Clone)]
pub struct Origin {
    pub address: ClientAddress,
    /// Browser and system in words.
    pub device: String,
    /// The session that the browser showed; it ends when the new one begins.
    pub replaces: Option<TokenHash>,
    /// The sign-in under way that the browser showed; one that waits for an app is gone on with.
    pub half: Option<Half>,
    /// That somebody has signed in there before.
    pub shown: ShownDevice,
}

/// Where a right password leads.
#[derive(Debug)]
pub enum Next {
    /// A code of the second factor is asked for.
    SecondFactor(Half),
    /// A second factor has to be enrolled first.
    Enrol(Half),
    /// Done.
    SignedIn(NewSession),
}

/// A session that has begun: the token for the browser, and the session for everybody else.
#[derive(Debug)]
pub struct NewSession {
    pub token: Token,
    pub session: Arc<Session>,
    /// For the browser to be known by at later sign-ins.
    pub device: Secret<String>,
}

/// A sign-in that is under way, as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingView {
    pub user: UserName,
    pub waits_for: WaitsFor,
}

/// What a sign-in waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    Code,
    Enrolment,
}

/// What a person needs to enrol an app.
pub struct Enrolment {
    pub user: UserName,
    pub secret_text: Secret<String>,
    pub qr_svg: Secret<String>,
    /// How long the secret is good from now on.
    pub left: Duration,
}

/// The first second factor is enrolled, and the person signed in.
#[derive(Debug)]
pub struct Enrolled {
    pub session: NewSession,
    /// To be shown once.
    pub recovery_codes: Vec<RecoveryCode>,
}

/// Why a step of a sign-in did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// One answer for an unknown user, a wrong password, no password yet, and a disabled account.
    #[error("the user name or the password is not right")]
    Refused,
    #[error("the code is not right, or has been used already")]
    WrongCode,
    /// A wrong code, too, and counted as one.
    #[error("the code is one of another time: {0}")]
    CodeOfAnotherTime(AnotherTime),
    /// Of a name, an address or a session; which one is not said.
    #[error("too many failed sign-ins; try again in {} minutes", retry_after.as_secs().div_ceil(60))]
    TooMany { retry_after: Duration },
    /// The step belongs to no sign-in that is under way.
    #[error("this sign-in has ended; begin again")]
    Expired,
    #[error("too many sign-ins at once; try again in a moment")]
    Busy { retry_after: Duration },
    #[error("the password could not be checked")]
    Password(#[source] PasswordError),
    #[error(transparent)]
    Totp(#[from] TotpError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Cluster(#[from] Unreached),
}

/// Somebody who gave the right password of an enabled user, at the generation in `user`.
struct PasswordChecked(SignInFacts);

/// What "busy" asks people to wait.
const MOMENT: Duration = Duration::from_secs(5);

impl Login {
    /// Sign-in over this store and table.
    pub fn new(
        store: Store,
        sessions: Sessions,
        cluster: Cluster,
        passwords: Passwords,
        config: Live,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Desk {
            throttle: Throttle::new(config.clone(), &store),
            devices: Devices::new(&store.device_key()),
            told: Told::default(),
            store,
            sessions,
            cluster,
            passwords,
            host: config.now().gateway.external_url.host().to_owned(),
            config,
            clock,
            starting: tokio::sync::Mutex::default(),
        }))
    }

    /// The first step: name and password.
    ///
    /// # Errors
    /// [`SignInError`]; so for every step.
    pub async fn with_password(
        &self,
        name: &str,
        password: Secret<String>,
        from: &Origin,
    ) -> Result<Next, SignInError> {
        let checked = self.check_password(name, &password, from).await?;
        let user = checked.0.user.clone();
        if checked.0.totp.is_some() {
            let half = self.wait_for(user, Stage::Code, from).await?;
            return Ok(Next::SecondFactor(half));
        }
        if self.0.config.now().second_factor.required_for(user.role) {
            return self.wait_for_app(user, from).await.map(Next::Enrol);
        }
        let signed_in = SignedIn {
            user,
            proof: None,
            pending: None,
        };
        self.start(signed_in, from).await.map(Next::SignedIn)
    }

    /// The second step: a code of the app, or a recovery code.
    pub async fn with_code(
        &self,
        cookie: &str,
        code: &str,
        from: &Origin,
    ) -> Result<NewSession, SignInError> {
        let (pending, attempt) = self.attempt(cookie, from).await?;
        let Stage::Code = pending.stage else {
            attempt.has_not_failed().await;
            return Err(SignInError::Expired);
        };
        let user = pending.user;
        let who = user.clone();
        let starting = async {
            let (kind, proof) = match RecoveryCode::parse(code) {
                Some(code) => (FactorKind::RecoveryCode, Proof::RecoveryCode(code.hash())),
                None => (FactorKind::Totp, self.totp_step(&user, code).await?),
            };
            let signed_in = SignedIn {
                user,
                proof: Some((kind, proof)),
                pending: Some(cookie),
            };
            self.start(signed_in, from).await
        };
        let started = starting.await;
        match is_of_the_code(&started) {
            true => self.tell(Whose::User(&who), Failure::Code, from),
            // Whatever else went wrong, it was not the code.
            false => attempt.has_not_failed().await,
        }
        started
    }

    /// What the person needs to enrol an app, while the sign-in waits for that.
    ///
    /// # Errors
    /// [`SignInError::Expired`], [`SignInError::Totp`]
    pub async fn enrolment(&self, cookie: &str) -> Result<Enrolment, SignInError> {
        let Pending {
            user,
            stage: Stage::Enrolment(secret),
            ends,
        } = self.under_way(cookie).await?
        else {
            return Err(SignInError::Expired);
        };
        let enrolment = totp::enrolment(&secret, user.name.as_str(), &self.0.host)?;
        Ok(Enrolment {
            user: user.name,
            secret_text: enrolment.text,
            qr_svg: enrolment.qr_svg,
            left: ends.since(self.0.clock.now()),
        })
    }

    /// The second step of the first sign-in: a code proves that the app has the secret.
    pub async fn enrol(
        &self,
        cookie: &str,
        code: &str,
        from: &Origin,
    ) -> Result<Enrolled, SignInError> {
        let (pending, attempt) = self.attempt(cookie, from).await?;
        let Stage::Enrolment(secret) = pending.stage else {
            attempt.has_not_failed().await;
            return Err(SignInError::Expired);
        };
        let step = match totp::step_of(&secret, code, self.0.clock.wall())? {
            Some(step) => step,
            // The holder of the cookie sees the secret: there is nothing to guess here.
            None => return Err(self.of_another_time(&pending.user, &secret, code)?.0),
        };
        let recovery_codes: Vec<_> = (0..recovery::COUNT)
            .map(|_| RecoveryCode::random())
            .collect();
        let proof = Proof::Enrolment {
            secret,
            step,
            recovery_codes: recovery_codes.iter().map(RecoveryCode::hash).collect(),
        };
        let signed_in = SignedIn {
            user: pending.user,
            proof: Some((FactorKind::Totp, proof)),
            pending: Some(cookie),
        };
        let started = self.start(signed_in, from).await;
        if !is_of_the_code(&started) {
            attempt.has_not_failed().await;
        }
        let session = started?;
        Ok(Enrolled {
            session,
            recovery_codes,
        })
    }

    /// The same work and the same answer whoever is named.
    async fn check_password(
        &self,
        name: &str,
        password: &Secret<String>,
        from: &Origin,
    ) -> Result<PasswordChecked, SignInError> {
        self.0.cluster.hears_from_the_store()?;
        let canonical = UserName::typed(name).ok();
        let facts = match &canonical {
            Some(name) => self.0.store.sign_in_facts(name).await,
            None => Ok(None),
        };
        let facts = facts.map_err(SignInError::Store)?;
        let name = canonical.as_ref().map_or(name, UserName::as_str);
        let whose = match &facts {
            Some(facts) => Whose::User(&facts.user),
            None => Whose::Nobody(name),
        };
        let ways = self.ways_of_password(name, facts.as_ref(), from);
        let attempt = self.may_guess(ways, whose, from).await?;
        let stored = facts.as_ref().and_then(|facts| facts.password.as_ref());
        let hash = (stored, Purpose::SignIn);
        let was_right = AtomicBool::new(false);
        let verified = self.verify(password, hash, attempt, |right| {
            was_right.store(right, Ordering::Relaxed);
            right && facts.as_ref().is_some_and(|facts| !facts.user.disabled)
        });
        let verified = verified.await;
        if let Err(SignInError::Refused) = verified {
            let failure = match was_right.into_inner() {
                true => Failure::Disabled,
                false => Failure::Password,
            };
            self.tell(whose, failure, from);
        }
        let outdated = verified?;
        let facts = facts.ok_or(SignInError::Refused)?;
        if outdated {
            self.rehash(&facts.user, password).await;
        }
        Ok(PasswordChecked(facts))
    }

    /// Whether the hash, which was right, is outdated.
    async fn verify(
        &self,
        password: &Secret<String>,
        (stored, purpose): (Option<&Secret<String>>, Purpose),
        attempt: Attempt<'_>,
        may: impl FnOnce(bool) -> bool + Send,
    ) -> Result<bool, SignInError> {
        match self.0.passwords.verify(password, stored, purpose).await {
            Ok(verified) if may(verified.right) => {
                attempt.has_not_failed().await;
                Ok(verified.outdated)
            }
            Ok(_) | Err(PasswordError::TooLong) => Err(SignInError::Refused),
            Err(PasswordError::Busy) => {
                attempt.has_not_failed().await;
                Err(SignInError::Busy {
                    retry_after: MOMENT,
                })
            }
            Err(fault @ PasswordError::Failed) => {
                attempt.has_not_failed().await;
                Err(SignInError::Password(fault))
            }
        }
    }

    /// Brings the stored hash to today's costs. Fails nobody's sign-in.
    async fn rehash(&self, user: &User, password: &Secret<String>) {
        let Ok(phc) = self.0.passwords.hash(password).await else {
            return;
        };
        let renewed = RehashPassword {
            user: user.id,
            generation: user.generation,
            phc,
        };
        let event = Event::about(Actor::Gateway, Action::PasswordSet, &user.name)
            .detail("the same password, hashed at today's costs");
        if let Err(fault) = self.0.store.commit(renewed, event).await {
            tracing::warn!(user = %user.name, %fault, "a password hash was not renewed");
        }
    }

    /// Counts a try before it is looked at, so that many at once are not more than their number.
    async fn attempt(
        &self,
        cookie: &str,
        from: &Origin,
    ) -> Result<(Pending, Attempt<'_>), SignInError> {
        self.0.cluster.hears_from_the_store()?;
        let pending = self.under_try(cookie).await?;
        let ways = self.ways_of_code(&pending.user, from);
        let whose = Whose::User(&pending.user);
        let attempt = self.may_guess(ways, whose, from).await?;
        Ok((pending, attempt))
    }

    async fn totp_step(&self, user: &User, code: &str) -> Result<Proof, SignInError> {
        let facts = self.0.store.sign_in_facts(&user.name).await;
        let factor = facts
            .map_err(SignInError::Store)?
            .and_then(|facts| facts.totp)
            .ok_or(SignInError::Expired)?;
        if let Some(step) = totp::step_of(&factor.secret, code, self.0.clock.wall())? {
            return Ok(Proof::TotpStep(step));
        }
        let (why, step) = self.of_another_time(user, &factor.secret, code)?;
        let Some(step) = step else { return Err(why) };
        // One that was used says nothing of clocks.
        if step <= factor.last_step {
            return Err(SignInError::WrongCode);
        }
        // Before it is said: a code that is to come is never taken once its guesser knows of it.
        if let Err(fault) = self.0.store.note_shown_early(user.id, step).await {
            tracing::warn!(%fault, "a code of another time is called a wrong one");
            return Err(SignInError::WrongCode);
        }
        Err(why)
    }

    /// Why a code is wrong, and the step that it belongs to where that is near.
    fn of_another_time(
        &self,
        user: &User,
        secret: &Secret<Vec<u8>>,
        code: &str,
    ) -> Result<(SignInError, Option<i64>), TotpError> {
        let wall = self.0.clock.wall();
        let Some(apart) = totp::apart(secret, code, wall)? else {
            return Ok((SignInError::WrongCode, None));
        };
        let told = AnotherTime {
            is_ahead: apart.seconds > 0,
            minutes: apart.seconds.unsigned_abs().div_ceil(60),
            gateway: wall,
        };
        tracing::warn!(
            user = %user.name,
            "a code is of another time: {told}; the clock of the phone or of this gateway is wrong, or the code was an old one"
        );
        Ok((SignInError::CodeOfAnotherTime(told), Some(apart.step)))
    }
}

/// Whether a step failed for the code, which then counts as a wrong one.
fn is_of_the_code<T>(step: &Result<T, SignInError>) -> bool {
    matches!(
        step,
        Err(SignInError::WrongCode | SignInError::CodeOfAnotherTime(_))
    )
}

/// A condition of the store that did not hold, as the step that it belongs to.
fn moved_on(fault: StoreError) -> SignInError {
    match fault {
        StoreError::CodeSpent => SignInError::WrongCode,
        StoreError::Stale | StoreError::FactorExists | StoreError::SignInOver => {
            SignInError::Expired
        }
        fault => SignInError::Store(fault),
    }
}

#[cfg(test)]
mod tests;
