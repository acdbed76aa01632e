//! Who is guessing: by what a try is counted, and what becomes of the counts.

use std::time::Duration;

use super::decoy;
use super::throttle::{Attempt, Key};
use super::told::{Failure, Whose};
use super::{Login, Origin, ShownDevice, SignInError};
use crate::clock::Timestamp;
use crate::credentials::password::Purpose;
use crate::model::{DeviceId, Guess, TokenHash, User, UserId, UserName};
use crate::secret::Secret;
use crate::session::Session;
use crate::shutdown::Shutdown;
use crate::store::{SignInFacts, StoreError};

/// A crash forgets at most so much of the counts.
const WRITE: Duration = Duration::from_secs(1);

/// Sign-ins that are over are forgotten each time that the counts were written so often.
const FORGET: u32 = 60;
/// How often it is seen who of those who are not there would have signed in.
const DECOYS: Duration = Duration::from_secs(5 * 60);

/// By what a guess is counted.
pub(super) struct Ways {
    /// What is the person's own: a live session, or a device.
    own: Option<Key>,
    /// What strangers share, when that is used up; nothing for a session, which is counted alone.
    strangers: Option<[Option<Key>; 2]>,
}

impl Login {
    /// Brings back what failed before the gateway was started. Several nodes count in the store.
    ///
    /// # Errors
    /// [`StoreError`] when it can't be read.
    pub async fn restore_counts(&self) -> Result<(), StoreError> {
        if !self.0.store.is_shared() {
            self.0.throttle.restore(self.0.store.failures().await?);
        }
        Ok(())
    }

    /// Ends the rows of failures, in memory, of somebody who is signed in now.
    pub(super) fn has_signed_in(&self, user: &User) {
        let name = self.0.store.name_tag(user.name.as_str());
        self.0.throttle.signed_in(user.id, name);
    }

    /// Forgets what a user failed at, in memory; the store has forgotten it in the transaction of the
    /// password that was set, the link that was made or the factors that were reset.
    pub fn forgive(&self, user: UserId, name: &UserName) {
        let name = self.0.store.name_tag(name.as_str());
        self.0.throttle.forgive(user, name);
    }

    /// Checks the password of somebody who is signed in and sets a new one. Counted by that session alone: a thief who stole
    /// it can't guess without end, and nobody else is held up.
    ///
    /// # Errors
    /// [`SignInError::Refused`] for another password, [`SignInError::TooMany`].
    pub async fn confirm_password(
        &self,
        session: &Session,
        password: &Secret<String>,
    ) -> Result<SignInFacts, SignInError> {
        let facts = self.0.store.sign_in_facts(&session.user().name).await;
        let facts = facts.map_err(SignInError::Store)?;
        let facts = facts.ok_or(SignInError::Refused)?;
        let ways = Ways {
            own: Some(Key::Session(session.token_hash(), Guess::Password)),
            strangers: None,
        };
        let whose = Whose::User(&facts.user);
        let from = Origin {
            address: session.address().into(),
            device: session.device().to_owned(),
            replaces: Some(session.token_hash()),
            half: None,
            shown: ShownDevice::default(),
        };
        let attempt = self.may_guess(ways, whose, &from).await?;
        let hash = (facts.password.as_ref(), Purpose::NewPassword);
        let verified = self.verify(password, hash, attempt, |right| right).await;
        if let Err(SignInError::Refused) = verified {
            self.tell(whose, Failure::Password, &from);
        }
        verified?;
        Ok(facts)
    }

    /// Takes the right to one guess: of the person's own, else of what strangers have.
    pub(super) async fn may_guess(
        &self,
        ways: Ways,
        whose: Whose<'_>,
        from: &Origin,
    ) -> Result<Attempt<'_>, SignInError> {
        let throttle = &self.0.throttle;
        let attempt = match (ways.own, ways.strangers) {
            (own, None) => throttle.attempt([own, None]).await,
            (None, Some(strangers)) => throttle.attempt(strangers).await,
            (Some(own), Some(strangers)) => match throttle.attempt([Some(own), None]).await {
                Err(SignInError::TooMany { .. }) => throttle.attempt(strangers).await,
                attempt => attempt,
            },
        };
        if let Err(SignInError::TooMany { .. }) = attempt {
            self.tell(whose, Failure::Throttled, from);
        }
        attempt
    }

    pub(super) fn ways_of_password(
        &self,
        name: &str,
        facts: Option<&SignInFacts>,
        from: &Origin,
    ) -> Ways {
        let user = facts.map(|facts| &facts.user);
        let name = Key::Name(self.0.store.name_tag(name));
        self.ways(
            user,
            Guess::Password,
            from,
            [Some(name), from.address.counted().map(Key::address)],
        )
    }

    pub(super) fn ways_of_code(&self, user: &User, from: &Origin) -> Ways {
        let strangers = [Some(Key::Code(user.id)), None];
        self.ways(Some(user), Guess::Code, from, strangers)
    }

    fn ways(
        &self,
        user: Option<&User>,
        guess: Guess,
        from: &Origin,
        strangers: [Option<Key>; 2],
    ) -> Ways {
        if let Some(token) = user.and_then(|user| self.session_of(user.id, from)) {
            return Ways {
                own: Some(Key::Session(token, guess)),
                strangers: None,
            };
        }
        let device = user.and_then(|user| self.device_of(user, from));
        Ways {
            own: device.map(|device| Key::Device(device, guess)),
            strangers: Some(strangers),
        }
    }

    /// The live session that the browser shows, where it is one of this user.
    fn session_of(&self, user: UserId, from: &Origin) -> Option<TokenHash> {
        from.replaces.filter(|token| {
            let session = self.0.sessions.find(token, self.0.clock.now());
            session.is_ok_and(|session| session.user().id == user)
        })
    }

    fn device_of(&self, user: &User, from: &Origin) -> Option<DeviceId> {
        let now = self.0.clock.now();
        self.0.devices.recognise(&from.shown, user, now)
    }

    pub(super) fn tell(&self, whose: Whose<'_>, failure: Failure, from: &Origin) {
        let window = self.0.config.now().throttle.per_user;
        self.0
            .told
            .failed(&self.0.store, whose, failure, from, window);
    }

    /// Lets those sign in whom a stranger takes for users; see [`decoy`].
    pub(super) async fn let_decoys_in(&self, after: Timestamp, until: Timestamp) {
        let store = &self.0.store;
        let ended = async {
            let mut rows = store.rows_of_no_user().await?;
            rows.retain(|name| decoy::signs_in(store, name, after, until));
            self.0.throttle.end_rows(&rows);
            store.end_rows(&rows).await
        };
        if let Err(fault) = ended.await {
            tracing::warn!(%fault, "could not end rows of failed sign-ins");
        }
    }

    async fn forget_what_is_over(&self) {
        if let Err(fault) = self.0.store.forget_sign_ins().await {
            tracing::warn!(%fault, "could not forget sign-ins that are over");
        }
    }

    /// Writes the entries of failed sign-ins; with `all`, also of runs that go on.
    pub(super) async fn write_failures(&self, all: bool) {
        self.0.told.write(&self.0.store, all).await;
    }

    pub(super) async fn write_counts(&self) {
        let counts = self.0.throttle.unwritten();
        if counts.is_empty() {
            return;
        }
        if let Err(fault) = self.0.store.keep_failures(&counts).await {
            tracing::warn!(%fault, "could not write failed sign-ins");
            self.0.throttle.write_again(&counts);
        }
    }
}

/// Writes the counts behind until the gateway ends; the last write is done before it returns.
pub async fn keep_counts(login: Login, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(WRITE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn = 0_u32;
    let mut looked = login.0.clock.now();
    while !shutdown.has_begun() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.begun() => {}
        }
        login.write_counts().await;
        if turn.is_multiple_of(FORGET) {
            login.forget_what_is_over().await;
        }
        turn = turn.wrapping_add(1);
        login.write_failures(false).await;
        let now = login.0.clock.now();
        if now.since(looked) >= DECOYS {
            login.let_decoys_in(looked, now).await;
            looked = now;
        }
    }
    login.write_counts().await;
    login.write_failures(true).await;
}
