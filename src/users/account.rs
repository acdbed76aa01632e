//! Accounts as they are managed: role, e-mail, disabled, second factors, the end of an account.
//!
//! Every verb here ends the user's sessions, and none takes the last administrator away: the store
//! decides that, in the transaction of the change.

use super::{Changed, Users, UsersError};
use crate::model::{Action, Actor, Event, Outcome, Role, User, UserName};
use crate::revoke::Report;
use crate::store::change::{EditUser, RemoveUser, ResetSecondFactor};
use crate::store::{AuditEntry, Person};

/// An account that was changed.
#[derive(Debug)]
pub struct Edited {
    /// As it is by now.
    pub person: Person,
    /// What the change ended; `None` when nothing was different.
    pub ended: Option<Report>,
}

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

    /// Changes an account, and ends the sessions of its user. The user as it is by then, and what was
    /// ended; `None` when it was so already, and then nothing is written and no session ends.
    pub async fn edit(&self, name: &UserName, edit: Edit, actor: Actor) -> Changed<Edited> {
        let found = self.person(name).await;
        Outcome::after(found, async |mut person| {
            let edit = edit.that_differs_from(&person.user);
            let Some(event) = edit.event(&person.user, actor.clone()) else {
                // It may be so because of a call that was not answered with success.
                let event = Event::about(actor, Action::RoleChanged, name);
                let confirmed = self.0.revoker.confirm(&event).await;
                let confirmed = confirmed.map_not_done(UsersError::from);
                return confirmed.map_done(|_| Edited {
                    person,
                    ended: None,
                });
            };
            let change = EditUser {
                user: person.user.id,
                role: edit.role,
                email: edit.email.clone(),
                disabled: edit.disabled,
            };
            let user = person.user.id;
            let outcome = self.0.revoker.change_account(user, change, event).await;
            let outcome = outcome.map_not_done(UsersError::from);
            outcome.map_done(|report| {
                edit.apply_to(&mut person);
                Edited {
                    person,
                    ended: Some(report),
                }
            })
        })
        .await
    }

    /// Ends every session of a user, for the reason in `event`. Where the store can't be asked who that
    /// is, the sessions that are known here are ended all the same.
    pub async fn end_sessions(&self, name: &UserName, event: Event) -> Changed<Report> {
        let revoker = &self.0.revoker;
        let ended = match self.0.store.user(name).await {
            Ok(Some(user)) => revoker.end_user(&user, event).await,
            Ok(None) => return Outcome::not_done(UsersError::Unknown),
            Err(fault) => revoker.end_unread(name, fault, event).await,
        };
        ended.map_not_done(UsersError::from)
    }

    /// Takes every second factor away, and ends the sessions; the next sign-in enrols again.
    pub async fn reset_second_factor(&self, name: &UserName, actor: Actor) -> Changed<Report> {
        let event = Event::about(actor, Action::SecondFactorReset, name);
        Outcome::after(self.user(name).await, async |user| {
            let change = ResetSecondFactor { user: user.id };
            let outcome = self.0.revoker.change_account(user.id, change, event).await;
            let outcome = outcome.map_not_done(UsersError::from);
            outcome.map_done(|report| {
                self.0.login.forgive(user.id, &user.name);
                report
            })
        })
        .await
    }

    /// Removes a user. Another of the same name later is another user. A call that is made again because
    /// its caller got no answer that it is done is answered as done.
    pub async fn remove(&self, name: &UserName, actor: Actor) -> Changed<Report> {
        let event = Event::about(actor, Action::UserRemoved, name).once("", None);
        let removed = Outcome::after(self.user(name).await, async |user| {
            let change = RemoveUser { user: user.id };
            let event = event.clone();
            let outcome = self.0.revoker.change_account(user.id, change, event).await;
            outcome.map_not_done(UsersError::from)
        });
        let removed = removed.await;
        removed
            .or_else(async |why| match why {
                UsersError::Unknown => match self.0.revoker.again(&event).await {
                    Some(confirmed) => confirmed.map_not_done(UsersError::from),
                    None => Outcome::not_done(UsersError::Unknown),
                },
                why => Outcome::not_done(why),
            })
            .await
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

    /// The account as the change leaves it: no session outlives it.
    fn apply_to(self, person: &mut Person) {
        let user = &mut person.user;
        user.role = self.role.unwrap_or(user.role);
        user.disabled = self.disabled.unwrap_or(user.disabled);
        if let Some(email) = self.email {
            user.email = email;
        }
        person.sessions = 0;
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
