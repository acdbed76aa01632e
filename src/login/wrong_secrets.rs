//! Secrets that are wrong and name no user: set-up links and management tokens, counted by address.
//!
//! Such a secret has 256 random bits, so that a limit is not what protects it. It keeps a flood from
//! costing more than its first requests, and lets the audit list tell of a run in one entry. The
//! secret is looked up first: one that is right is never held up by what others sent from its address.

use std::net::IpAddr;

use super::runs::{Runs, Wrong};
use super::throttle::network;
use crate::clock::Timestamp;
use crate::config::Rate;
use crate::model::ClientAddress;

/// Wrong secrets of one kind. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct WrongSecrets {
    of_clients: Runs<(), IpAddr>,
    /// Of proxies that name no client.
    of_proxies: Runs<(), IpAddr>,
}

impl WrongSecrets {
    /// Counts one that came from `client`, of which `rate` says how many are allowed. What a proxy brings
    /// without a name may belong to many people: runs of it are reported, and no request is held up.
    pub fn count(&self, client: ClientAddress, rate: Rate, now: Timestamp) -> Wrong {
        match client {
            ClientAddress::Known(address) => self.of_clients.count((), network(address), rate, now),
            ClientAddress::OfProxy(address) => Wrong {
                reaches_limit: false,
                wait: None,
                ..self.of_proxies.count((), address, rate, now)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::runs::MOST_TOLD;
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
