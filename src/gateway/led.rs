//! How often those behind each proxy were led to `https` without having arrived there.
//!
//! A proxy that calls every request plain HTTP sends each redirected client back to the same redirect. A
//! browser shows that it was TLS (see `redirect`), and other programs are led a few times: then a
//! sentence stands there, until somebody comes over TLS through the same proxy to the same host.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The number of redirects in a row without one arrival over TLS. Browsers give up after twenty.
const MOST: u8 = 5;

/// The number of proxies and hosts that are counted; for further ones there is no redirect.
const MOST_WAYS: usize = 1_000;

/// The counts of one gateway.
#[derive(Debug, Default)]
pub(super) struct Led {
    /// There is one to forget. Looked at by every request that came over TLS.
    has_any: AtomicBool,
    ways: Mutex<Ways>,
}

/// By the proxy that brought them, and where they were led.
type Ways = HashMap<(IpAddr, String), u8>;

impl Led {
    /// Whether one more may be led to `origin`.
    pub(super) fn may_lead(&self, proxy: IpAddr, origin: &str) -> bool {
        let mut ways = self.ways();
        let way = (proxy, origin.to_owned());
        if ways.len() >= MOST_WAYS && !ways.contains_key(&way) {
            return false;
        }
        let count = ways.entry(way).or_default();
        let may = *count < MOST;
        *count = count.saturating_add(1).min(MOST);
        self.has_any.store(true, Ordering::Relaxed);
        may
    }

    /// Whether an arrival is to be noted with [`Led::arrived`].
    pub(super) fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Relaxed)
    }

    /// Somebody came over TLS through this proxy to `origin`.
    pub(super) fn arrived(&self, proxy: IpAddr, origin: String) {
        let mut ways = self.ways();
        ways.remove(&(proxy, origin));
        self.has_any.store(!ways.is_empty(), Ordering::Relaxed);
    }

    /// A panic while holding the lock leaves the counts whole, so poisoning tells nothing.
    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_for_ever() {
        let led = Led::default();
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
        let leads = |proxy, origin: &str| (0..100).filter(|_| led.may_lead(proxy, origin)).count();
        assert!(!led.has_any());
        assert_eq!(leads(one, "https://a"), usize::from(MOST));
        assert_eq!(leads(one, "https://b"), usize::from(MOST), "another host");
        assert_eq!(
            leads(other, "https://a"),
            usize::from(MOST),
            "another proxy"
        );
        led.arrived(one, "https://a".to_owned());
        assert!(led.has_any());
        assert_eq!(leads(other, "https://a"), 0);
        assert_eq!(leads(one, "https://a"), usize::from(MOST));
    }

    #[test]
    fn what_is_counted_has_an_end() {
        let led = Led::default();
        let proxy = |number: usize| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
        for number in 0..2 * MOST_WAYS {
            let may = led.may_lead(proxy(number), "https://a");
            assert_eq!(may, number < MOST_WAYS, "{number}");
        }
        assert!(led.may_lead(proxy(0), "https://a"), "it is known");
    }
}
