//! The head that the panel sees, built from nothing: what is not allowed is not there.
//!
//! Order matters (CVE-2024-45410, CVE-2026-29054): first what the client may not say is left out,
//! `Connection` and what it names included, only then the gateway's own fields are added.

use std::io::Write;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::Outbound;
use super::upstream::Head;
use crate::config::Upstream;
use crate::gate::DESTINATION;
use crate::wire::{cookie, header};

/// What the secret of a management token begins with: a panel never sees one (promise 5).
const MANAGEMENT_TOKEN: &str = "pct_";

/// What most heads need beside the target, in bytes; a longer one grows.
const MOST_HEADS: usize = 2048;

/// The upstream head of a request that was let pass.
pub(super) fn build(outbound: &Outbound<'_>, parts: &Parts) -> Head {
    let target = outbound.permit.target();
    let sent = &parts.headers;
    let path_and_query = target.path_and_query().as_str();
    let capacity = MOST_HEADS + path_and_query.len();
    let mut head = Head::new(target.method(), path_and_query, capacity);
    // First, as most servers look for it.
    add_host(&mut head, target.host().written());
    carry_over(&mut head, sent, outbound);
    // RFC 9110 §7.6.3: after those that the client named.
    let version: &[u8] = match parts.version {
        Version::HTTP_2 => b"2",
        Version::HTTP_10 => b"1.0",
        _ => b"1.1",
    };
    head.text(&VIA, &[version, b" portcullis"]);
    add_own(&mut head, sent, outbound);
    head
}

fn carry_over(head: &mut Head, sent: &HeaderMap, outbound: &Outbound<'_>) {
    let nominates = header::nominates(sent);
    for (name, value) in sent {
        // How long the body is says whoever sends it on.
        let own = [&HOST, &COOKIE, &EXPECT, &CONTENT_LENGTH, &DESTINATION].contains(&name);
        let dropped = own
            || header::is_hop_by_hop(name)
            || header::is_spoken_for(name)
            || is_identity(name, outbound)
            || (nominates && header::is_nominated(name, sent))
            || (name == AUTHORIZATION && shows_management_token(value));
        if !dropped {
            head.field(name, value);
        }
    }
}

fn add_host(head: &mut Head, host: &str) {
    head.text(&HOST, &[host.as_bytes()]);
    head.text(&X_FORWARDED_HOST, &[host.as_bytes()]);
}

fn add_own(head: &mut Head, sent: &HeaderMap, outbound: &Outbound<'_>) {
    let host = outbound.permit.target().host().written().as_bytes();
    let mut client = Text::new();
    let from = outbound.permit.client().address();
    client.address(from);
    let client = client.as_bytes();
    if let Some(destination) = outbound.permit.target().destination() {
        // The panel is asked under the browser's host, by its own scheme, and servers of WebDAV compare
        // both with their own (RFC 4918 §9.8.5).
        let scheme: &[u8] = match outbound.panel.upstream {
            Upstream::Https { .. } => b"https://",
            _ => b"http://",
        };
        let path = destination.path_and_query().as_bytes();
        head.text(&DESTINATION, &[scheme, host, path]);
    }
    head.text(&X_FORWARDED_PROTO, &[b"https"]);
    head.text(&X_FORWARDED_FOR, &[client]);
    // RFC 7239 §4; addresses with colons and hosts with ports are quoted.
    let (open, close): (&[u8], &[u8]) = match from {
        IpAddr::V4(_) => (b"for=", b";host=\""),
        IpAddr::V6(_) => (b"for=\"[", b"]\";host=\""),
    };
    head.text(&FORWARDED, &[open, client, close, host, b"\";proto=https"]);
    // In one field, as RFC 9113 §8.2.3 asks.
    head.list(&COOKIE, cookie::for_panel(sent), b"; ");
    add_identity(head, outbound);
}

/// Who is signed in. Without a session nobody is named, and nobody else can be.
fn add_identity(head: &mut Head, outbound: &Outbound<'_>) {
    let Some(session) = outbound.permit.session() else {
        return;
    };
    let user = session.user();
    let identity = &outbound.panel.identity;
    let fields = [
        (&identity.user, Some(user.name.as_str())),
        (&identity.role, Some(user.role.as_str())),
        (&identity.email, user.email.as_deref()),
    ];
    for (name, value) in fields {
        if let Some((name, value)) = name.as_ref().zip(value) {
            head.text(name, &[value.as_bytes()]);
        }
    }
}

fn is_identity(name: &HeaderName, outbound: &Outbound<'_>) -> bool {
    let identity = &outbound.panel.identity;
    [&identity.user, &identity.role, &identity.email]
        .into_iter()
        .flatten()
        .any(|own| header::is_akin(name, own))
}

fn shows_management_token(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .windows(MANAGEMENT_TOKEN.len())
        .any(|part| part == MANAGEMENT_TOKEN.as_bytes())
}

/// A few bytes that are written without an allocation: an address has 39 at the most.
struct Text {
    bytes: [u8; 40],
    length: usize,
}

impl Text {
    fn new() -> Self {
        Self {
            bytes: [0; 40],
            length: 0,
        }
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.octets(address.octets()),
            IpAddr::V6(address) => {
                let left = self.bytes.len();
                let mut room = self.bytes.as_mut_slice();
                // There is room for the longest.
                let _ = write!(room, "{address}");
                self.length = left - room.len();
            }
        }
    }

    /// By hand: this is done for every request.
    fn octets(&mut self, octets: [u8; 4]) {
        for (place, octet) in octets.into_iter().enumerate() {
            if place > 0 {
                self.push(b'.');
            }
            if octet >= 100 {
                self.push(b'0' + octet / 100);
            }
            if octet >= 10 {
                self.push(b'0' + octet / 10 % 10);
            }
            self.push(b'0' + octet % 10);
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn addresses_are_written_as_everybody_writes_them(octets: [u8; 4], words: [u16; 8]) {
            for address in [IpAddr::from(octets), IpAddr::from(words)] {
                let mut text = Text::new();
                text.address(address);
                let expected = address.to_string();
                prop_assert_eq!(text.as_bytes(), expected.as_bytes());
            }
        }
    }
}
