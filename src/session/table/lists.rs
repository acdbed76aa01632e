//! Sessions looked for by something else than their token: for pages and calls, not for requests.

use std::sync::Arc;

use super::super::Session;
use super::Sessions;
use crate::model::{SessionId, UserId, UserName};

impl Sessions {
    /// The live sessions of a user, the newest first, without those that another has replaced.
    pub fn of(&self, user: UserId) -> Vec<Arc<Session>> {
        let holder = self.0.by_user.get(&user).map(|found| Arc::clone(&found));
        let Some(holder) = holder else {
            return Vec::new();
        };
        let now = self.0.clock.now();
        let mut live: Vec<_> = holder
            .lock()
            .iter()
            .filter(|session| !session.is_replaced() && self.check(session, now).is_ok())
            .cloned()
            .collect();
        live.sort_by_key(|session| std::cmp::Reverse(session.created()));
        live
    }

    /// The live session of a user with this public name.
    pub fn of_user_by_id(&self, user: UserId, id: &SessionId) -> Option<Arc<Session>> {
        self.of(user).into_iter().find(|session| session.id() == id)
    }

    /// The live session of this public name. Looks through all: for the rare call, not for requests.
    pub fn by_id(&self, id: &SessionId) -> Option<Arc<Session>> {
        let now = self.0.clock.now();
        let mut all = self.0.by_token.iter();
        let found = all.find(|entry| entry.id() == id)?;
        self.check(&found, now).ok()?;
        Some(Arc::clone(&found))
    }

    /// The user of this name, if a session of theirs is in the table. Looks through all: for the rare call.
    pub fn user_named(&self, name: &UserName) -> Option<UserId> {
        let mut all = self.0.by_token.iter();
        let found = all.find(|entry| entry.user().name == *name)?;
        Some(found.user().id)
    }

    /// Every live session, the newest first, without those that another has replaced.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let now = self.0.clock.now();
        let mut live: Vec<_> = self
            .0
            .by_token
            .iter()
            .filter(|entry| !entry.is_replaced() && self.check(entry, now).is_ok())
            .map(|entry| Arc::clone(&entry))
            .collect();
        live.sort_by_key(|session| std::cmp::Reverse(session.created()));
        live
    }
}
