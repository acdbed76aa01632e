//! What was ended in memory though the store could not write it: the store still has these sessions,
//! and none of them may come back into the table from there.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::model::{SessionRecord, TokenHash, UserId};

/// Which sessions of the store are dead on this gateway. Grows with the sessions that the store has,
/// and no further.
#[derive(Debug)]
pub(super) struct EndedHere {
    /// Sessions of everybody that were begun up to then, in milliseconds.
    everybody: AtomicI64,
    named: Mutex<Named>,
}

#[derive(Debug, Default)]
struct Named {
    /// Sessions of a user that were begun up to then.
    users: HashMap<UserId, Timestamp>,
    tokens: HashSet<TokenHash>,
}

impl Default for EndedHere {
    fn default() -> Self {
        Self {
            everybody: AtomicI64::new(i64::MIN),
            named: Mutex::default(),
        }
    }
}

impl EndedHere {
    pub(super) fn note_user(&self, user: UserId, now: Timestamp) {
        self.lock().users.insert(user, now);
    }

    pub(super) fn note_everybody(&self, now: Timestamp) {
        self.everybody.fetch_max(now.millis(), Ordering::SeqCst);
    }

    pub(super) fn note_token(&self, token: TokenHash) {
        self.lock().tokens.insert(token);
    }

    /// Whether the session was ended here.
    pub(super) fn has(&self, record: &SessionRecord) -> bool {
        if record.created.millis() <= self.everybody.load(Ordering::SeqCst) {
            return true;
        }
        let named = self.lock();
        let of_user = named.users.get(&record.user);
        of_user.is_some_and(|until| record.created <= *until)
            || named.tokens.contains(&record.token)
    }

    /// A panic while holding the lock leaves the sets whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
