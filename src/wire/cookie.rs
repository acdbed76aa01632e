//! Cookies: the gateway's own are found byte for byte, and written in one form only.
//!
//! Reading takes the raw pairs and never decodes: a percent-coded or oddly cased name is another
//! cookie (CVE-2020-8184). The gateway's cookie shown twice with different values is a conflict, and
//! a conflict signs nobody in. RFC 6265 §4.1, §5.4; the `__Host-` rules are of its revision.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use memchr::{memchr, memchr_iter};

/// Holds the token of a session.
///
/// A browser that knows the prefix `__Host-Http-` lets no script set such a cookie, so that a script
/// of a panel can't put its author's session in the place of one that it has crowded out; to every
/// other browser the name begins with `__Host-` (RFC 6265bis §4.1.3).
pub const SESSION: &str = "__Host-Http-portcullis";
/// Holds a sign-in that is under way: never a session.
pub const SIGN_IN: &str = "__Host-Http-portcullis-signin";
/// Holds the token of the one-time link that was opened, so that no address shows it.
pub const SETUP: &str = "__Host-Http-portcullis-setup";
/// Says that somebody has signed in in this browser before: a hint for the throttle, never a session.
pub const DEVICE: &str = "__Host-Http-portcullis-device";
/// Binds a form of somebody who is not signed in to the browser that fetched it.
pub const FORM: &str = "__Host-Http-portcullis-form";

/// What a request shows of one cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing.
    None,
    /// One value, or the same one several times.
    One(&'a str),
    /// Different values, a value that is not text, or a header that asks for the reading of RFC 2109.
    Conflict,
}

/// Looks for the cookie `name` in every `Cookie` field, without allocating.
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Found<'a> {
    let mut found = Found::None;
    for line in headers.get_all(COOKIE) {
        for pair in pairs(line.as_bytes()) {
            let (key, value) = split(pair);
            // `$Version` switches some parsers to quoted values, in which pairs can hide.
            if key.eq_ignore_ascii_case(b"$version") {
                return Found::Conflict;
            }
            if key != name.as_bytes() {
                continue;
            }
            let Ok(value) = std::str::from_utf8(value) else {
                return Found::Conflict;
            };
            match found {
                Found::None => found = Found::One(value),
                Found::One(earlier) if earlier == value => {}
                Found::One(_) | Found::Conflict => return Found::Conflict,
            }
        }
    }
    found
}

/// The pairs of the request's cookies that are a panel's: without the gateway's.
///
/// A pair is left out when the gateway's name stands anywhere in it, in any case and behind either
/// prefix: a spelling that does not sign in here can still carry a token that must not be seen by a
/// panel (promise 5).
pub fn for_panel(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(COOKIE).iter();
    let pairs = fields.flat_map(|field| pairs(field.as_bytes()));
    pairs.filter(|pair| !pair.is_empty() && !is_ours(pair))
}

/// Whether a `Cookie` pair or a `Set-Cookie` value touches one of the gateway's cookies.
pub fn is_ours(text: &[u8]) -> bool {
    const MARKS: [&[u8]; 2] = [b"host-portcullis", b"http-portcullis"];
    /// Where the dash stands in them: few places have one, and only those are compared.
    const DASH: usize = 4;
    memchr_iter(b'-', text).any(|at| {
        let start = at.checked_sub(DASH);
        MARKS.iter().any(|mark| {
            let part = start.and_then(|start| text.get(start..start + mark.len()));
            part.is_some_and(|part| part.eq_ignore_ascii_case(mark))
        })
    })
}

/// `Set-Cookie` for one of the gateway's cookies. `value` is made by the gateway: visible ASCII.
pub fn set(name: &'static str, value: &str) -> HeaderValue {
    written(Cookie::build((name, value.to_owned())))
}

/// `Set-Cookie` for one of the gateway's cookies that the browser keeps for `span`, also when it is closed.
pub fn keep(name: &'static str, value: &str, span: Duration) -> HeaderValue {
    // No span here is longer than the type holds.
    let span = cookie::time::Duration::try_from(span).unwrap_or(cookie::time::Duration::MAX);
    written(Cookie::build((name, value.to_owned())).max_age(span))
}

/// `Set-Cookie` that deletes one of the gateway's cookies. A browser accepts it for a `__Host-` name
/// only with the attributes that it was set with (CVE-2025-55162).
pub fn clear(name: &'static str) -> HeaderValue {
    written(Cookie::build((name, "")).max_age(cookie::time::Duration::ZERO))
}

fn written(cookie: cookie::CookieBuilder<'_>) -> HeaderValue {
    let text = cookie
        .secure(true)
        .http_only(true)
        .same_site(SameSite::Lax)
        .path("/")
        .build()
        .to_string();
    // Names and values are the gateway's own, so this holds; an empty field would set nothing.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (pair, after) = match memchr(b';', line) {
            Some(at) => (line.get(..at)?, line.get(at + 1..)),
            None => (line, None),
        };
        rest = after;
        Some(pair.trim_ascii())
    })
}

fn split(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b'=', pair) {
        Some(at) => (
            pair.get(..at).unwrap_or_default(),
            pair.get(at + 1..).unwrap_or_default(),
        ),
        None => (b"", pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn only_the_exact_single_form_is_found() {
        for (lines, expected) in [
            (&["a=1; __Host-Http-portcullis=S; b=2"][..], Found::One("S")),
            (&["a=1", "__Host-Http-portcullis=S"], Found::One("S")),
            (
                &["__Host-Http-portcullis=S; __Host-Http-portcullis=S"],
                Found::One("S"),
            ),
            (
                &["__Host-Http-portcullis=a; __Host-Http-portcullis=b"],
                Found::Conflict,
            ),
            (
                &["__Host-Http-portcullis=a", "__Host-Http-portcullis=b"],
                Found::Conflict,
            ),
            (&["=__Host-Http-portcullis=S"], Found::None),
            (&["%5F%5FHost-Http-portcullis=S"], Found::None),
            (&["__host-http-portcullis=S"], Found::None),
            (&["__Host-portcullis=S"], Found::None),
            (&["__Http-portcullis=S"], Found::None),
            (&["__Host-Http-portcullis =S"], Found::None),
            (&["__Host-Http-portcullis-signin=S"], Found::None),
            (&["$Version=1; __Host-Http-portcullis=S"], Found::Conflict),
            (&[""], Found::None),
        ] {
            assert_eq!(find(&headers(lines), SESSION), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_panel_sees_its_own_cookies_only() {
        for (lines, expected) in [
            (
                &["a=1; __Host-Http-portcullis=S; b=2"][..],
                &["a=1", "b=2"][..],
            ),
            (&["a=1", "b=2;c=3", ";"], &["a=1", "b=2", "c=3"]),
            (
                &[
                    "=__Host-Http-portcullis=S; %5F%5FHost-Http-portcullis=S; __HOST-HTTP-PORTCULLIS =S",
                ],
                &[],
            ),
            (
                &["__Host-portcullis=S; __Http-portcullis=S; http-a=1"],
                &["http-a=1"],
            ),
            (
                &["__Host-Http-portcullis-signin=S; __Host-Http-portcullis-form=T"],
                &[],
            ),
        ] {
            let headers = headers(lines);
            let pairs = for_panel(&headers).map(|pair| str::from_utf8(pair).unwrap());
            assert_eq!(pairs.collect::<Vec<_>>(), expected, "{lines:?}");
        }
    }

    #[test]
    fn cookies_are_written_with_the_attributes_of_their_prefix() {
        assert_eq!(
            set(SESSION, "abc"),
            "__Host-Http-portcullis=abc; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
        assert_eq!(
            clear(SESSION),
            "__Host-Http-portcullis=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }
}
