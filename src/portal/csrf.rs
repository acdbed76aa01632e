//! Whether a POST was meant: it comes from a page of the gateway that this browser fetched.
//!
//! Two locks (F11). The browser says where a request comes from, and anything but this site is
//! refused. And every form has a hidden field, an HMAC over what the browser holds: the session, the
//! sign-in under way, or a cookie made for the form alone. The field of one person, of another
//! session, or from before signing in fits none of the later ones.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HOST, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::model::TokenHash;
use crate::secret::random_bytes;
use crate::wire::cookie::{self, Found};
use crate::wire::site::{self, Stated};
use crate::wire::{Problem, Response};

/// Makes and checks the hidden fields.
#[derive(Debug, Clone)]
pub(super) struct FormKey(hmac::Key);

/// What a form belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Binding<'a> {
    /// Of somebody signed in.
    Session(TokenHash),
    /// Of somebody half signed in: the value of the sign-in cookie.
    SignIn(&'a str),
    /// Of a stranger: the value of the form cookie.
    Stranger(&'a str),
    /// Of a stranger who has opened a one-time link: the value of the form cookie, and the link's token.
    Link(&'a str, &'a str),
}

impl FormKey {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }

    /// The value of the hidden field.
    pub(super) fn field(&self, binding: Binding<'_>) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &message(binding)))
    }

    /// Whether a form belongs to who posts it; in constant time.
    pub(super) fn fits(&self, binding: Binding<'_>, field: &str) -> bool {
        URL_SAFE_NO_PAD
            .decode(field)
            .is_ok_and(|tag| hmac::verify(&self.0, &message(binding), &tag).is_ok())
    }
}

/// The kind goes first, so that no value of one kind counts as another's.
fn message(binding: Binding<'_>) -> Vec<u8> {
    let (kind, value): (u8, &[u8]) = match &binding {
        // The value has one length, so that where it ends is clear.
        Binding::Link(value, token) => {
            return [b"L", value.as_bytes(), token.as_bytes()].concat();
        }
        Binding::Session(token) => (b'S', &token.0),
        Binding::SignIn(value) => (b'P', value.as_bytes()),
        Binding::Stranger(value) => (b'F', value.as_bytes()),
    };
    let mut message = vec![kind];
    message.extend_from_slice(value);
    message
}

/// The form cookie of a stranger: the one that the browser shows, else a fresh one.
#[derive(Debug)]
pub(super) struct Stranger {
    value: String,
    /// It has to be given to the browser first.
    is_new: bool,
}

impl Stranger {
    pub(super) fn of(parts: &Parts) -> Self {
        match cookie::find(&parts.headers, cookie::FORM) {
            Found::One(value) if is_ours(value) => Self {
                value: value.to_owned(),
                is_new: false,
            },
            _ => Self {
                value: URL_SAFE_NO_PAD.encode(random_bytes::<32>()),
                is_new: true,
            },
        }
    }

    /// What the form of this stranger is bound to.
    pub(super) fn binding(&self) -> Binding<'_> {
        Binding::Stranger(&self.value)
    }

    /// What the form of this stranger for a one-time link is bound to.
    pub(super) fn binding_to<'a>(&'a self, token: &'a str) -> Binding<'a> {
        Binding::Link(&self.value, token)
    }

    /// The same answer, with the cookie if the browser has to be given it.
    pub(super) fn remembered(&self, mut response: Response) -> Response {
        if let Some(cookie) = self.cookie() {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    /// The same refusal, with the cookie if the browser has to be given it.
    pub(super) fn remembered_in(&self, problem: Problem) -> Problem {
        match self.cookie() {
            Some(cookie) => problem.header(SET_COOKIE, cookie),
            None => problem,
        }
    }

    fn cookie(&self) -> Option<HeaderValue> {
        self.is_new.then(|| cookie::set(cookie::FORM, &self.value))
    }
}

/// A value that the gateway could have made.
fn is_ours(value: &str) -> bool {
    value.len() == 43 && URL_SAFE_NO_PAD.decode(value).is_ok()
}

/// Refuses a POST of which the browser says that another site sent it. Old browsers and programs say
/// nothing; then the hidden field stands alone.
///
/// # Errors
/// 403.
pub(super) fn check_site(parts: &Parts, external_origin: &str) -> Result<(), Problem> {
    let own = |origin: &str| origin == external_origin || is_own_host(origin, parts);
    if site::stated(&parts.headers, own) != Stated::Elsewhere {
        return Ok(());
    }
    Err(
        Problem::new(StatusCode::FORBIDDEN, "not from this site").detail(
            "this form was sent by another site, so nothing was done; if you meant to do it, do it \
         on the gateway's own page",
        ),
    )
}

/// A panel may have a host of its own, and the portal is there too. The gate has let this host in.
fn is_own_host(origin: &str, parts: &Parts) -> bool {
    let host = parts
        .uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| parts.headers.get(HOST).and_then(|host| host.to_str().ok()));
    host.is_some_and(|host| site::is_of_host(origin, host))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_field_fits_only_what_it_was_made_for() {
        let key = FormKey::new([1; 32]);
        let text = "A".repeat(32);
        let bytes: [u8; 32] = text.as_bytes().try_into().unwrap();
        let bindings = [
            Binding::Session(TokenHash(bytes)),
            Binding::SignIn(&text),
            Binding::Stranger(&text),
            Binding::Link(&text, "x"),
            Binding::Link(&text, "y"),
            Binding::Session(TokenHash([2; 32])),
        ];
        for (i, &made_for) in bindings.iter().enumerate() {
            let field = key.field(made_for);
            for (j, &shown) in bindings.iter().enumerate() {
                assert_eq!(key.fits(shown, &field), i == j, "{made_for:?} {shown:?}");
            }
            assert!(!FormKey::new([2; 32]).fits(made_for, &field));
        }
        for field in ["", "AAAA", "%%%", &key.field(bindings[1])[1..]] {
            assert!(!key.fits(bindings[1], field), "{field}");
        }
    }

    #[test]
    fn a_post_from_another_site_is_refused() {
        for (fields, allowed) in [
            (&[][..], true),
            (&[("origin", "https://gate.example:8443")], true),
            (&[("origin", "https://panel.example")], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("origin", "null")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "http://gate.example:8443")], false),
            (&[("origin", "https://gate.example")], false),
            (&[("origin", "https://panel.example.evil")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[
                    ("origin", "https://gate.example:8443"),
                    ("sec-fetch-site", "cross-site"),
                ],
                false,
            ),
            (
                &[
                    ("origin", "https://gate.example:8443"),
                    ("origin", "https://evil.example"),
                ],
                false,
            ),
        ] {
            let mut request = Request::post("/.portcullis/login").header("host", "panel.example");
            for &(name, value) in fields {
                request = request.header(name, value);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let result = check_site(&parts, "https://gate.example:8443");
            assert_eq!(result.is_ok(), allowed, "{fields:?}");
        }
    }
}
