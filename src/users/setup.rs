//! One-time links by which people set their first password, or a new one.
//!
//! A link lives a day, dies with the next one and with every password that is set, and is spent in the
//! transaction that sets the password. It never skips a second factor that is there (ASVS 6.4.3).

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Changed, Users, UsersError};
use crate::login::{Next, Origin, SignInError};
use crate::model::{Action, Actor, Asked, Credential, Event, Outcome, User, UserName};
use crate::secret::{Secret, random_bytes, sha256};
use crate::store::change::{AddSetupLink, Noted};

/// How long a link can be used.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A link that was made, for the one who hands it on.
#[derive(Debug)]
pub struct SetupLink {
    /// What stands behind `/.portcullis/setup?token=`.
    pub token: Secret<String>,
}

impl SetupLink {
    pub(super) fn random() -> Self {
        Self {
            token: Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>())),
        }
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(self.token.expose())
    }
}

impl Users {
    /// A new link; the one before is dead.
    pub async fn renew_setup_link(&self, user: &User, actor: Actor) -> Changed<SetupLink> {
        let link = SetupLink::random();
        let change = AddSetupLink {
            user: user.id,
            hash: link.hash(),
            expires: self.0.clock.now().plus(LIFETIME),
        };
        let event = Event::about(actor, Action::SetupLinkMade, &user.name);
        let made = self.commit(change, event).await;
        made.map_done(|()| {
            self.0.login.forgive(user.id, &user.name);
            link
        })
    }

    /// For whom a link is, while it can be used.
    ///
    /// # Errors
    /// [`UsersError::LinkSpent`], [`UsersError::Store`]
    pub async fn setup_user(&self, token: &str) -> Result<User, UsersError> {
        let link = self.0.store.setup_link(&sha256(token)).await?;
        link.map(|link| link.user).ok_or(UsersError::LinkSpent)
    }

    /// Whose password was set by this link, which is spent, if its user perhaps got no answer.
    ///
    /// # Errors
    /// [`UsersError::Store`]
    pub async fn set_up_before(&self, token: &str) -> Result<Option<UserName>, UsersError> {
        let asked = Asked::by_link(&sha256(token), Action::PasswordSet);
        let before = self.0.store.unanswered_act(&asked).await?;
        Ok(before.and_then(|before| before.subject))
    }

    /// Goes on as after [`Users::set_up`], which was not answered: with the password that it set.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn go_on_after_set_up(
        &self,
        name: &UserName,
        password: Secret<String>,
        from: &Origin,
    ) -> Result<Next, SignInError> {
        let login = &self.0.login;
        login.with_password(name.as_str(), password, from).await
    }

    /// Tells in the audit list that links of no user come from an address. That the list can't be written
    /// changes no answer.
    pub async fn tell_of_refused_link(&self, address: IpAddr) {
        let event = Event::general(Actor::Gateway, Action::SetupLinkRefused).detail(format!(
            "a link that does not work was opened from {address}; more of the same run are in the access log and the metrics"
        ));
        if let Err(fault) = self.0.store.commit(Noted, event).await {
            tracing::error!(%fault, "a refused link could not be written to the audit list");
        }
    }

    /// Spends a link for a password, and goes on as after any right password. That the password is set
    /// is one thing, and where the sign-in leads to is another.
    pub async fn set_up(
        &self,
        token: &str,
        password: Secret<String>,
        from: &Origin,
    ) -> Changed<Result<Next, SignInError>> {
        let judged = async {
            let user = self.setup_user(token).await?;
            let name = user.name.clone();
            let actor = Actor::User {
                name: name.clone(),
                address: from.address.address(),
                credential: Credential::SetupLink {
                    hash: sha256(token),
                },
            };
            self.may_set_password(&user, &actor).await?;
            self.judge(user.role, &name, &password)?;
            let change = self.hashed(user, &password, Some(sha256(token)), None);
            Ok((name, actor, change.await?))
        };
        Outcome::after(judged.await, async |(name, actor, change)| {
            let event = Event {
                // The holder of a spent link is known by that alone.
                asked: Some(Asked::by_link(&sha256(token), Action::PasswordSet)),
                ..Event::about(actor, Action::PasswordSet, &name).detail("by set-up link")
            };
            let set = self.set(Ok(change), event).await;
            set.then(async |_| {
                // Checked once more as at any sign-in: there is one way to be half signed in.
                let login = &self.0.login;
                login.with_password(name.as_str(), password, from).await
            })
            .await
        })
        .await
    }
}
