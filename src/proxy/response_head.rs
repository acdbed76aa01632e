//! The panel's answer on its way back: what belongs to one connection is left out, the gateway's
//! cookies can't be set, and redirects that name the upstream lead to where the browser is.

use http::header::{CONTENT_LENGTH, LOCATION, SET_COOKIE, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::{Outbound, origin_head};
use crate::config::Upstream;
use crate::wire::{Authority, cookie, header};

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
    origin_head::guard(&mut head.headers, outbound);
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
    let host = outbound.permit.target().host().written();
    let outside = turned(location.as_bytes(), host, &outbound.panel.upstream)?;
    HeaderValue::from_bytes(&outside).ok()
}

/// The URL with the browser's authority; `None` where it names neither the upstream nor the browser's
/// host over plain HTTP.
fn turned(url: &[u8], outside: &str, upstream: &Upstream) -> Option<Vec<u8>> {
    let (scheme, authority, rest) = split(url)?;
    let is_upstream = upstream.of_url().is_some_and(|(own, default, named)| {
        scheme.is_none_or(|scheme| scheme == own) && authority.is_same(named, default)
    });
    let is_plain = scheme == Some("http") && is_outside(&authority, outside);
    (is_upstream || is_plain).then(|| [b"https://", outside.as_bytes(), rest].concat())
}

/// Whether a plain HTTP authority is what the browser asked for over HTTPS: a panel puts the port that
/// it saw in `Host` into it, or none.
fn is_outside(authority: &Authority, outside: &str) -> bool {
    let Ok(outside) = Authority::parse(outside).map(|outside| outside.without_default(443)) else {
        return false;
    };
    authority.host() == outside.host()
        && match outside.port() {
            Some(port) => authority.port() == Some(port),
            None => [None, Some(80), Some(443)].contains(&authority.port()),
        }
}

/// Scheme, authority and all that follows of an absolute URL, as browsers read it (WHATWG URL, "basic
/// URL parser"): blanks around it are dropped, a backslash is a slash, and any number of slashes stands
/// before the authority. The scheme is `None` where the URL leaves it out.
fn split(url: &[u8]) -> Option<(Option<&'static str>, Authority, &[u8])> {
    let url = url.trim_ascii();
    let is_slash = |byte: &u8| [b'/', b'\\'].contains(byte);
    let (scheme, after) = match memchr::memchr(b':', url).and_then(|at| url.split_at_checked(at)) {
        Some((scheme, after)) if scheme.eq_ignore_ascii_case(b"http") => (Some("http"), after),
        Some((scheme, after)) if scheme.eq_ignore_ascii_case(b"https") => (Some("https"), after),
        _ => (None, url),
    };
    let after = after.strip_prefix(b":").unwrap_or(after);
    let slashes = after.iter().take_while(|byte| is_slash(byte)).count();
    // Fewer than two begin a path of the page's own host, unless the scheme is not that of the page.
    if slashes < 2 && scheme != Some("http") {
        return None;
    }
    let after = after.get(slashes..)?;
    let ends = |byte: &u8| is_slash(byte) || [b'?', b'#'].contains(byte);
    let end = after.iter().position(ends).unwrap_or(after.len());
    let (authority, rest) = after.split_at_checked(end)?;
    // A name before the host does not change where it leads.
    let host = authority.rsplit(|&byte| byte == b'@').next()?;
    let authority = Authority::parse(str::from_utf8(host).ok()?).ok()?;
    Some((scheme, authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_names_the_upstream_leads_to_the_browsers_host() {
        let turn = |url: &str, upstream: &str| {
            let authority = Authority::parse(upstream).unwrap();
            let turned = turned(url.as_bytes(), "a.example", &Upstream::Http(authority));
            turned.map(|url| String::from_utf8(url).unwrap())
        };
        for (url, upstream, rest) in [
            ("http://127.0.0.1/", "127.0.0.1", "/"),
            ("http://127.0.0.1:80/x", "127.0.0.1", "/x"),
            ("http://127.0.0.1/x", "127.0.0.1:80", "/x"),
            ("http://PANEL.internal:81", "panel.internal:81", ""),
            ("HTTP://panel.Internal.:81?a#b", "panel.internal:81", "?a#b"),
            (" http://p/a b ", "p", "/a b"),
            ("http://p/<\u{e9}>\"{}|", "p", "/<\u{e9}>\"{}|"),
            ("http://[::1]:8080/", "[::1]:8080", "/"),
            ("http://[0:0::1]:8080/", "[::1]:8080", "/"),
            ("//p/x", "p", "/x"),
            ("\\\\p\\x", "p", "\\x"),
            ("http:////p/x", "p", "/x"),
            ("http:/p/x", "p", "/x"),
            ("http:p", "p", ""),
            ("http://u:w@p/x", "p", "/x"),
            ("http://A.example/x", "p", "/x"),
            ("http://a.example:80/x", "p", "/x"),
            ("http://a.example:443/x", "p", "/x"),
        ] {
            let outside = format!("https://a.example{rest}");
            assert_eq!(turn(url, upstream), Some(outside), "{url}");
        }
        for (url, upstream) in [
            ("/x", "p"),
            ("x", "p"),
            ("", "p"),
            ("https:/p/x", "p"),
            ("/p/x", "p"),
            ("https://p/", "p"),
            ("ftp://p/", "p"),
            ("http://p:8080/", "p"),
            ("http://p@q/", "p"),
            ("http://p.q/", "p"),
            ("http://q/?http://p/", "p"),
            ("https://a.example/", "p"),
            ("http://a.example:8080/", "p"),
        ] {
            assert_eq!(turn(url, upstream), None, "{url}");
        }
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
