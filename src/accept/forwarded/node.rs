//! Addresses as proxies write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::list;

/// The longest that is read: an IPv6 address with a zone and a port, and room to spare.
const LONGEST: usize = 128;

/// The address of a node (RFC 7239 §6): bare, in quotes, an IPv6 address in brackets or not, with a
/// port, with a zone (RFC 4007 §11), or an IPv4 address in the form of IPv6. `None` for `unknown`, for a
/// name that hides it (`_x`), and for what is no address.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let element = Some(element).filter(|element| element.len() <= LONGEST);
    let text = list::plain(element?)?;
    let found = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']')?;
            is_port_or_none(port).then(|| v6(inner))?.map(IpAddr::V6)
        }
        None => v6(text).map(IpAddr::V6).or_else(|| v4(text)),
    };
    found.map(|address| address.to_canonical())
}

fn v4(text: &str) -> Option<IpAddr> {
    let end = text.find(':').unwrap_or(text.len());
    let (address, port) = text.split_at_checked(end)?;
    let address = address.parse::<Ipv4Addr>().ok()?;
    is_port_or_none(port).then_some(IpAddr::V4(address))
}

/// What zone it is of matters to the machine that wrote it alone. In a URL the `%` before the zone is
/// written `%25` (RFC 6874 §2).
fn v6(text: &str) -> Option<Ipv6Addr> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    let is_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(possible);
    let address = address.parse().ok()?;
    zone.is_none_or(is_zone).then_some(address)
}

/// `:443`, or a name that hides the port (`:_x`), or nothing.
fn is_port_or_none(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let hidden = port.strip_prefix('_');
    (digits && port.parse::<u16>().is_ok())
        || hidden.is_some_and(|name| !name.is_empty() && name.bytes().all(possible))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        address(text.as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn addresses_are_read_in_every_spelling() {
        for (text, expected) in [
            ("203.0.113.9", "203.0.113.9"),
            (" 203.0.113.9 ", "203.0.113.9"),
            ("203.0.113.9:443", "203.0.113.9"),
            ("203.0.113.9:0", "203.0.113.9"),
            ("203.0.113.9:_x1", "203.0.113.9"),
            ("\"203.0.113.9:443\"", "203.0.113.9"),
            ("2001:DB8::9", "2001:db8::9"),
            ("[2001:db8::9]", "2001:db8::9"),
            ("[2001:db8::9]:443", "2001:db8::9"),
            ("\"[2001:db8::9]:_port\"", "2001:db8::9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::FFFF:cb00:7109]:1", "203.0.113.9"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0.5]:80", "fe80::1"),
            ("fe80::1%25", "fe80::1"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_names_nobody_is_no_address() {
        for text in [
            "",
            "unknown",
            "Unknown",
            "_hidden",
            "_secret:80",
            "localhost",
            "010.0.0.1",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:99999",
            "1.2.3.4:+1",
            "1.2.3.4:_",
            "1.2.3.4%eth0",
            "1.2.3.4/32",
            "[1.2.3.4]",
            "[::1",
            "[::1]443",
            "[::1]:x",
            "::1]",
            "fe80::1%",
            "fe80::1%eth0%eth1",
            "fe80::1%a b",
            "for=1.2.3.4",
            "\"1.2.3.4",
            "1.2.3.4\"",
            "1.2.3.4, 5.6.7.8",
            "1.2.3.4 5.6.7.8",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(address(b"\xff\xfe"), None);
        assert_eq!(address(&[b'1'; 64 * 1024]), None);
        let long = format!("fe80::1%{}", "e".repeat(LONGEST));
        assert_eq!(read(&long), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(octets: [u8; 4], words: [u16; 8], port: u16) {
            let (v4, v6) = (Ipv4Addr::from(octets), Ipv6Addr::from(words));
            let canonical = IpAddr::from(v6).to_canonical().to_string();
            prop_assert_eq!(read(&format!("{v4}:{port}")), Some(v4.to_string()));
            prop_assert_eq!(read(&format!("\"[{v6}]:{port}\"")), Some(canonical.clone()));
            prop_assert_eq!(read(&v6.to_string()), Some(canonical));
        }

        #[test]
        fn nothing_panics(text in "[ -~]{0,60}") {
            let _ = address(text.as_bytes());
        }
    }
}
