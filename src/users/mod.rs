//! People: added, set up by one-time links, and their passwords set.
//!
//! Every password that is set goes through [`Revoker::set_password`], so it ends every session of its
//! user; there is no other way to set one.

mod account;
mod setup;

use std::net::IpAddr;
use std::sync::Arc;

pub use self::account::{Edit, Edited, email_address};
pub use self::setup::SetupLink;
use crate::clock::Clock;
use crate::config::{Live, PanelHost};
use crate::credentials::password::{self, PasswordError, Passwords, Purpose};
use crate::credentials::policy::{self, Place, Weakness};
use crate::login::{Login, SignInError};
use crate::model::{Action, Actor, Event, Generation, Outcome, Role, User, UserName};
use crate::revoke::{Doubt, Report, Revoker, Unwritten};
use crate::secret::Secret;
use crate::session::Session;
use crate::store::change::{AddUser, Change, Managed, SetPassword, WayIn};
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
    #[error("the new password is the same as the current one; take another")]
    SamePassword,
    #[error("this password was one of the last {0}; take another")]
    UsedBefore(usize),
    #[error("this is the last administrator who can sign in; make somebody else one first")]
    LastAdministrator,
    #[error("your session ended before this was done; sign in again")]
    ActorEnded,
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    #[error("the password could not be hashed")]
    Password(#[source] PasswordError),
    /// The sign-in after a password was set, or the proof of the current one.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The password, role or state of the user has changed since it was looked at.
    #[error("the password, role or state of the user has changed meanwhile; look at it again")]
    Stale,
    /// The store could not write it.
    #[error("{0}")]
    Unwritten(Box<Unwritten>),
    /// The store could not be read, and nothing was changed.
    #[error(transparent)]
    Store(StoreError),
}

/// What became of a change of a user: done, not done, or not certain.
pub type Changed<T> = Outcome<T, UsersError, Doubt>;

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
    pub async fn add(
        &self,
        name: UserName,
        role: Role,
        email: Option<String>,
        actor: Actor,
    ) -> Changed<(User, SetupLink)> {
        let link = SetupLink::random();
        let way_in = WayIn::Link {
            hash: link.hash(),
            expires: self.0.clock.now().plus(setup::LIFETIME),
        };
        let event = added(
            &name,
            role,
            email.as_deref(),
            Some(link.hash()),
            actor.clone(),
        );
        let add = AddUser {
            name: name.clone(),
            role,
            email: email.clone(),
            way_in,
        };
        let added = self.commit(add, event.clone()).await;
        let added = added.map_done(|user| (user, link));
        added
            .or_else(async |why| match why {
                UsersError::NameTaken => match self.added_before(&event).await {
                    // No one has seen the link that was made with it.
                    Ok(Some(user)) => {
                        let link = self.renew_setup_link(&user, actor.clone()).await;
                        let link = link.note_done(|| self.0.revoker.answered(&event));
                        link.map_done(|link| (user, link))
                    }
                    Ok(None) => Outcome::not_done(UsersError::NameTaken),
                    Err(fault) => Outcome::not_certain(Doubt::unanswered(fault)),
                },
                why => Outcome::not_done(why),
            })
            .await
    }

    /// Adds a user with a password.
    pub async fn add_with_password(
        &self,
        name: UserName,
        role: Role,
        email: Option<String>,
        password: Secret<String>,
        actor: Actor,
    ) -> Changed<User> {
        let event = added(&name, role, email.as_deref(), None, actor);
        let managed = Managed {
            user: None,
            role: Some(role),
        };
        let hashed = async {
            self.0.store.would_admit(&event.actor, managed).await?;
            if self.0.store.user(&name).await?.is_some() {
                return Err(UsersError::NameTaken);
            }
            self.judge(role, &name, &password)?;
            Ok(self.0.passwords.hash(&password).await?)
        };
        let added = Outcome::after(hashed.await, async |phc| {
            let add = AddUser {
                name: name.clone(),
                role,
                email: email.clone(),
                way_in: WayIn::Password(phc),
            };
            self.commit(add, event.clone()).await
        });
        let added = added.await;
        added
            .or_else(async |why| match why {
                UsersError::NameTaken => self.added_with(&name, &password, &event).await,
                why => Outcome::not_done(why),
            })
            .await
    }

    /// The user whom this very call has added, and who has no link but the one that it made, which was not
    /// shown to anyone.
    async fn added_before(&self, event: &Event) -> Result<Option<User>, StoreError> {
        let before = self.0.store.unanswered(event).await?;
        let Some(link) = before.and_then(|before| before.made) else {
            return Ok(None);
        };
        self.0.store.user_of_link(&link).await
    }

    /// There is a user of this name: perhaps added by this very call, with this password.
    async fn added_with(
        &self,
        name: &UserName,
        password: &Secret<String>,
        event: &Event,
    ) -> Changed<User> {
        let found = async {
            let Some(_) = self.0.store.unanswered(event).await? else {
                return Ok(None);
            };
            self.0.store.sign_in_facts(name).await
        };
        let facts = match found.await {
            Ok(facts) => facts,
            Err(fault) => return Outcome::not_certain(Doubt::unanswered(fault)),
        };
        if let Some(facts) = facts
            && let Some(phc) = &facts.password
        {
            let purpose = Purpose::NewPassword;
            let verified = self.0.passwords.verify(password, Some(phc), purpose);
            match verified.await.map(|verified| verified.right) {
                Ok(true) => {
                    self.0.revoker.answered(event);
                    return Outcome::done(facts.user);
                }
                Ok(false) => {}
                Err(why) => return Outcome::not_done(why.into()),
            }
        }
        Outcome::not_done(UsersError::NameTaken)
    }

    /// Writes a change that ends no sessions.
    async fn commit<C: Change>(&self, change: C, event: Event) -> Changed<C::Outcome> {
        match self.0.store.commit(change, event.clone()).await {
            Ok(committed) => {
                self.0.revoker.answered(&event);
                Outcome::done(committed.into_outcome())
            }
            Err(fault @ StoreError::Unanswered(_)) => {
                Outcome::not_certain(Doubt::unanswered(fault))
            }
            Err(fault) => Outcome::not_done(fault.into()),
        }
    }

    /// Everybody, by name.
    pub async fn list(&self) -> Result<Vec<Person>, UsersError> {
        Ok(self.0.store.people().await?)
    }

    /// Sets somebody's password; every session of that user ends. The password that is set already may
    /// be set again, so that a call whose answer was lost can be made again.
    pub async fn set_password(
        &self,
        name: &UserName,
        password: Secret<String>,
        actor: Actor,
    ) -> Changed<Report> {
        let event = Event::about(actor, Action::PasswordSet, name);
        let judged = async {
            let user = self.user(name).await?;
            self.may_set_password(&user, &event.actor).await?;
            self.judge(user.role, name, &password)?;
            self.hashed(user, &password, None, None).await
        };
        self.set(judged.await, event).await
    }

    /// Sets one's own password, with the current one as proof; every session ends, this one too.
    pub async fn change_own_password(
        &self,
        session: &Session,
        current: Secret<String>,
        new: Secret<String>,
        from: IpAddr,
    ) -> Changed<Report> {
        let name = &session.user().name;
        let event = Event::about(session.actor(from), Action::PasswordSet, name);
        let judged = async {
            let user = session.user();
            self.may_set_password(user, &event.actor).await?;
            if password::are_same(&current, &new) {
                return Err(UsersError::SamePassword);
            }
            self.judge(user.role, name, &new)?;
            let user = match self.0.login.confirm_password(session, &current).await {
                Ok(facts) => facts.user,
                Err(SignInError::Refused) => return Err(UsersError::WrongPassword),
                Err(SignInError::Busy { .. }) => return Err(UsersError::Busy),
                Err(fault) => return Err(fault.into()),
            };
            // A session that ended meanwhile, or a password that was changed, is in the generation.
            let as_of = Some(session.generation());
            self.hashed(user, &new, None, as_of).await
        };
        self.set(judged.await, event).await
    }

    /// Whether this act may set the user's password, asked before anything is hashed; the change itself
    /// asks again.
    async fn may_set_password(&self, user: &User, actor: &Actor) -> Result<(), UsersError> {
        let managed = Managed {
            user: Some(user.id),
            role: None,
        };
        Ok(self.0.store.would_admit(actor, managed).await?)
    }

    /// The change that sets a password which was judged already by all that costs nothing.
    async fn hashed(
        &self,
        user: User,
        password: &Secret<String>,
        link: Option<[u8; 32]>,
        as_of: Option<Generation>,
    ) -> Result<SetPassword, UsersError> {
        let comparing = self.is_current_or_new(&user, password, as_of.is_none());
        // Hashed before the transaction: the one writer must not wait for it.
        let hashing = async { Ok(self.0.passwords.hash(password).await?) };
        let (is_current, phc) = tokio::try_join!(biased; comparing, hashing)?;
        if is_current && link.is_some() {
            // Who chooses the own password chooses another one.
            return Err(UsersError::SamePassword);
        }
        // The one that is replaced by this counts as the first of them.
        let remembered = self.0.config.now().password.history.saturating_sub(1);
        Ok(SetPassword {
            user: user.id,
            remembered: (!is_current).then_some(remembered),
            phc,
            link,
            // If it is set again, it has to be the current one still.
            as_of: as_of.or(is_current.then_some(user.generation)),
        })
    }

    async fn set(&self, judged: Result<SetPassword, UsersError>, event: Event) -> Changed<Report> {
        Outcome::after(judged, async |change| {
            let (user, name) = (change.user, event.subject.clone());
            let outcome = self.0.revoker.set_password(change, event).await;
            let outcome = outcome.map_not_done(UsersError::from);
            outcome.map_done(|report| {
                if let Some(name) = name {
                    self.0.login.forgive(user, &name);
                }
                report
            })
        })
        .await
    }

    /// Whether it is the current password; one of those before it is refused. All are compared side by
    /// side, the newest first, and what is not begun when one fits is not begun at all. Two who set one at
    /// the same moment do not see each other's: this is a convenience, not a lock.
    async fn is_current_or_new(
        &self,
        user: &User,
        password: &Secret<String>,
        may_be_current: bool,
    ) -> Result<bool, UsersError> {
        let history = self.0.config.now().password.history;
        let current = async {
            match may_be_current {
                true => self.0.store.sign_in_facts(&user.name).await,
                false => Ok(None),
            }
        };
        let past = self.0.store.past_passwords(user.id);
        let (current, past) = tokio::try_join!(current, past)?;
        let fits = |phc| {
            let purpose = Purpose::NewPassword;
            self.0.passwords.verify(password, Some(phc), purpose)
        };
        let current = current.and_then(|facts| facts.password);
        let current = current.as_ref().map(fits);
        let past = past.iter().take(history.saturating_sub(1));
        let past: Vec<_> = past.map(fits).collect();
        if let Some(current) = current
            && current.await?.right
        {
            return Ok(true);
        }
        for one in past {
            if one.await?.right {
                return Err(UsersError::UsedBefore(history));
            }
        }
        Ok(false)
    }

    fn judge(
        &self,
        role: Role,
        name: &UserName,
        password: &Secret<String>,
    ) -> Result<(), UsersError> {
        let config = self.0.config.now();
        let external = config.gateway.external_url.host();
        let panels = config.panels.iter().flat_map(|panel| {
            let host = match &panel.host {
                PanelHost::Named(host) => Some(host.as_str()),
                PanelHost::External | PanelHost::Any => None,
            };
            host.into_iter().chain([panel.name.as_str()])
        });
        let place = Place {
            user: name.as_str(),
            names: panels.chain([external]).collect(),
        };
        let min_length = config.min_password_length(role);
        Ok(policy::judge(password.expose(), min_length, &place)?)
    }

    async fn user(&self, name: &UserName) -> Result<User, UsersError> {
        self.0.store.user(name).await?.ok_or(UsersError::Unknown)
    }
}

fn added(
    name: &UserName,
    role: Role,
    email: Option<&str>,
    link: Option<[u8; 32]>,
    actor: Actor,
) -> Event {
    let event = Event::about(actor, Action::UserAdded, name).detail(format!("as {role}"));
    // With a password it is another call.
    let way_in = link.map_or("password", |_| "link");
    event.once(&format!("{role} {email:?} {way_in}"), link)
}

impl From<StoreError> for UsersError {
    fn from(fault: StoreError) -> Self {
        match fault {
            StoreError::NameTaken => Self::NameTaken,
            StoreError::NoSuchUser => Self::Unknown,
            StoreError::LinkSpent => Self::LinkSpent,
            StoreError::LastAdministrator => Self::LastAdministrator,
            StoreError::ActorEnded => Self::ActorEnded,
            StoreError::Stale => Self::Stale,
            fault => Self::Store(fault),
        }
    }
}

impl From<Unwritten> for UsersError {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten.report {
            Some(_) => Self::Unwritten(Box::new(unwritten)),
            None => unwritten.fault.into(),
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
