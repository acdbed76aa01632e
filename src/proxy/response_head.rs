//! The panel's answer on its way back: what belongs to one connection is left out, what acts on the
//! whole origin is not the panel's to say, and URLs that name the upstream lead to where the browser is.

use std::ops::Range;

use http::header::{CONTENT_LENGTH, Entry, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::answer_field::{Becomes, becomes};
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
    if head.status == StatusCode::NO_CONTENT || head.status.is_informational() {
        // RFC 9110 §8.6
        head.headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(&mut head.headers);
    act_on_fields(&mut head.headers, outbound);
    origin_head::guard(&mut head.headers, outbound);
    head
}

/// Does to each field what the table says of it.
fn act_on_fields(headers: &mut HeaderMap, outbound: &Outbound<'_>) {
    let upstream = &outbound.panel.upstream;
    let outside = outbound.permit.target().host().written();
    let known = |name: &HeaderName| becomes(name).map(|becomes| (name.clone(), becomes));
    let touched: Vec<(HeaderName, Becomes)> = headers.keys().filter_map(known).collect();
    for (name, becomes) in touched {
        match becomes {
            Becomes::Removed => drop(headers.remove(name)),
            Becomes::CacheAlone => each(headers, &name, cache_alone),
            Becomes::WithoutOurCookies => protect_cookies(headers, &name, &outbound.panel.name),
            Becomes::UrlTurned => each(headers, &name, |url| {
                Some(turned(url, outside, upstream).unwrap_or_else(|| url.to_vec()))
            }),
            Becomes::RefreshTurned => each(headers, &name, |value| {
                Some(turned_refresh(value, outside, upstream))
            }),
        }
    }
}

/// Each value of a field becomes another, or goes.
fn each(headers: &mut HeaderMap, name: &HeaderName, new: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let Entry::Occupied(field) = headers.entry(name.clone()) else {
        return;
    };
    let (name, values) = field.remove_entry_mult();
    let values: Vec<HeaderValue> = values.collect();
    for value in values {
        let value = new(value.as_bytes()).and_then(|value| HeaderValue::from_bytes(&value).ok());
        if let Some(value) = value {
            headers.append(name.clone(), value);
        }
    }
}

/// `None`: nothing of it is left.
fn cache_alone(value: &[u8]) -> Option<Vec<u8>> {
    let mut kinds = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    kinds
        .any(|kind| kind == br#""cache""#)
        .then(|| br#""cache""#.to_vec())
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
fn protect_cookies(headers: &mut HeaderMap, name: &HeaderName, panel: &str) {
    let touches = |value: &HeaderValue| cookie::is_ours(value.as_bytes());
    if !headers.get_all(name).iter().any(touches) {
        return;
    }
    tracing::warn!(panel, "the panel tried to set a cookie of the gateway");
    each(headers, name, |value| {
        (!cookie::is_ours(value)).then(|| value.to_vec())
    });
}

/// A URL to the upstream's own address, or to the browser's host over plain HTTP because the panel does
/// not know of TLS, with the browser's host instead; `None` where it names neither.
fn turned(url: &[u8], outside: &str, upstream: &Upstream) -> Option<Vec<u8>> {
    if url.contains(&b'\t') {
        // Browsers drop them, wherever they stand.
        let plain: Vec<u8> = url.iter().copied().filter(|byte| *byte != b'\t').collect();
        return turned(&plain, outside, upstream);
    }
    let (scheme, authority, rest) = split(url)?;
    let is_upstream = upstream.of_url().is_some_and(|(own, default, named)| {
        scheme.is_none_or(|scheme| scheme == own) && authority.is_same(named, default)
    });
    let is_plain = scheme == Some("http") && is_outside(&authority, outside);
    (is_upstream || is_plain).then(|| [b"https://", outside.as_bytes(), rest].concat())
}

/// The value of `Refresh` with its URL turned, which is looked for as browsers do (HTML, "shared
/// declarative refresh steps").
fn turned_refresh(value: &[u8], outside: &str, upstream: &Upstream) -> Vec<u8> {
    let url = refresh_url(value);
    let (before, after) = (url.start, url.end);
    let new = value
        .get(url)
        .and_then(|url| turned(url, outside, upstream));
    match (value.get(..before), new, value.get(after..)) {
        (Some(before), Some(new), Some(after)) => [before, &new, after].concat(),
        _ => value.to_vec(),
    }
}

/// Where the URL stands; empty without one.
fn refresh_url(value: &[u8]) -> Range<usize> {
    let while_in = |mut at: usize, set: &dyn Fn(u8) -> bool| {
        while value.get(at).is_some_and(|byte| set(*byte)) {
            at += 1;
        }
        at
    };
    let blank = |byte: u8| byte.is_ascii_whitespace();
    let time = while_in(while_in(0, &blank), &|byte| {
        byte.is_ascii_digit() || byte == b'.'
    });
    let mut at = while_in(time, &blank);
    if value.get(at).is_some_and(|byte| b";,".contains(byte)) {
        at = while_in(at + 1, &blank);
    }
    let word = value.get(at..at + 3).unwrap_or_default();
    if word.eq_ignore_ascii_case(b"url") {
        let equals = while_in(at + 3, &blank);
        if value.get(equals) == Some(&b'=') {
            at = while_in(equals + 1, &blank);
        }
    }
    let quote = value.get(at).copied().filter(|byte| b"'\"".contains(byte));
    let Some(quote) = quote else {
        return at..value.len();
    };
    let inner = value.get(at + 1..).unwrap_or_default();
    let length = memchr::memchr(quote, inner).unwrap_or(inner.len());
    at + 1..at + 1 + length
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
            ("ht\ttp://\tp/a\tb", "p", "/ab"),
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
    fn the_url_of_a_refresh_is_turned_however_it_is_written() {
        let upstream = Upstream::Http(Authority::parse("p").unwrap());
        let turn = |value: &str| {
            let turned = turned_refresh(value.as_bytes(), "a.example", &upstream);
            String::from_utf8(turned).unwrap()
        };
        for (sent, seen) in [
            ("5; url=http://p/x", "5; url=https://a.example/x"),
            ("0;URL='http://P:80/x' y", "0;URL='https://a.example/x' y"),
            ("0,Url = \"http://p/x\"", "0,Url = \"https://a.example/x\""),
            ("1.5 http://p/x", "1.5 https://a.example/x"),
            ("; http://p/x", "; https://a.example/x"),
            ("5", "5"),
            ("5; url=/x", "5; url=/x"),
            ("5; url=http://q/x", "5; url=http://q/x"),
            ("5; url='", "5; url='"),
            ("5; url", "5; url"),
            ("", ""),
        ] {
            assert_eq!(turn(sent), seen);
        }
    }

    #[test]
    fn of_what_clears_the_site_only_the_cache_is_left() {
        let cache = Some(b"\"cache\"".to_vec());
        assert_eq!(cache_alone(b"\"cookies\", \"cache\""), cache);
        for gone in [
            "\"cookies\"",
            "\"*\"",
            "\"storage\",\"executionContexts\"",
            "",
            "cache",
        ] {
            assert_eq!(cache_alone(gone.as_bytes()), None, "{gone}");
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
