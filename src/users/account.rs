//! Accounts as they are managed: role, e-mail, disabled, second factors, the end of an account.
//!
//! Every verb here ends the user's sessions, and none takes the last administrator away: the store
//! decides that, in the transaction of the change.

use super::{Users, UsersError};
use crate::model::{Action, Actor, Event, Role, User, UserName};
use crate::revoke::Outcome;
use crate::store::change::{EditUser, RemoveUser, ResetSecondFactor};
use crate::store::{AuditEntry, Person};

/// What is to be different about a user; `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    pub role: Option<Role>,
    /// `Some(None)` takes the address away.
    pub email: Option<Option<String>>,
    pub disabled: Option<bool>,
}

impl Users {
    /// One user, with what belongs to the account.
    ///
    /// # Errors
    /// [`UsersError::Unknown`], [`UsersError::Store`].
    pub async fn person(&self, name: &UserName) -> Result<Person, UsersError> {
        let person = self.0.store.person(name).await?;
        person.ok_or(UsersError::Unknown)
    }

    /// The audit list before an entry, or from its end: newest first, at the most `limit` entries.
    ///
    /// # Errors
    /// [`UsersError::Store`].
    pub async fn audit_before(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, UsersError> {
        Ok(self.0.store.audit_before(before, limit).await?)
    }

    /// Changes an account, and ends the sessions of its user; `None` when it was so already, and then
    /// nothing is written and no session ends.
    ///
    /// # Errors
    /// [`UsersError::LastAdministrator`]; otherwise as every verb here.
    pub async fn edit(
        &self,
        name: &UserName,
        edit: Edit,
        actor: Actor,
    ) -> Result<Option<Outcome>, UsersError> {
        let user = self.user(name).await?;
        let edit = edit.that_differs_from(&user);
        let Some(event) = edit.event(&user, actor) else {
            return Ok(None);
        };
        let change = EditUser {
            user: user.id,
            role: edit.role,
            email: edit.email,
            disabled: edit.disabled,
        };
        let outcome = self.0.revoker.change_account(user.id, change, event).await;
        Ok(Some(outcome?))
    }

    /// Takes every second factor away, and ends the sessions; the next sign-in enrols anew.
    ///
    /// # Errors
    /// As every verb here.
    pub async fn reset_second_factor(
        &self,
        name: &UserName,
        actor: Actor,
    ) -> Result<Outcome, UsersError> {
        let user = self.user(name).await?.id;
        let event = Event::about(actor, Action::SecondFactorReset, name);
        let change = ResetSecondFactor { user };
        let outcome = self.0.revoker.change_account(user, change, event).await?;
        self.0.login.forgive(user);
        Ok(outcome)
    }

    /// Removes a user. Another of the same name later is another user.
    ///
    /// # Errors
    /// [`UsersError::LastAdministrator`]; otherwise as every verb here.
    pub async fn remove(&self, name: &UserName, actor: Actor) -> Result<Outcome, UsersError> {
        let user = self.user(name).await?.id;
        let event = Event::about(actor, Action::UserRemoved, name);
        let change = RemoveUser { user };
        Ok(self.0.revoker.change_account(user, change, event).await?)
    }
}

impl Edit {
    fn that_differs_from(self, user: &User) -> Self {
        Self {
            role: self.role.filter(|role| *role != user.role),
            email: self.email.filter(|email| *email != user.email),
            disabled: self.disabled.filter(|disabled| *disabled != user.disabled),
        }
    }

    /// One entry for all of it, named after what weighs most; `None` when nothing is different.
    fn event(&self, user: &User, actor: Actor) -> Option<Event> {
        let role = self
            .role
            .map(|role| (Action::RoleChanged, format!("from {} to {role}", user.role)));
        let email = self.email.as_ref().map(|email| {
            let email = email.as_deref().unwrap_or("none");
            (Action::EmailChanged, format!("e-mail {email}"))
        });
        let state = self.disabled.map(|disabled| match disabled {
            true => (Action::UserDisabled, "disabled".to_owned()),
            false => (Action::UserEnabled, "enabled".to_owned()),
        });
        let all: Vec<(Action, String)> = [state, role, email].into_iter().flatten().collect();
        let (action, _) = all.first()?;
        let words: Vec<&str> = all.iter().map(|(_, words)| words.as_str()).collect();
        Some(Event::about(actor, *action, &user.name).detail(words.join(", ")))
    }
}

/// Reads an address as it is passed on to the panel: visible ASCII, so that it fits into a header field.
///
/// # Errors
/// A sentence that says what is expected.
pub fn email_address(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let whole = text
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if plain && whole && text.len() <= 254 {
        Ok(text.to_owned())
    } else {
        Err("this is no e-mail address like ada@example.org")
    }
}
