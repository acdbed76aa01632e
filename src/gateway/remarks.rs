//! What the proxies in front leave out, or say twice: one line of the log for each proxy and fault, with
//! what to configure. However many there are, the lines are bounded.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use crate::accept::{Connection, Forwarded, Scheme};
use crate::model::ClientAddress;

/// Lines in all, until the next start.
const MOST: usize = 64;
/// The share of these for peers that are not trusted: any machine nearby can cause such a line.
const MOST_UNTRUSTED: usize = 8;

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    said: Mutex<HashSet<(IpAddr, Fault)>>,
}

/// What can be wrong with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    NoClient,
    TwoClients,
    TwoSchemes,
    NoScheme,
    NotTrusted,
}

impl Remarks {
    /// Looks at a request, and says what is new.
    pub(super) fn look(&self, connection: &Connection, headers: &HeaderMap, way: &Forwarded<'_>) {
        let peer = connection.peer();
        let fault = match (way.client, way.scheme) {
            _ if way.names_two_clients => Fault::TwoClients,
            (_, Scheme::Contradictory | Scheme::Unreadable) => Fault::TwoSchemes,
            (ClientAddress::OfProxy(_), _) => Fault::NoClient,
            (_, Scheme::Untold) if way.is_believed && connection.is_plain() => Fault::NoScheme,
            (ClientAddress::Known(_), _) if way.is_believed => return,
            (ClientAddress::Known(client), _) if is_near(client) && speaks_for_others(headers) => {
                Fault::NotTrusted
            }
            (ClientAddress::Known(_), _) => return,
        };
        let proxy = match fault {
            // It may be one further away.
            Fault::NoClient => way.client.address(),
            _ => peer,
        };
        if self.is_news(proxy, fault) {
            say(proxy, fault);
        }
    }

    fn is_news(&self, proxy: IpAddr, fault: Fault) -> bool {
        // A panic while holding the lock leaves the set whole, so poisoning tells nothing.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.contains(&(proxy, fault)) || said.len() >= MOST {
            return false;
        }
        let untrusted = said.iter().filter(|(_, said)| *said == Fault::NotTrusted);
        if fault == Fault::NotTrusted && untrusted.count() >= MOST_UNTRUSTED {
            return false;
        }
        said.insert((proxy, fault))
    }
}

fn say(proxy: IpAddr, fault: Fault) {
    match fault {
        Fault::NoClient => tracing::warn!(
            %proxy,
            "a trusted proxy does not name the client that it speaks for, so no limit by address holds for \
             those behind it; let it set X-Forwarded-For (nginx: `proxy_set_header X-Forwarded-For \
             $proxy_add_x_forwarded_for;`) or speak the PROXY protocol, and take out of trusted_proxies what \
             is no proxy; this is said once"
        ),
        Fault::TwoClients => tracing::warn!(
            %proxy,
            "a request that a trusted proxy brought was refused: two of Forwarded, X-Forwarded-For and \
             X-Real-IP name different clients; let the proxy set one of them and remove the others, and \
             name every proxy on the way in trusted_proxies; this is said once"
        ),
        Fault::TwoSchemes => tracing::warn!(
            %proxy,
            "a request that a trusted proxy brought was refused: what it says does not tell whether the client \
             came over TLS; let it set X-Forwarded-Proto to https or http, as the client came, and remove \
             Forwarded, X-Forwarded-Scheme, X-Forwarded-Ssl and Front-End-Https where it does not set them; \
             this is said once"
        ),
        Fault::NoScheme => tracing::warn!(
            %proxy,
            "a trusted proxy does not say whether its clients come over TLS, and is taken to let no others \
             through; let it set X-Forwarded-Proto (nginx: `proxy_set_header X-Forwarded-Proto $scheme;`); \
             this is said once"
        ),
        Fault::NotTrusted => tracing::warn!(
            %proxy,
            "requests from this address carry fields of a proxy, and it is not one of trusted_proxies: what \
             it says is thrown away, and limits by address count all that it brings as one client; if it is \
             your proxy, name it there; this is said once"
        ),
    }
}

/// Where proxies of one's own are: on this machine or in a private network (RFC 1918, RFC 4193).
fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_private(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// That they are there; what they say is not looked at.
fn speaks_for_others(headers: &HeaderMap) -> bool {
    const FIELDS: [HeaderName; 3] = [
        HeaderName::from_static("x-forwarded-for"),
        HeaderName::from_static("x-real-ip"),
        FORWARDED,
    ];
    FIELDS.iter().any(|name| headers.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_once_and_not_without_end() {
        let remarks = Remarks::default();
        let address = |number: u16| IpAddr::from([10, 0, (number >> 8) as u8, number as u8]);
        assert!(remarks.is_news(address(1), Fault::NoClient));
        assert!(!remarks.is_news(address(1), Fault::NoClient));
        assert!(remarks.is_news(address(1), Fault::TwoClients));
        let untrusted = (0..1_000).filter(|n| remarks.is_news(address(*n), Fault::NotTrusted));
        assert_eq!(untrusted.count(), MOST_UNTRUSTED);
        let others = (0..1_000).filter(|n| remarks.is_news(address(*n), Fault::NoScheme));
        assert_eq!(others.count(), MOST - MOST_UNTRUSTED - 2);
    }

    #[test]
    fn proxies_of_ones_own_are_near() {
        for (address, near) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.18.0.2", true),
            ("192.168.1.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("203.0.113.9", false),
            ("2001:db8::1", false),
            ("172.32.0.1", false),
        ] {
            assert_eq!(is_near(address.parse().unwrap()), near, "{address}");
        }
    }
}
