//! Who is asking, where proxies stand between: the address that the nearest of them can vouch for.
//!
//! Each proxy appends the address that it saw to `X-Forwarded-For`, so the list is read from its
//! right end, and what stands left of the first stranger was said by that stranger (CVE-2024-45806).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The client of a request that the trusted proxy at `peer` brought. A proxy that says nothing, or
/// nonsense, is itself the last one that can be named.
pub(super) fn behind(peer: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let said = lines
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty());
    let mut client = peer;
    for element in said {
        let Some(address) = address(element) else {
            break;
        };
        client = address;
        if !proxies.trusts(client) {
            break;
        }
    }
    client
}

/// Whether the proxy says that the browser came to it without TLS.
pub(super) fn came_in_the_clear(headers: &HeaderMap) -> bool {
    let last = headers.get_all(X_FORWARDED_PROTO).iter().next_back();
    let said = last.and_then(|line| line.as_bytes().rsplit(|&byte| byte == b',').next());
    said.is_some_and(|scheme| !scheme.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// An address, in brackets or with a port as some proxies write it.
fn address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let bare = || text.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let bracketed = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let found: Option<IpAddr> = bare().or_else(with_port).or_else(bracketed);
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::config::TrustedProxies;

    fn proxies() -> TrustedProxies {
        TrustedProxies::of(&["10.0.0.0/8", "fd00::/8"])
    }

    fn headers(name: &HeaderName, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    fn client(lines: &[&[u8]]) -> String {
        let peer = "10.0.0.1".parse().unwrap();
        behind(peer, &headers(&X_FORWARDED_FOR, lines), &proxies()).to_string()
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        let cases: [(&[&[u8]], &str); 20] = [
            (&[], "10.0.0.1"),
            (&[b""], "10.0.0.1"),
            (&[b", , ,"], "10.0.0.1"),
            (&[b"203.0.113.9"], "203.0.113.9"),
            (&[b"evil, 203.0.113.9"], "203.0.113.9"),
            (&[b"1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            (&[b"203.0.113.9, 10.0.0.2,10.0.0.3"], "203.0.113.9"),
            (&[b"203.0.113.9", b"10.0.0.2"], "203.0.113.9"),
            (&[b"203.0.113.9", b"198.51.100.1"], "198.51.100.1"),
            (&[b"10.0.0.9, 10.0.0.2"], "10.0.0.9"),
            (&[b"203.0.113.9, evil, 10.0.0.2"], "10.0.0.2"),
            (&[b"203.0.113.9, unknown"], "10.0.0.1"),
            (&[b"1.2.3.4:99999"], "10.0.0.1"),
            (&[b"1.2.3.4:443"], "1.2.3.4"),
            (&[b"[2001:db8::1]:443"], "2001:db8::1"),
            (&[b"[2001:db8::1]"], "2001:db8::1"),
            (&[b"2001:db8::1, fd00::1"], "2001:db8::1"),
            (&[b"::ffff:203.0.113.9"], "203.0.113.9"),
            (&[b"010.0.0.1"], "10.0.0.1"),
            (&[b"\xff\xfe"], "10.0.0.1"),
        ];
        for (lines, expected) in cases {
            assert_eq!(client(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn only_the_last_word_about_the_scheme_counts() {
        let cases: [(&[&[u8]], bool); 8] = [
            (&[], false),
            (&[b"https"], false),
            (&[b"HTTPS"], false),
            (&[b"http"], true),
            (&[b"http, https"], false),
            (&[b"https", b"http"], true),
            (&[b""], true),
            (&[b"\xff"], true),
        ];
        for (lines, expected) in cases {
            let headers = headers(&X_FORWARDED_PROTO, lines);
            assert_eq!(came_in_the_clear(&headers), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_stranger_says_changes_nothing(said in "[ -~]{0,80}", more in proptest::collection::vec("[ -~]{0,20}", 0..3)) {
            let line = format!("{said}, 203.0.113.9");
            let mut lines: Vec<&[u8]> = more.iter().map(String::as_bytes).collect();
            lines.push(line.as_bytes());
            prop_assert_eq!(client(&lines), "203.0.113.9");
        }
    }
}
