//! Who may guess once more.
//!
//! | counted by | bound | at the bound |
//! | --- | --- | --- |
//! | user | the list of users | – |
//! | name of nobody | 65 536 counters, chosen by a keyed hash | names share one: a stranger waits sooner |
//! | session | 20 000 | the counts that end soonest are forgotten |
//! | address | 50 000 | likewise |
//!
//! Names of nobody are counted as users are, or the throttle would tell who exists. Theirs are never
//! forgotten for room, since "forgotten" would be seen from outside; users never share a counter, so
//! that no flood of names locks anybody out. Addresses are forgotten rather than refused: with a /48 of
//! IPv6 anybody fills any table, and a full one must not keep everybody out; the count by user holds.
//!
//! Whoever shows a live session of the user that is named is counted by that session alone, and neither
//! held up by what strangers did with the name, or from the same address, nor able to hold up others.
//!
//! The counts of users are written behind and brought back at start: a crash forgets a second of them.
//! Those of sessions, addresses and nobody live in memory: they are worth a window at most, and whoever
//! could restart the gateway at will needs no password.
//!
//! Where several nodes share a store, all of it is counted there instead, and nothing here.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;

use super::SignInError;
use super::tally::{Limit, Room, Tally};
use crate::clock::{Clock, Timestamp};
use crate::config::Live;
use crate::model::{Guess, TokenHash, UserId};
use crate::secret::sha256;
use crate::store::{Bound, Failures, GuessKey, Guessed, Store};

const STRANGERS: usize = 1 << 16;
const MOST_SESSIONS: usize = 20_000;
pub(super) const MOST_ADDRESSES: usize = 50_000;

/// By what a guess is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    User(UserId, Guess),
    Nobody(u16),
    Session(TokenHash, Guess),
    Address(IpAddr),
}

#[derive(Debug)]
pub(super) struct Throttle {
    config: Live,
    /// So that nobody can choose names that share a counter.
    key: String,
    counts: Mutex<Counts>,
    settled: Notify,
    clock: Clock,
    /// Where several nodes count together.
    shared: Option<Store>,
}

#[derive(Debug)]
struct Counts {
    users: HashMap<(UserId, Guess), Tally>,
    unwritten: HashSet<(UserId, Guess)>,
    nobody: Vec<Tally>,
    sessions: Bounded<(TokenHash, Guess)>,
    addresses: Bounded<IpAddr>,
}

/// Counts of which only so many are kept.
#[derive(Debug)]
pub(super) struct Bounded<K> {
    most: usize,
    tallies: HashMap<K, Tally>,
}

/// The right to one guess. Dropped, it has failed, also when nobody waited for the answer.
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt<'a> {
    throttle: &'a Throttle,
    keys: [Option<Key>; 2],
    has_failed: bool,
}

impl Throttle {
    pub(super) fn new(config: Live, store: &Store) -> Self {
        Self {
            config,
            key: URL_SAFE_NO_PAD.encode(store.name_key()),
            counts: Mutex::new(Counts {
                users: HashMap::new(),
                unwritten: HashSet::new(),
                nobody: vec![Tally::EMPTY; STRANGERS],
                sessions: Bounded::new(MOST_SESSIONS),
                addresses: Bounded::new(MOST_ADDRESSES),
            }),
            settled: Notify::new(),
            clock: store.clock().clone(),
            shared: store.is_shared().then(|| store.clone()),
        }
    }

    /// By what a name is counted that no user has.
    pub(super) fn nobody(&self, name: &str) -> Key {
        let [first, second, ..] = sha256(&format!("{}{name}", self.key));
        Key::Nobody(u16::from_be_bytes([first, second]))
    }

    /// Takes the right to one guess, and waits for others that are under way where they decide.
    ///
    /// # Errors
    /// [`SignInError::TooMany`], [`SignInError::Store`]
    pub(super) async fn attempt(&self, keys: [Option<Key>; 2]) -> Result<Attempt<'_>, SignInError> {
        if let Some(store) = &self.shared {
            return self.attempt_in(store, keys).await;
        }
        loop {
            let settled = self.settled.notified();
            match self.take(&keys) {
                Room::Free => {
                    return Ok(Attempt {
                        throttle: self,
                        keys,
                        has_failed: true,
                    });
                }
                Room::Undecided => settled.await,
                Room::None(retry_after) => return Err(SignInError::TooMany { retry_after }),
            }
        }
    }

    /// Counted as failed until it turns out otherwise.
    async fn attempt_in(
        &self,
        store: &Store,
        keys: [Option<Key>; 2],
    ) -> Result<Attempt<'_>, SignInError> {
        let bounded = keys.iter().flatten().map(|key| {
            let Limit { rate, in_a_row } = self.limit(key);
            let bound = Bound {
                count: rate.count,
                window: rate.window,
                in_a_row,
            };
            (key.in_store(), bound)
        });
        let bounded: Vec<_> = bounded.collect();
        let guessed = store.count_guess(&bounded).await;
        match guessed.map_err(SignInError::Store)? {
            Guessed::Counted => Ok(Attempt {
                throttle: self,
                keys,
                has_failed: true,
            }),
            Guessed::Refused(retry_after) => Err(SignInError::TooMany { retry_after }),
        }
    }

    /// All of them or none.
    fn take(&self, keys: &[Option<Key>; 2]) -> Room {
        let now = self.clock.now();
        let mut counts = self.lock();
        for key in keys.iter().flatten() {
            let room = counts
                .of(key, now)
                .map_or(Room::Free, |tally| tally.room(self.limit(key), now));
            if room != Room::Free {
                return room;
            }
        }
        for key in keys.iter().flatten() {
            if let Some(tally) = counts.of(key, now) {
                tally.under_way = tally.under_way.saturating_add(1);
            }
        }
        Room::Free
    }

    fn settle(&self, keys: &[Option<Key>; 2], has_failed: bool) {
        let now = self.clock.now();
        let mut counts = self.lock();
        for key in keys.iter().flatten() {
            if let Some(tally) = counts.of(key, now) {
                tally.settle(self.limit(key), has_failed, now);
            }
            if let (Key::User(user, guess), true) = (key, has_failed) {
                counts.unwritten.insert((*user, *guess));
            }
        }
        drop(counts);
        self.settled.notify_waiters();
    }

    /// A sign-in was whole: nothing is in a row any more. The windows stay.
    pub(super) fn signed_in(&self, user: UserId) {
        self.change(user, |tally| tally.in_a_row = 0);
    }

    /// Forgets what a user failed at.
    pub(super) fn forgive(&self, user: UserId) {
        self.change(user, |tally| {
            tally.failed = 0;
            tally.in_a_row = 0;
        });
        self.settled.notify_waiters();
    }

    fn change(&self, user: UserId, change: impl Fn(&mut Tally)) {
        let mut counts = self.lock();
        for key in [(user, Guess::Password), (user, Guess::Code)] {
            if let Some(tally) = counts.users.get_mut(&key) {
                let before = *tally;
                change(tally);
                // Also in case that an older count is just being written.
                if *tally != before {
                    counts.unwritten.insert(key);
                }
            }
        }
    }

    /// What the store kept.
    pub(super) fn restore(&self, kept: Vec<Failures>) {
        let mut counts = self.lock();
        for one in kept {
            let tally = Tally {
                failed: one.failed,
                window_ends: one.window_ends,
                in_a_row: one.in_a_row,
                under_way: 0,
            };
            counts.users.insert((one.user, one.guess), tally);
        }
    }

    /// What has changed since it was last written.
    pub(super) fn unwritten(&self) -> Vec<Failures> {
        let mut counts = self.lock();
        let keys = std::mem::take(&mut counts.unwritten);
        let count = |(user, guess): (UserId, Guess)| {
            let tally = counts.users.get(&(user, guess))?;
            Some(Failures {
                user,
                guess,
                failed: tally.failed,
                window_ends: tally.window_ends,
                in_a_row: tally.in_a_row,
                locked: tally.is_locked(self.limit(&Key::User(user, guess))),
            })
        };
        keys.into_iter().filter_map(count).collect()
    }

    /// These could not be written.
    pub(super) fn write_again(&self, failures: &[Failures]) {
        let keys = failures.iter().map(|one| (one.user, one.guess));
        self.lock().unwritten.extend(keys);
    }

    fn limit(&self, key: &Key) -> Limit {
        let config = self.config.now();
        let in_a_row = config.throttle.per_user_total;
        let (rate, in_a_row) = match key {
            Key::User(_, Guess::Code) | Key::Session(_, Guess::Code) => {
                (config.second_factor.throttle, in_a_row)
            }
            Key::User(..) | Key::Session(..) | Key::Nobody(_) => {
                (config.throttle.per_user, in_a_row)
            }
            Key::Address(_) => (config.throttle.per_address, u32::MAX),
        };
        Limit { rate, in_a_row }
    }

    /// A panic while holding the lock leaves the counts whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    /// By what it is counted in a store that several nodes share.
    fn in_store(&self) -> GuessKey {
        match self {
            Self::User(user, guess) => GuessKey::User(*user, *guess),
            Self::Nobody(place) => GuessKey::Other(format!("nobody/{place}")),
            Self::Session(token, guess) => {
                let token = URL_SAFE_NO_PAD.encode(token.0);
                GuessKey::Other(format!("session/{token}/{}", guess.as_str()))
            }
            Self::Address(address) => GuessKey::Other(format!("address/{address}")),
        }
    }

    /// By the network of an address.
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(network(address))
    }
}

/// The network that one customer has: an IPv4 address, or a /64 of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Counts {
    fn of(&mut self, key: &Key, now: Timestamp) -> Option<&mut Tally> {
        match key {
            Key::User(user, guess) => {
                Some(self.users.entry((*user, *guess)).or_insert(Tally::EMPTY))
            }
            Key::Nobody(place) => self.nobody.get_mut(usize::from(*place)),
            Key::Session(token, guess) => Some(self.sessions.of((*token, *guess), now)),
            Key::Address(address) => Some(self.addresses.of(*address, now)),
        }
    }
}

impl<K: Eq + Hash> Bounded<K> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            tallies: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, key: K, now: Timestamp) -> &mut Tally {
        if self.tallies.len() >= self.most && !self.tallies.contains_key(&key) {
            self.make_room(now);
        }
        self.tallies.entry(key).or_insert(Tally::EMPTY)
    }

    /// Forgets what is over, or the older half: seldom, so that a flood pays little for each.
    fn make_room(&mut self, now: Timestamp) {
        self.tallies
            .retain(|_, tally| now < tally.window_ends || tally.under_way > 0);
        if self.tallies.len() < self.most / 2 {
            return;
        }
        let mut ends: Vec<Timestamp> = self.tallies.values().map(|one| one.window_ends).collect();
        let middle = ends.len() / 2;
        let middle = *ends.select_nth_unstable(middle).1;
        self.tallies.retain(|_, tally| middle < tally.window_ends);
    }
}

impl Attempt<'_> {
    /// It was right, or nobody looked at it.
    pub(super) async fn has_not_failed(mut self) {
        self.has_failed = false;
        let Some(store) = &self.throttle.shared else {
            return;
        };
        let keys: Vec<_> = self.keys.iter().flatten().map(Key::in_store).collect();
        if let Err(fault) = store.give_back_guess(&keys).await {
            tracing::warn!(%fault, "a guess that was right counts as failed");
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.throttle.shared.is_none() {
            self.throttle.settle(&self.keys, self.has_failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Tally {
        Tally {
            failed: 1,
            window_ends: Timestamp::from_millis(millis),
            ..Tally::EMPTY
        }
    }

    #[test]
    fn addresses_of_one_customer_are_one() {
        let key = |text: &str| Key::address(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn a_flood_never_passes_the_bound_and_the_newest_stay() {
        let mut table = Bounded::new(100);
        for number in 0..10_000_i64 {
            *table.of(number, Timestamp::from_millis(0)) = at(1 + number);
            assert!(table.tallies.len() <= 100);
            assert!(table.tallies.contains_key(&number));
        }
        table.make_room(Timestamp::from_millis(20_000));
        assert_eq!(table.tallies.len(), 0, "what is over goes first");
        for number in 0..1_000_i64 {
            *table.of(number, Timestamp::from_millis(0)) = at(7);
            assert!(table.tallies.len() <= 100, "all of one moment");
        }
    }
}
