//! Who is guessing: by what a try is counted, and what becomes of the counts.

use std::time::Duration;

use super::throttle::{Attempt, Key};
use super::{Login, Origin, SignInError};
use crate::credentials::password::Purpose;
use crate::model::{Guess, UserId};
use crate::secret::Secret;
use crate::session::Session;
use crate::shutdown::Shutdown;
use crate::store::{SignInFacts, StoreError};

/// A crash forgets at most so much of the counts.
const WRITE: Duration = Duration::from_secs(1);

/// Sign-ins that are over are forgotten each time that the counts were written so often.
const FORGET: u32 = 60;

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

    /// Forgets what a user failed at, in memory; the store has forgotten it in the transaction of the
    /// password that was set, the link that was made or the factors that were reset.
    pub fn forgive(&self, user: UserId) {
        self.0.throttle.forgive(user);
    }

    /// Checks the password of somebody who is signed in and sets a new one. Counted by that session alone: whoever stole
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
        let key = Key::Session(session.token_hash(), Guess::Password);
        let attempt = self.may_guess([Some(key), None]).await?;
        let hash = (facts.password.as_ref(), Purpose::NewPassword);
        self.verify(password, hash, attempt, |right| right).await?;
        Ok(facts)
    }

    pub(super) async fn may_guess(
        &self,
        keys: [Option<Key>; 2],
    ) -> Result<Attempt<'_>, SignInError> {
        self.0.throttle.attempt(keys).await
    }

    pub(super) fn keys_of_password(
        &self,
        name: &str,
        facts: Option<&SignInFacts>,
        from: &Origin,
    ) -> [Option<Key>; 2] {
        let key = match facts {
            Some(facts) => self.key_of_user(facts.user.id, Guess::Password, from),
            None => self.0.throttle.nobody(name),
        };
        let is_stranger = !matches!(key, Key::Session(..));
        let address = from.address.counted().filter(|_| is_stranger);
        [Some(key), address.map(Key::address)]
    }

    /// By the live session that the browser shows, where it is one of this user.
    pub(super) fn key_of_user(&self, user: UserId, guess: Guess, from: &Origin) -> Key {
        let shown = from.replaces.filter(|token| {
            let session = self.0.sessions.find(token, self.0.clock.now());
            session.is_ok_and(|session| session.user().id == user)
        });
        match shown {
            Some(token) => Key::Session(token, guess),
            None => Key::User(user, guess),
        }
    }

    async fn forget_what_is_over(&self) {
        if let Err(fault) = self.0.store.forget_sign_ins().await {
            tracing::warn!(%fault, "could not forget sign-ins that are over");
        }
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
    }
    login.write_counts().await;
}
