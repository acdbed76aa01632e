//! Half signed in: who has given a right password and nothing else yet.
//!
//! A transaction lives five minutes, takes five tries and is over when somebody finishes it. Its
//! cookie is not a session token and its table is not the session table: it opens no page but the
//! next step.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::Timestamp;
use crate::model::User;
use crate::secret::{Secret, random_bytes, sha256};

/// How long a person has for the next step.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// How many codes may be tried in one sign-in.
const TRIES: u32 = 5;

/// How many sign-ins may be under way; each needed a right password.
const MOST: usize = 10_000;

/// How many of one user.
const MOST_PER_USER: usize = 10;

/// The cookie of a sign-in that is under way.
#[derive(Debug)]
pub struct Half(Secret<String>);

/// A sign-in that is under way.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    /// The user as read together with the password hash.
    pub(super) user: User,
    pub(super) stage: Stage,
}

/// What it waits for.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    Code,
    /// A code of an app that was given this secret.
    Enrolment(Secret<Vec<u8>>),
}

/// The sign-ins that are under way, by the hash of their cookie.
#[derive(Debug, Default)]
pub(super) struct Table(Mutex<HashMap<[u8; 32], Entry>>);

#[derive(Debug)]
struct Entry {
    pending: Pending,
    ends: Timestamp,
    tries: u32,
}

impl Half {
    /// The value of the cookie.
    pub fn cookie_value(&self) -> &str {
        self.0.expose()
    }
}

impl Table {
    /// Takes one in; `None` when there are too many.
    pub(super) fn put(&self, pending: Pending, now: Timestamp) -> Option<Half> {
        let mut entries = self.lock();
        if entries.len() >= MOST {
            entries.retain(|_, entry| now < entry.ends);
        }
        if entries.len() >= MOST {
            return None;
        }
        let of_user = |entry: &Entry| entry.pending.user.id == pending.user.id;
        if entries.values().filter(|entry| of_user(entry)).count() >= MOST_PER_USER {
            // The oldest goes, so that one user can't fill the table for everybody.
            let oldest = entries
                .iter()
                .filter(|(_, entry)| of_user(entry))
                .min_by_key(|(_, entry)| entry.ends)
                .map(|(key, _)| *key);
            oldest.and_then(|key| entries.remove(&key));
        }
        let half = Half(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>())));
        let entry = Entry {
            pending,
            ends: now.plus(LIFETIME),
            tries: 0,
        };
        entries.insert(sha256(half.cookie_value()), entry);
        Some(half)
    }

    pub(super) fn get(&self, cookie: &str, now: Timestamp) -> Option<Pending> {
        let entries = self.lock();
        let entry = entries
            .get(&sha256(cookie))
            .filter(|entry| now < entry.ends)?;
        Some(entry.pending.clone())
    }

    /// Looks one up for a try, which is counted. After the last one it is gone.
    pub(super) fn attempt(&self, cookie: &str, now: Timestamp) -> Option<Pending> {
        let mut entries = self.lock();
        let entry = entries.get_mut(&sha256(cookie))?;
        entry.tries += 1;
        if now < entry.ends && entry.tries <= TRIES {
            return Some(entry.pending.clone());
        }
        entries.remove(&sha256(cookie));
        None
    }

    /// Takes one out, for good; whether it was there.
    pub(super) fn take(&self, cookie: &str) -> bool {
        self.lock().remove(&sha256(cookie)).is_some()
    }

    /// A panic while holding the lock leaves the map whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
