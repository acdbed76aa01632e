//! What trusted proxies say of a request: whose it is, and by which scheme and host it came to the first
//! of them. One reading for all of it, along one chain of proxies.
//!
//! | field | read for |
//! | --- | --- |
//! | `Forwarded` (RFC 7239) | client, scheme and host, of the same element |
//! | `X-Forwarded-For` | client |
//! | `X-Real-IP` | client, of the nearest proxy's own word |
//! | `X-Forwarded-Proto`, `X-Forwarded-Scheme` | scheme, of the place in the list that the client has in its own |
//! | `X-Forwarded-Ssl`, `Front-End-Https` | scheme: `on` or `off` |
//! | `X-Forwarded-Host` | host, likewise |
//!
//! `X-Forwarded-Port` is not read: 443 does not say TLS, and the port of a host stands with the host.
//! `X-Forwarded-Server`, `-Prefix` and the names that single products use are not read either.
//!
//! Each proxy appends what it saw, so a list is read from its right end: as long as an address is a trusted
//! proxy's, what stands left of it was said by that proxy. What stands left of the first other address was
//! said by a stranger (CVE-2024-45806). A proxy passes on the fields that it does not know of, so that a
//! stranger may have written any field that no proxy sets. Therefore none of them comes before another:
//! where two name different clients, none is known, and the request is refused; where two say different
//! schemes, it was not surely TLS.

mod list;
mod node;
mod scheme;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

pub use scheme::Scheme;

use crate::config::TrustedProxies;
use crate::model::ClientAddress;
use scheme::Votes;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Trusted proxies in a row; further left nothing is read. Real ways have three or four.
const MOST_HOPS: usize = 32;

/// What is known of the way of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forwarded<'h> {
    /// Whose it is.
    pub client: ClientAddress,
    /// How the client came. [`Scheme::Untold`] also where no proxy is asked.
    pub scheme: Scheme,
    /// The host that the client asked for, where a proxy says so; it may be any text.
    pub host: Option<&'h str>,
    /// Two fields name two clients, so that none is known.
    pub names_two_clients: bool,
    /// A trusted proxy is asked: what the fields say of the scheme is believed.
    pub is_believed: bool,
}

/// Whom a proxy names.
#[derive(Debug, Clone, Copy)]
enum Node {
    Address(IpAddr),
    /// Somebody without a name, or with one that can't be read.
    Hidden,
    /// Nobody.
    Nothing,
}

/// What one field says of the client.
#[derive(Debug, Clone, Copy)]
struct Chain {
    /// The last trusted proxy that it names; without one the peer.
    last: IpAddr,
    client: Option<IpAddr>,
    /// There is somebody whom it does not name, or not in a form that can be read.
    is_hidden: bool,
    /// How many trusted proxies stand between the client's and the gateway.
    hop: usize,
}

/// An element of `Forwarded`, as far as it is used.
#[derive(Debug, Default, Clone, Copy)]
struct Element<'h> {
    node: Option<&'h [u8]>,
    proto: Option<&'h [u8]>,
    host: Option<&'h [u8]>,
}

impl<'h> Forwarded<'h> {
    /// Of a client before whom no proxy stands that is asked.
    pub(super) fn direct(client: ClientAddress) -> Self {
        Self {
            client,
            scheme: Scheme::Untold,
            host: None,
            names_two_clients: false,
            is_believed: false,
        }
    }

    /// What the trusted proxy at `peer` says, and those before it.
    pub(super) fn read(peer: IpAddr, headers: &'h HeaderMap, proxies: &TrustedProxies) -> Self {
        let listed = list::from_the_right(headers, &X_FORWARDED_FOR);
        let listed = Chain::along(peer, listed.map(Node::read), proxies);
        let (elements, element) = along_elements(peer, headers, proxies);
        let mut agreed = Agreed::default();
        agreed.hear(&listed, peer);
        agreed.hear(&elements, peer);
        for word in list::from_the_right(headers, &X_REAL_IP).take(MOST_HOPS) {
            // No list: where it is there twice, each stands alone.
            let alone = std::iter::once(Node::read(word));
            agreed.hear(&Chain::along(peer, alone, proxies), peer);
        }
        let hop = if headers.contains_key(X_FORWARDED_FOR) {
            listed.hop
        } else {
            elements.hop
        };
        let mut votes = Votes::default();
        element.proto.into_iter().for_each(|word| votes.word(word));
        votes.of_fields(headers, hop);
        Self {
            client: agreed.client(peer),
            scheme: votes.outcome(),
            host: host(headers, element.host, hop),
            names_two_clients: agreed.is_torn(),
            is_believed: true,
        }
    }
}

impl Node {
    fn read(word: &[u8]) -> Self {
        node::address(word).map_or(Self::Hidden, Self::Address)
    }
}

impl Chain {
    /// Goes from proxy to proxy, as far as they are trusted.
    fn along(peer: IpAddr, nodes: impl Iterator<Item = Node>, proxies: &TrustedProxies) -> Self {
        let mut chain = Self {
            last: peer,
            client: None,
            is_hidden: false,
            hop: 0,
        };
        for (hop, node) in nodes.enumerate() {
            chain.hop = hop;
            match node {
                Node::Address(address) if hop < MOST_HOPS && proxies.trusts(address) => {
                    chain.last = address;
                    continue;
                }
                Node::Address(address) if hop < MOST_HOPS => chain.client = Some(address),
                Node::Address(_) | Node::Hidden => chain.is_hidden = true,
                Node::Nothing => {}
            }
            break;
        }
        chain
    }
}

/// What the fields say of the client together.
#[derive(Debug, Default)]
struct Agreed {
    client: Option<IpAddr>,
    /// The last trusted proxy that one of them names.
    last: Option<IpAddr>,
    is_hidden: bool,
    is_torn: bool,
}

impl Agreed {
    fn hear(&mut self, chain: &Chain, peer: IpAddr) {
        self.is_torn |= match (self.client, chain.client) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        };
        self.client = self.client.or(chain.client);
        self.is_hidden |= chain.is_hidden;
        self.last = self.last.or(Some(chain.last).filter(|last| *last != peer));
    }

    fn is_torn(&self) -> bool {
        self.is_torn || (self.is_hidden && self.client.is_some())
    }

    fn client(&self, peer: IpAddr) -> ClientAddress {
        match self.client.filter(|_| !self.is_torn()) {
            Some(client) => ClientAddress::Known(client),
            None => ClientAddress::OfProxy(self.last.unwrap_or(peer)),
        }
    }
}

/// Along the elements of `Forwarded`; with the element of the client, or the last of a trusted proxy.
fn along_elements<'h>(
    peer: IpAddr,
    headers: &'h HeaderMap,
    proxies: &TrustedProxies,
) -> (Chain, Element<'h>) {
    let mut last = Element::default();
    let elements = list::from_the_right(headers, &FORWARDED).map(|element| {
        let read = Element::read(element);
        last = read.unwrap_or_default();
        match (read, last.node) {
            (None, _) => Node::Hidden,
            (Some(_), None) => Node::Nothing,
            (Some(_), Some(node)) => Node::read(node),
        }
    });
    let chain = Chain::along(peer, elements, proxies);
    (chain, last)
}

impl<'h> Element<'h> {
    /// `None` for what is no element, or says something twice (RFC 7239 §4).
    fn read(element: &'h [u8]) -> Option<Self> {
        let mut read = Self::default();
        for pair in list::parts_from_the_right(element, b';') {
            let at = pair.iter().position(|&byte| byte == b'=')?;
            let (name, value) = pair.split_at_checked(at)?;
            let name = name.trim_ascii_end();
            let place = match () {
                () if name.eq_ignore_ascii_case(b"for") => &mut read.node,
                () if name.eq_ignore_ascii_case(b"proto") => &mut read.proto,
                () if name.eq_ignore_ascii_case(b"host") => &mut read.host,
                () => continue,
            };
            if place.replace(value.get(1..)?).is_some() {
                return None;
            }
        }
        Some(read)
    }
}

/// The host that the client asked for, where all say the same.
fn host<'h>(headers: &'h HeaderMap, element: Option<&'h [u8]>, hop: usize) -> Option<&'h str> {
    let listed = || list::from_the_right(headers, &X_FORWARDED_HOST).take(MOST_HOPS);
    let listed = match listed().count() {
        0 | 1 => listed().next(),
        _ => Some(listed().nth(hop)?),
    };
    let read = |word: Option<&'h [u8]>| word.map(list::plain);
    match (read(element), read(listed)) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => one.or(other).flatten(),
    }
}
