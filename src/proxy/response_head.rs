//! The panel's answer on its way back: what belongs to one connection is left out, the gateway's
//! cookies can't be set, and redirects that name the upstream lead to where the browser is.

use http::header::{CONTENT_LENGTH, LOCATION, SET_COOKIE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};

use super::Outbound;
use crate::config::Upstream;
use crate::wire::{cookie, header};

/// The head as the browser gets it.
pub(super) fn clean(mut head: Parts, outbound: &Outbound<'_>) -> Parts {
    head.version = Version::HTTP_11;
    head.extensions.clear();
    if head.headers.contains_key(TRANSFER_ENCODING) {
        // The chunks said how long it is (RFC 9112 §6.3).
        head.headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(&mut head.headers);
    protect_cookies(&mut head.headers, &outbound.panel.name);
    let location = head.headers.get(LOCATION);
    if let Some(outside) = location.and_then(|location| to_outside(location, outbound)) {
        head.headers.insert(LOCATION, outside);
    }
    head
}

/// RFC 9110 §7.6.1 holds in both directions.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominates = header::nominates(headers);
    let gone: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            header::is_hop_by_hop(name) || (nominates && header::is_nominated(name, headers))
        })
        .cloned()
        .collect();
    for name in gone {
        headers.remove(name);
    }
}

/// A panel can neither set nor delete the gateway's cookies.
fn protect_cookies(headers: &mut HeaderMap, panel: &str) {
    let touches = |value: &HeaderValue| cookie::is_ours(value.as_bytes());
    if !headers.get_all(SET_COOKIE).iter().any(touches) {
        return;
    }
    tracing::warn!(panel, "the panel tried to set a cookie of the gateway");
    let kept: Vec<HeaderValue> = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter(|value| !touches(value))
        .cloned()
        .collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

/// A redirect to the upstream's own address, or to the browser's host over plain HTTP because the
/// panel does not know of TLS, leads to the browser's host instead. `None`: it stays as it is.
fn to_outside(location: &HeaderValue, outbound: &Outbound<'_>) -> Option<HeaderValue> {
    let uri: Uri = location.to_str().ok()?.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = outbound.permit.target().host().written();
    let scheme = uri.scheme_str()?;
    let plain = scheme == "http" && authority == host;
    if !plain && !names_upstream(scheme, authority, &outbound.panel.upstream) {
        return None;
    }
    // The text after the authority as it stands: a fragment is part of it, and not of the Uri.
    let text = location.to_str().ok()?.get(scheme.len()..)?;
    let rest = text.strip_prefix("://")?.strip_prefix(authority)?;
    HeaderValue::from_str(&format!("https://{host}{rest}")).ok()
}

fn names_upstream(scheme: &str, authority: &str, upstream: &Upstream) -> bool {
    let (own_scheme, host, port, default) = match upstream {
        Upstream::Http { host, port } => ("http", host, *port, 80),
        Upstream::Https { host, port } => ("https", host, *port, 443),
        Upstream::Unix(_) => return false,
    };
    scheme == own_scheme
        && (authority.eq_ignore_ascii_case(&format!("{host}:{port}"))
            || (port == default && authority.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_known_by_its_address() {
        let upstream = Upstream::Http {
            host: "127.0.0.1".to_owned(),
            port: 80,
        };
        assert!(names_upstream("http", "127.0.0.1:80", &upstream));
        assert!(names_upstream("http", "127.0.0.1", &upstream));
        assert!(!names_upstream("https", "127.0.0.1", &upstream));
        assert!(!names_upstream("http", "127.0.0.1:8080", &upstream));
    }

    #[test]
    fn fields_of_one_connection_are_stripped() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "X-Foo, close"),
            ("x-foo", "1"),
            ("keep-alive", "timeout=5"),
            ("x-bar", "2"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-bar"]);
    }
}
