//! Secrets that are wrong and name no user: set-up links and management tokens, counted by address.
//!
//! Such a secret has 256 random bits, so that a limit is not what protects it. It keeps a flood from
//! costing more than its first requests, and lets the audit list tell of a run in one entry. The
//! secret is looked up first: one that is right is never held up by what others sent from its address.
//!
//! Each node counts for itself and forgets at a restart: what is counted is worth one window.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::tally::{Limit, Room, Tally};
use super::throttle::{Bounded, MOST_ADDRESSES, network};
use crate::clock::Timestamp;
use crate::config::Rate;
use crate::model::ClientAddress;

/// Wrong secrets of one kind. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct WrongSecrets(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    addresses: Bounded<IpAddr>,
    /// Of proxies that name no client. They are told of and never held up.
    proxies: Bounded<IpAddr>,
    /// Runs that were worth an entry of the audit list: their number is bounded, or whoever has a
    /// large network could fill the list.
    told: Tally,
}

/// What follows from one more wrong secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// It begins a run of its address that the audit list should tell of.
    pub begins_run: bool,
    /// It is the one with which the limit of its address is reached.
    pub reaches_limit: bool,
    /// There were too many before it: how long the address has to wait.
    pub wait: Option<Duration>,
}

/// More of them than anybody has in front of one gateway.
const MOST_PROXIES: usize = 1_000;

/// So many runs are told of in an hour.
const MOST_TOLD: Rate = Rate {
    count: 60,
    window: Duration::from_secs(60 * 60),
};

impl Default for WrongSecrets {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Counts {
            addresses: Bounded::new(MOST_ADDRESSES),
            proxies: Bounded::new(MOST_PROXIES),
            told: Tally::EMPTY,
        })))
    }
}

impl WrongSecrets {
    /// Counts one that came from `client`, of which `rate` says how many are allowed. What a proxy brings
    /// without a name may be of many people: runs of it are told of, and nobody is held up.
    pub fn count(&self, client: ClientAddress, rate: Rate, now: Timestamp) -> Wrong {
        // A panic while holding the lock leaves the counts whole, so poisoning tells nothing.
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = &mut *counts;
        let limit = in_a_window(rate);
        let (tally, is_one_client) = match client {
            ClientAddress::Known(address) => (counts.addresses.of(network(address), now), true),
            ClientAddress::OfProxy(address) => (counts.proxies.of(address, now), false),
        };
        if let Room::None(wait) = tally.room(limit, now) {
            let wait = wait.max(Duration::from_secs(1));
            return Wrong {
                begins_run: false,
                reaches_limit: false,
                wait: is_one_client.then_some(wait),
            };
        }
        let is_first = tally.failed == 0;
        tally.settle(limit, true, now);
        Wrong {
            begins_run: is_first && counts.told.takes(in_a_window(MOST_TOLD), now),
            reaches_limit: is_one_client && tally.failed == rate.count,
            wait: None,
        }
    }
}

impl Tally {
    /// Counts one more, if there is room for it.
    fn takes(&mut self, limit: Limit, now: Timestamp) -> bool {
        let has_room = self.room(limit, now) == Room::Free;
        if has_room {
            self.settle(limit, true, now);
        }
        has_room
    }
}

/// Nothing but the window counts.
fn in_a_window(rate: Rate) -> Limit {
    Limit {
        rate,
        in_a_row: u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        count: 3,
        window: Duration::from_secs(60),
    };

    #[test]
    fn a_run_is_told_once_and_held_up_at_its_limit() {
        let wrong = WrongSecrets::default();
        let start = Timestamp::from_millis(0);
        let at = |text: &str, seconds| {
            let now = start.plus(Duration::from_secs(seconds));
            wrong.count(ClientAddress::Known(text.parse().unwrap()), RATE, now)
        };
        let first = at("192.0.2.1", 0);
        assert!(first.begins_run && !first.reaches_limit && first.wait.is_none());
        assert!(!at("192.0.2.1", 1).begins_run);
        assert!(at("::ffff:192.0.2.1", 2).reaches_limit);
        let fourth = at("192.0.2.1", 10);
        assert_eq!(fourth.wait, Some(Duration::from_secs(50)));
        assert!(!fourth.begins_run && !fourth.reaches_limit);
        assert!(at("192.0.2.2", 11).begins_run, "another address");
        assert!(at("192.0.2.1", 61).begins_run, "the next run");
    }

    #[test]
    fn what_a_proxy_brings_without_a_name_holds_nobody_up() {
        let wrong = WrongSecrets::default();
        let now = Timestamp::from_millis(0);
        let address = "192.0.2.1".parse().unwrap();
        let told: Vec<Wrong> = (0..100)
            .map(|_| wrong.count(ClientAddress::OfProxy(address), RATE, now))
            .collect();
        assert_eq!(told.iter().filter(|wrong| wrong.begins_run).count(), 1);
        let is_held_up = |wrong: &Wrong| wrong.reaches_limit || wrong.wait.is_some();
        assert!(!told.iter().any(is_held_up));
        let client = wrong.count(ClientAddress::Known(address), RATE, now);
        assert_eq!(client.wait, None, "the proxy's own people");
    }

    #[test]
    fn a_network_of_any_size_is_told_of_within_bounds() {
        let wrong = WrongSecrets::default();
        let now = Timestamp::from_millis(0);
        let runs = (0..5_000_u128).filter(|number| {
            let address = std::net::Ipv6Addr::from_bits(number << 64);
            let client = ClientAddress::Known(address.into());
            wrong.count(client, RATE, now).begins_run
        });
        assert_eq!(runs.count(), MOST_TOLD.count as usize);
        let later = now.plus(MOST_TOLD.window);
        let address = ClientAddress::Known("192.0.2.1".parse().unwrap());
        assert!(wrong.count(address, RATE, later).begins_run);
    }
}
