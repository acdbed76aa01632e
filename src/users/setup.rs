//! One-time links by which people set their first password, or a new one.
//!
//! A link lives a day, dies with the next one and with every password that is set, and is spent in the
//! transaction that sets the password. It never skips a second factor that is there (ASVS 6.4.3).

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Users, UsersError};
use crate::login::{Next, Origin};
use crate::model::{Action, Actor, Credential, Event, User};
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
    ///
    /// # Errors
    /// [`UsersError`]; so for every verb here.
    pub async fn renew_setup_link(
        &self,
        user: &User,
        actor: Actor,
    ) -> Result<SetupLink, UsersError> {
        let link = SetupLink::random();
        let change = AddSetupLink {
            user: user.id,
            hash: link.hash(),
            expires: self.0.clock.now().plus(LIFETIME),
        };
        let event = Event::about(actor, Action::SetupLinkMade, &user.name);
        self.0.store.commit(change, event).await?;
        self.0.login.forgive(user.id);
        Ok(link)
    }

    /// For whom a link is, while it can be used.
    pub async fn setup_user(&self, token: &str) -> Result<User, UsersError> {
        let link = self.0.store.setup_link(&sha256(token)).await?;
        link.map(|link| link.user).ok_or(UsersError::LinkSpent)
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

    /// Spends a link for a password, and goes on as after any right password.
    pub async fn set_up(
        &self,
        token: &str,
        password: Secret<String>,
        from: &Origin,
    ) -> Result<Next, UsersError> {
        let user = self.setup_user(token).await?;
        self.judge(user.role, &user.name, &password)?;
        let actor = Actor::User {
            name: user.name.clone(),
            address: from.address,
            credential: Credential::SetupLink {
                hash: sha256(token),
            },
        };
        let event = Event::about(actor, Action::PasswordSet, &user.name).detail("by set-up link");
        self.set(&user, &password, Some(sha256(token)), None, event)
            .await?;
        // Checked once more as at any sign-in: there is one way to be half signed in.
        Ok(self
            .0
            .login
            .with_password(user.name.as_str(), password, from)
            .await?)
    }
}
