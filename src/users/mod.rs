//! People: added, set up by one-time links, and their passwords set.
//!
//! Every password that is set goes through [`Revoker::set_password`], so it ends every session of its
//! user; there is no other way to set one.

mod account;
mod setup;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::account::{Edit, email_address};
pub use self::setup::SetupLink;
use crate::clock::Clock;
use crate::config::Live;
use crate::credentials::password::{self, PasswordError, Passwords};
use crate::credentials::policy::{self, Weakness};
use crate::login::{Login, SignInError};
use crate::model::{Action, Actor, Event, Generation, Role, User, UserName};
use crate::revoke::{Outcome, RevokeError, Revoker};
use crate::secret::Secret;
use crate::session::Session;
use crate::store::change::{AddUser, SetPassword, WayIn};
use crate::store::{Person, Store, StoreError};

/// Manages people. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Users(Arc<Desk>);

#[derive(Debug)]
struct Desk {
    store: Store,
    revoker: Revoker,
    login: Login,
    passwords: Passwords,
    config: Live,
    clock: Clock,
}

/// Why a change of a user was not made.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error(transparent)]
    Weak(#[from] Weakness),
    #[error("there is no such user")]
    Unknown,
    #[error("there is a user of this name already")]
    NameTaken,
    #[error("this link has been used, has expired, or was replaced by a newer one")]
    LinkSpent,
    #[error("the current password is not right")]
    WrongPassword,
    #[error("the new password is the current one; take another")]
    SamePassword,
    #[error("this password was one of the last {0}; take another")]
    UsedBefore(usize),
    #[error("this is the last administrator who can sign in; make somebody else one first")]
    LastAdministrator,
    #[error("your session has ended meanwhile; sign in again")]
    ActorEnded,
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    #[error("the password could not be hashed")]
    Password(#[source] PasswordError),
    /// The sign-in after a password was set, or the proof of the current one.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Revoke(RevokeError),
    #[error(transparent)]
    Store(StoreError),
}

impl Users {
    /// People over these rooms.
    pub fn new(
        store: Store,
        revoker: Revoker,
        login: Login,
        passwords: Passwords,
        config: Live,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Desk {
            store,
            revoker,
            login,
            passwords,
            config,
            clock,
        }))
    }

    /// Adds a user without a password, with the link to set one.
    ///
    /// # Errors
    /// [`UsersError`]; so for every verb here.
    pub async fn add(
        &self,
        name: UserName,
        role: Role,
        email: Option<String>,
        actor: Actor,
    ) -> Result<(User, SetupLink), UsersError> {
        let link = SetupLink::random();
        let way_in = WayIn::Link {
            hash: link.hash(),
            expires: self.0.clock.now().plus(setup::LIFETIME),
        };
        let user = self.add_by(name, role, email, way_in, actor).await?;
        Ok((user, link))
    }

    /// Adds a user with a password.
    pub async fn add_with_password(
        &self,
        name: UserName,
        role: Role,
        email: Option<String>,
        password: Secret<String>,
        actor: Actor,
    ) -> Result<User, UsersError> {
        self.judge(role, &name, &password)?;
        let way_in = WayIn::Password(self.0.passwords.hash(&password).await?);
        self.add_by(name, role, email, way_in, actor).await
    }

    async fn add_by(
        &self,
        name: UserName,
        role: Role,
        email: Option<String>,
        way_in: WayIn,
        actor: Actor,
    ) -> Result<User, UsersError> {
        let event = Event::about(actor, Action::UserAdded, &name).detail(format!("as {role}"));
        let add = AddUser {
            name,
            role,
            email,
            way_in,
        };
        Ok(self.0.store.commit(add, event).await?.into_outcome())
    }

    /// Everybody, by name.
    pub async fn list(&self) -> Result<Vec<Person>, UsersError> {
        Ok(self.0.store.people().await?)
    }

    /// Sets somebody's password; every session of that user ends.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: Secret<String>,
        actor: Actor,
    ) -> Result<Outcome, UsersError> {
        let user = self.user(name).await?;
        self.judge(user.role, name, &password)?;
        let event = Event::about(actor, Action::PasswordSet, name);
        self.set(&user, &password, None, None, event).await
    }

    /// Sets one's own password, with the current one as proof; every session ends, this one too.
    pub async fn change_own_password(
        &self,
        session: &Session,
        current: Secret<String>,
        new: Secret<String>,
        from: IpAddr,
    ) -> Result<Outcome, UsersError> {
        let name = &session.user().name;
        let facts = match self.0.login.confirm_password(session, &current).await {
            Ok(facts) => facts,
            Err(SignInError::Refused) => return Err(UsersError::WrongPassword),
            Err(SignInError::Busy { .. }) => return Err(UsersError::Busy),
            Err(fault) => return Err(fault.into()),
        };
        self.judge(facts.user.role, name, &new)?;
        if password::are_same(&current, &new) {
            return Err(UsersError::SamePassword);
        }
        let event = Event::about(session.actor(from), Action::PasswordSet, name);
        // A session that ended meanwhile, or a password that was changed, is in the generation.
        let as_of = Some(session.generation());
        self.set(&facts.user, &new, None, as_of, event).await
    }

    async fn set(
        &self,
        user: &User,
        password: &Secret<String>,
        link: Option<[u8; 32]>,
        as_of: Option<Generation>,
        event: Event,
    ) -> Result<Outcome, UsersError> {
        self.is_new(user, password).await?;
        // Hashed before the transaction: the one writer must not wait for it.
        let phc = self.0.passwords.hash(password).await?;
        let change = SetPassword {
            user: user.id,
            // The one that is replaced by this counts as the first of them.
            remembered: self.0.config.now().password.history.saturating_sub(1),
            phc,
            link,
            as_of,
        };
        let outcome = self.0.revoker.set_password(change, event).await?;
        self.0.login.forgive(user.id);
        Ok(outcome)
    }

    /// Whether none of the last passwords was this one. Two who set one at the same moment are not
    /// told of each other's: this is for people's good, not a lock.
    async fn is_new(&self, user: &User, password: &Secret<String>) -> Result<(), UsersError> {
        let history = self.0.config.now().password.history;
        if history == 0 {
            return Ok(());
        }
        let facts = self.0.store.sign_in_facts(&user.name).await?;
        let current = facts.and_then(|facts| facts.password);
        let past = self.0.store.past_passwords(user.id).await?;
        for phc in current.iter().chain(&past).take(history) {
            if self.0.passwords.verify(password, Some(phc)).await?.right {
                return Err(UsersError::UsedBefore(history));
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        role: Role,
        name: &UserName,
        password: &Secret<String>,
    ) -> Result<(), UsersError> {
        let min_length = self.0.config.now().min_password_length(role);
        Ok(policy::judge(password.expose(), min_length, name.as_str())?)
    }

    async fn user(&self, name: &UserName) -> Result<User, UsersError> {
        self.0.store.user(name).await?.ok_or(UsersError::Unknown)
    }
}

impl From<StoreError> for UsersError {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::NameTaken => Self::NameTaken,
            StoreError::NoSuchUser => Self::Unknown,
            StoreError::LinkSpent => Self::LinkSpent,
            StoreError::LastAdministrator => Self::LastAdministrator,
            StoreError::ActorEnded => Self::ActorEnded,
            fault => Self::Store(fault),
        }
    }
}

impl From<RevokeError> for UsersError {
    fn from(fault: RevokeError) -> Self {
        match fault {
            RevokeError::Store(
                fault @ (StoreError::NoSuchUser
                | StoreError::LinkSpent
                | StoreError::LastAdministrator
                | StoreError::ActorEnded),
            ) => fault.into(),
            fault => Self::Revoke(fault),
        }
    }
}

impl From<PasswordError> for UsersError {
    fn from(fault: PasswordError) -> Self {
        match fault {
            PasswordError::Busy => Self::Busy,
            PasswordError::TooLong => Self::Weak(Weakness::Long),
            PasswordError::Failed => Self::Password(fault),
        }
    }
}

#[cfg(test)]
mod tests;
