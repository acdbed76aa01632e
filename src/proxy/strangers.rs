//! How many exchanges with panels people who have not signed in may have, from one network and together.
//!
//! On paths open to anyone a stream of HTTP/2 costs its client nothing, and the gateway a head, buffers in
//! both directions and a connection to the panel. So strangers have as many exchanges at a time as
//! their network may have connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::accept::network;
use crate::model::ClientAddress;

/// Networks that may take all of their places at once.
const NETWORKS: usize = 8;

/// Places that a network gets also when all are taken, as long as there are not twice as many.
const FEW: usize = 8;

/// The exchanges of strangers. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub(super) struct Strangers {
    most: usize,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    count: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// The place of one exchange, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    strangers: Strangers,
    network: IpAddr,
}

impl Strangers {
    /// The most from one network.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            present: Arc::default(),
        }
    }

    /// A place for one more exchange. A proxy's own address is that of many.
    pub(super) fn enter(&self, client: ClientAddress) -> Option<Seat> {
        let network = network(client.address());
        let is_of_many = client.counted().is_none();
        let mut present = self.present();
        let all = self.most.saturating_mul(NETWORKS);
        let of_network = present.by_network.get(&network).copied().unwrap_or(0);
        let has_room = match of_network {
            few if few < FEW => present.count < all.saturating_mul(2),
            of_network => present.count < all && (is_of_many || of_network < self.most),
        };
        if !has_room {
            return None;
        }
        present.count += 1;
        *present.by_network.entry(network).or_default() += 1;
        drop(present);
        Some(Seat {
            strangers: self.clone(),
            network,
        })
    }

    /// A panic while holding the lock leaves the counts whole, so poisoning tells nothing.
    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut present = self.strangers.present();
        present.count = present.count.saturating_sub(1);
        if let Some(count) = present.by_network.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                present.by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(strangers: &Strangers, address: &str, most: usize) -> Vec<Seat> {
        let address: IpAddr = address.parse().unwrap();
        (0..most)
            .map_while(|_| strangers.enter(address.into()))
            .collect()
    }

    #[test]
    fn one_network_has_its_places_and_others_have_theirs() {
        let strangers = Strangers::new(10);
        let taken = fill(&strangers, "2001:db8::1", 100);
        assert_eq!(taken.len(), 10);
        assert!(fill(&strangers, "2001:db8::2", 1).is_empty());
        let others: Vec<_> = (0..7)
            .map(|last| fill(&strangers, &format!("192.0.2.{last}"), 100))
            .collect();
        assert!(others.iter().all(|seats| seats.len() == 10));
        // All are taken, and a network that has few gets some more.
        let late = fill(&strangers, "192.0.2.9", 100);
        assert_eq!(late.len(), FEW);
        drop(taken);
        assert_eq!(fill(&strangers, "192.0.2.9", 100).len(), 2);
        drop((others, late));
        assert!(strangers.present().by_network.is_empty());
    }

    #[test]
    fn a_proxy_that_does_not_say_for_whom_it_asks_has_the_places_of_all() {
        let strangers = Strangers::new(10);
        let proxy = ClientAddress::OfProxy("192.0.2.1".parse().unwrap());
        let taken = (0..100).map_while(|_| strangers.enter(proxy));
        assert_eq!(taken.collect::<Vec<_>>().len(), 80);
    }
}
