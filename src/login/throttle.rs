//! Who may guess once more.
//!
//! | counted by | bound | at the bound |
//! | --- | --- | --- |
//! | name | 262,144 counters, chosen by a keyed hash | names share one: they wait sooner |
//! | user, for codes | the list of users | – |
//! | device | 20,000 | the counts that end soonest are forgotten |
//! | session | 20,000 | likewise |
//! | address | 50,000 | likewise |
//!
//! A wrong password is counted by the name that was typed, whether a user has it or not: in one table, kept
//! alike over a restart, answered alike. So the throttle does not tell who exists, and the sum of what
//! strangers can make is bounded. Names are never forgotten for room, since "forgotten" would be seen from
//! outside, and a flood of names could end a row of failures. Addresses are forgotten rather than refused:
//! with a /48 of IPv6 anybody fills any table, and a full one must not keep everybody out.
//!
//! What a stranger does is not felt by somebody who shows a live session of the user that is named, which
//! is counted alone, nor in a browser in which the user signed in before: that one has a small allowance
//! of its own, and once it is used up is a stranger like all others.
//!
//! Counts of names, users and devices are written behind and brought back at start: a crash forgets a
//! second of them. Those of sessions and addresses live in memory: they are worth a window at most.
//!
//! Where several nodes share a store, all of it is counted there instead, and nothing here.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Notify;

use super::SignInError;
use super::bounded::Bounded;
use super::tally::{Limit, Room, Tally};
use crate::clock::{Clock, Timestamp};
use crate::config::{Live, Rate};
use crate::model::{DeviceId, Guess, TokenHash, UserId};
use crate::store::{Bound, Failures, GuessKey, Guessed, NameTag, Store};

const MOST_DEVICES: usize = 20_000;
const MOST_SESSIONS: usize = 20_000;
pub(super) const MOST_ADDRESSES: usize = 50_000;

/// Wrong guesses a day that a device has of its own: all that a thief of its cookie gains.
const OF_DEVICE: Rate = Rate {
    count: 10,
    window: Duration::from_secs(24 * 60 * 60),
};

/// By what a guess is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A password, by the name that was typed.
    Name(NameTag),
    /// A code, behind a right password.
    Code(UserId),
    Device(DeviceId, Guess),
    Session(TokenHash, Guess),
    Address(IpAddr),
}

#[derive(Debug)]
pub(super) struct Throttle {
    config: Live,
    counts: Mutex<Counts>,
    settled: Notify,
    clock: Clock,
    /// Where several nodes count together.
    shared: Option<Store>,
}

#[derive(Debug)]
struct Counts {
    names: HashMap<NameTag, Tally>,
    codes: HashMap<UserId, Tally>,
    devices: Bounded<(DeviceId, Guess)>,
    unwritten: HashSet<Key>,
    sessions: Bounded<(TokenHash, Guess)>,
    addresses: Bounded<IpAddr>,
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
            counts: Mutex::new(Counts {
                names: HashMap::new(),
                codes: HashMap::new(),
                devices: Bounded::new(MOST_DEVICES),
                unwritten: HashSet::new(),
                sessions: Bounded::new(MOST_SESSIONS),
                addresses: Bounded::new(MOST_ADDRESSES),
            }),
            settled: Notify::new(),
            clock: store.clock().clone(),
            shared: store.is_shared().then(|| store.clone()),
        }
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
            let room = counts.of(key, now).room(self.limit(key), now);
            if room != Room::Free {
                return room;
            }
        }
        for key in keys.iter().flatten() {
            let tally = counts.of(key, now);
            tally.under_way = tally.under_way.saturating_add(1);
        }
        Room::Free
    }

    fn settle(&self, keys: &[Option<Key>; 2], has_failed: bool) {
        let now = self.clock.now();
        let mut counts = self.lock();
        for key in keys.iter().flatten() {
            counts.of(key, now).settle(self.limit(key), has_failed, now);
            if has_failed && key.is_kept() {
                counts.unwritten.insert(*key);
            }
        }
        drop(counts);
        self.settled.notify_waiters();
    }

    /// A sign-in was whole: nothing is in a row any more. The windows stay.
    pub(super) fn signed_in(&self, user: UserId, name: NameTag) {
        self.change(&[Key::Name(name)], end_row);
        // A device that is known gets past a lock on codes, and gives strangers no new tries by that.
        let codes = Key::Code(user);
        let limit = self.limit(&codes);
        self.change(&[codes], |tally| {
            if !tally.is_locked(limit) {
                end_row(tally);
            }
        });
    }

    /// Forgets what was tried with a user's name, and what the user failed at.
    pub(super) fn forgive(&self, user: UserId, name: NameTag) {
        self.change(&[Key::Code(user), Key::Name(name)], |tally| {
            tally.failed = 0;
            tally.in_a_row = 0;
        });
        self.settled.notify_waiters();
    }

    /// Ends the rows of these, as a whole sign-in would.
    pub(super) fn end_rows(&self, keys: &[GuessKey]) {
        let keys: Vec<_> = keys.iter().filter_map(Key::of_kept).collect();
        self.change(&keys, end_row);
    }

    fn change(&self, keys: &[Key], change: impl Fn(&mut Tally)) {
        let now = self.clock.now();
        let mut counts = self.lock();
        for key in keys {
            let tally = counts.of(key, now);
            let before = *tally;
            change(tally);
            // Also in case that an older count is just being written.
            if *tally != before {
                counts.unwritten.insert(*key);
            }
        }
    }

    /// What the store kept.
    pub(super) fn restore(&self, kept: Vec<Failures>) {
        let now = self.clock.now();
        let mut counts = self.lock();
        for one in kept {
            if let Some(key) = Key::of_kept(&one.key) {
                *counts.of(&key, now) = Tally {
                    failed: one.failed,
                    window_ends: one.window_ends,
                    in_a_row: one.in_a_row,
                    under_way: 0,
                };
            }
        }
    }

    /// What has changed since it was last written.
    pub(super) fn unwritten(&self) -> Vec<Failures> {
        let now = self.clock.now();
        let mut counts = self.lock();
        let keys = std::mem::take(&mut counts.unwritten);
        let mut count = |key: Key| {
            let tally = *counts.of(&key, now);
            Failures {
                key: key.in_store(),
                failed: tally.failed,
                window_ends: tally.window_ends,
                in_a_row: tally.in_a_row,
                locked: tally.is_locked(self.limit(&key)),
            }
        };
        keys.into_iter().map(&mut count).collect()
    }

    /// These could not be written.
    pub(super) fn write_again(&self, failures: &[Failures]) {
        let keys = failures.iter().filter_map(|one| Key::of_kept(&one.key));
        self.lock().unwritten.extend(keys);
    }

    fn limit(&self, key: &Key) -> Limit {
        let config = self.config.now();
        let in_a_row = config.throttle.per_user_total;
        let (rate, in_a_row) = match key {
            Key::Code(_) | Key::Session(_, Guess::Code) => {
                (config.second_factor.throttle, in_a_row)
            }
            Key::Name(_) | Key::Session(_, Guess::Password) => (config.throttle.per_user, in_a_row),
            Key::Device(_, Guess::Code) => (of_device(config.second_factor.throttle), in_a_row),
            Key::Device(_, Guess::Password) => (of_device(config.throttle.per_user), in_a_row),
            Key::Address(_) => (config.throttle.per_address, u32::MAX),
        };
        Limit { rate, in_a_row }
    }

    /// A panic while holding the lock leaves the counts whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a device may do of what is allowed to strangers.
fn of_device(strangers: Rate) -> Rate {
    Rate {
        count: OF_DEVICE.count.min(strangers.count),
        window: OF_DEVICE.window,
    }
}

fn end_row(tally: &mut Tally) {
    tally.in_a_row = 0;
}

impl Key {
    /// By what it is counted in the store.
    fn in_store(&self) -> GuessKey {
        match self {
            Self::Name(tag) => GuessKey::Name(*tag),
            Self::Code(user) => GuessKey::User(*user, Guess::Code),
            Self::Device(device, guess) => GuessKey::Device(*device, *guess),
            Self::Session(token, guess) => {
                let token = URL_SAFE_NO_PAD.encode(token.0);
                GuessKey::Other(format!("session/{token}/{}", guess.as_str()))
            }
            Self::Address(address) => GuessKey::Other(format!("address/{address}")),
        }
    }

    /// What is brought back after a restart.
    fn of_kept(key: &GuessKey) -> Option<Self> {
        match key {
            GuessKey::Name(tag) => Some(Self::Name(*tag)),
            GuessKey::User(user, Guess::Code) => Some(Self::Code(*user)),
            GuessKey::Device(device, guess) => Some(Self::Device(*device, *guess)),
            // Passwords are counted by name.
            GuessKey::User(_, Guess::Password) | GuessKey::Other(_) => None,
        }
    }

    fn is_kept(&self) -> bool {
        match self {
            Self::Name(_) | Self::Code(_) | Self::Device(..) => true,
            Self::Session(..) | Self::Address(_) => false,
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
    fn of(&mut self, key: &Key, now: Timestamp) -> &mut Tally {
        match key {
            Key::Name(name) => self.names.entry(*name).or_insert(Tally::EMPTY),
            Key::Code(user) => self.codes.entry(*user).or_insert(Tally::EMPTY),
            Key::Device(device, guess) => self.devices.of((*device, *guess), now),
            Key::Session(token, guess) => self.sessions.of((*token, *guess), now),
            Key::Address(address) => self.addresses.of(*address, now),
        }
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

    #[test]
    fn addresses_of_one_customer_are_one() {
        let key = |text: &str| Key::address(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1:2:3"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
