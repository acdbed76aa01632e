//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the connections of all listeners that share it. Clones share the count.
#[derive(Debug, Clone)]
pub struct Crowd {
    most: usize,
    most_per_address: usize,
    present: Arc<Mutex<Present>>,
}

#[derive(Debug, Default)]
struct Present {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Whether somebody was turned away since there was room for all.
    is_full: bool,
}

/// A connection that is counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    address: Option<IpAddr>,
}

impl Crowd {
    /// At most so many connections in all, and from one address.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        Self {
            most,
            most_per_address,
            present: Arc::default(),
        }
    }

    /// A place for a connection, if there is one.
    pub(super) fn enter(&self) -> Option<Place> {
        let mut present = self.present();
        if present.count >= self.most {
            if !std::mem::replace(&mut present.is_full, true) {
                tracing::warn!(connections = self.most, "no more connections are taken");
            }
            return None;
        }
        present.count += 1;
        Some(Place {
            crowd: self.clone(),
            address: None,
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.present().count
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts the connection as one of this client; `false` when it has too many already. An IPv6
    /// client is its /64, which is what one household or one server gets.
    pub(super) fn is_given_to(&mut self, client: IpAddr) -> bool {
        let address = network(client);
        let mut present = self.crowd.present();
        let count = present.by_address.entry(address).or_default();
        if *count >= self.crowd.most_per_address {
            return false;
        }
        *count += 1;
        drop(present);
        self.address = Some(address);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut present = self.crowd.present();
        present.count = present.count.saturating_sub(1);
        present.is_full = false;
        let Some(address) = self.address else {
            return;
        };
        if let Some(count) = present.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                present.by_address.remove(&address);
            }
        }
    }
}

/// What one household or one server has: an IPv4 address, or a /64 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many() {
        let crowd = Crowd::new(2, 2);
        let first = crowd.enter().unwrap();
        let _second = crowd.enter().unwrap();
        assert!(crowd.enter().is_none());
        drop(first);
        assert!(crowd.enter().is_some());
        assert_eq!(crowd.count(), 1);
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let crowd = Crowd::new(100, 2);
        let taken = |address: &str| {
            let mut place = crowd.enter().unwrap();
            place.is_given_to(address.parse().unwrap()).then_some(place)
        };
        let first = taken("2001:db8::1").unwrap();
        let _second = taken("2001:db8::ffff:1").unwrap();
        assert!(taken("2001:db8::2").is_none());
        let _elsewhere = taken("2001:db8:0:1::1").unwrap();
        let _other = taken("192.0.2.1").unwrap();
        let _same = taken("::ffff:192.0.2.1").unwrap();
        assert!(taken("192.0.2.1").is_none());
        let _neighbour = taken("192.0.2.2").unwrap();
        drop(first);
        assert!(taken("2001:db8::2").is_some());
        assert_eq!(crowd.count(), 5, "who was turned away leaves no trace");
    }
}
