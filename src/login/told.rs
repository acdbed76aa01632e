//! Reports failed sign-ins in the audit list and in the event log, a run in one entry.
//!
//! A run is what goes wrong in one way with one user, from one network, within a window; of names that no
//! user has, in one way from one network. Its entry is written behind, within a second, so that the answer
//! tells by its time neither whether it was written nor of whom; where more followed, a second one gives
//! the number when the run is over.
//!
//! A name that no user has is never written down: people type passwords into that field, and the first
//! letters of one are too much already. It is called by a tag instead, which is the same for the same name
//! and says nothing to a reader of the list who lacks the master key.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Origin;
use super::runs::Runs;
use super::throttle::network;
use crate::clock::Timestamp;
use crate::config::Rate;
use crate::model::{Action, Actor, Event, User, UserId, UserName};
use crate::store::Store;
use crate::store::change::Noted;
use crate::wire::RequestId;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Failure {
    /// Another password than the user's, or a name that no user has.
    Password,
    /// The right password of somebody who may not sign in.
    Disabled,
    /// A wrong code behind a right password.
    Code,
    /// Too many of these before it: it was not looked at.
    Throttled,
}

/// With whose name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    User(&'a User),
    /// As it was typed.
    Nobody(&'a str),
}

/// The runs of this node.
#[derive(Debug, Default)]
pub(super) struct Told {
    of_users: Runs<UserId, Key>,
    of_nobody: Runs<(), Key>,
    runs: Mutex<Vec<Run>>,
}

/// By what the failures of a run are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    user: Option<UserId>,
    /// `None` for whatever address: who is throttled, is so for all of them.
    network: Option<IpAddr>,
    failure: Failure,
}

/// A run that is reported.
#[derive(Debug)]
struct Run {
    key: Key,
    subject: Option<UserName>,
    /// With whose name, from where, by which browser.
    origin: String,
    address: IpAddr,
    request: Option<RequestId>,
    ends: Timestamp,
    /// How many failures it has had, as far as is known.
    count: u32,
    /// How many the entry says; `None` while there is none yet.
    written: Option<u32>,
}

/// The number of runs that wait to be written, or to be over. Their number in an hour is bounded for each user.
const MOST: usize = 10_000;

impl Told {
    /// Counts a failure; where it begins a run, the next [`Told::write`] reports that.
    pub(super) fn failed(
        &self,
        store: &Store,
        whose: Whose<'_>,
        failure: Failure,
        from: &Origin,
        window: Rate,
    ) {
        let now = store.clock().now();
        let mut key = Key {
            user: None,
            network: Some(network(from.address.address())),
            failure,
        };
        // Without an end of their own: the throttle has one.
        let endless = Rate {
            count: u32::MAX,
            window: window.window,
        };
        let begins = match whose {
            Whose::User(user) => {
                key.user = Some(user.id);
                key.network = key.network.filter(|_| failure != Failure::Throttled);
                self.of_users.count(user.id, key, endless, now).begins_run
            }
            Whose::Nobody(_) => self.of_nobody.count((), key, endless, now).begins_run,
        };
        let mut runs = self.lock();
        if !begins || runs.len() >= MOST {
            return;
        }
        let name = match whose {
            Whose::User(_) => String::new(),
            Whose::Nobody(name) => {
                format!("with a name that no user has (~{}) ", store.pseudonym(name))
            }
        };
        runs.push(Run {
            key,
            subject: match whose {
                Whose::User(user) => Some(user.name.clone()),
                Whose::Nobody(_) => None,
            },
            origin: format!("{name}from {} with {}", from.address, from.device),
            address: from.address.address(),
            request: RequestId::current_if_any(),
            ends: now.plus(window.window),
            count: 1,
            written: None,
        });
    }

    /// Writes of the runs that have begun, and of those that are over, or of all, what is not written yet.
    pub(super) async fn write(&self, store: &Store, all: bool) {
        let now = store.clock().now();
        let mut runs = std::mem::take(&mut *self.lock());
        let mut is_written = true;
        for run in &mut runs {
            let so_far = match run.key.user {
                Some(_) => self.of_users.so_far(&run.key, run.ends),
                None => self.of_nobody.so_far(&run.key, run.ends),
            };
            run.count = run.count.max(so_far.unwrap_or(0));
            let is_over = all || run.ends <= now;
            let is_news = run.written.is_none() || (is_over && run.written != Some(run.count));
            // A store that fails is not asked for each of them.
            if is_news && is_written {
                is_written = run.write(store).await;
            }
        }
        runs.retain(|run| now < run.ends);
        let mut later = self.lock();
        runs.append(&mut later);
        *later = runs;
    }

    /// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Run {
    /// Whether it could be written. The answers do not depend on it: each of them has a line in the access
    /// log all the same.
    async fn write(&mut self, store: &Store) -> bool {
        let what = self.key.failure.in_words();
        let (count, origin, address) = (self.count, &self.origin, self.address);
        let number = match (self.written, count) {
            (Some(_), _) => format!("{count} in all, the first "),
            (None, 1) => String::new(),
            (None, _) => format!("{count} so far, the first "),
        };
        let user = self.subject.as_ref().map(UserName::as_str);
        let request = self.request.map(|id| id.to_string());
        tracing::warn!(user, client = %address, count, request, "failed sign-in: {what} {number}{origin}");
        let (action, detail) = (
            self.key.failure.action(),
            format!("{what}, {number}{origin}"),
        );
        let event = match &self.subject {
            Some(name) => Event::about(Actor::Gateway, action, name),
            None => Event::general(Actor::Gateway, action),
        };
        let write = store.commit(Noted, event.detail(detail));
        let written = match self.request {
            Some(id) => id.of(write).await,
            None => write.await,
        };
        match written {
            Ok(_) => self.written = Some(count),
            Err(fault) => {
                tracing::error!(%fault, "a failed sign-in could not be written to the audit list");
            }
        }
        self.written == Some(count)
    }
}

impl Failure {
    fn action(self) -> Action {
        match self {
            Self::Password | Self::Disabled | Self::Code => Action::SignInFailed,
            Self::Throttled => Action::Guessing,
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Password => "a wrong password",
            Self::Disabled => "the right password of a disabled account",
            Self::Code => "a right password and a wrong code",
            Self::Throttled => "too many failures, so refused without a look at what was typed",
        }
    }
}
