//! The head that the panel sees, built from nothing: what is not allowed is not there.
//!
//! Order matters (CVE-2024-45410, CVE-2026-29054): first what the client may not say is left out,
//! `Connection` and what it names included, only then the gateway's own fields are added.

use std::fmt::Write;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, COOKIE, EXPECT, FORWARDED, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};

use super::Outbound;
use crate::wire::{cookie, header};

/// What the secret of a management token begins with: a panel never sees one (promise 5).
const MANAGEMENT_TOKEN: &str = "pct_";

/// The upstream request of a request that was let pass.
pub(super) fn build<B>(outbound: &Outbound<'_>, parts: &Parts, body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.method_mut() = outbound.permit.target().method().clone();
    *request.uri_mut() = Uri::from(outbound.permit.target().path_and_query().clone());
    let headers = request.headers_mut();
    headers.reserve(parts.headers.len() + 10);
    carry_over(headers, &parts.headers, outbound);
    add_own(headers, &parts.headers, outbound);
    request
}

fn carry_over(headers: &mut HeaderMap, sent: &HeaderMap, outbound: &Outbound<'_>) {
    let has_connection = sent.contains_key(CONNECTION);
    for (name, value) in sent {
        let own = [&HOST, &COOKIE, &EXPECT].contains(&name);
        let dropped = own
            || header::is_hop_by_hop(name)
            || header::is_spoken_for(name)
            || is_identity(name, outbound)
            || (has_connection && header::is_nominated(name, sent))
            || (name == AUTHORIZATION && shows_management_token(value));
        if !dropped {
            headers.append(name, value.clone());
        }
    }
}

fn add_own(headers: &mut HeaderMap, sent: &HeaderMap, outbound: &Outbound<'_>) {
    let host = outbound.permit.target().host().written();
    let client = outbound.client;
    if let Some(host) = host_field(host, sent) {
        headers.insert(HOST, host.clone());
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    let made = [
        (X_FORWARDED_FOR, client.to_string()),
        (FORWARDED, forwarded(client, host)),
    ];
    for (name, value) in made {
        if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(value)) {
            headers.insert(name, value);
        }
    }
    if let Some(cookies) = cookie::for_panel(sent) {
        headers.insert(COOKIE, cookies);
    }
    add_identity(headers, outbound);
}

/// The host as a field: the browser's own where that says the same.
fn host_field(host: &str, sent: &HeaderMap) -> Option<HeaderValue> {
    let own = sent
        .get(HOST)
        .filter(|own| own.as_bytes() == host.as_bytes());
    own.cloned().or_else(|| HeaderValue::from_str(host).ok())
}

/// Who is signed in. Without a session nobody is named, and nobody else can be.
fn add_identity(headers: &mut HeaderMap, outbound: &Outbound<'_>) {
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
        let value = value.and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok());
        if let Some((name, value)) = name.as_ref().zip(value) {
            headers.insert(name, value);
        }
    }
}

fn is_identity(name: &HeaderName, outbound: &Outbound<'_>) -> bool {
    let identity = &outbound.panel.identity;
    [&identity.user, &identity.role, &identity.email]
        .into_iter()
        .any(|own| own.as_ref() == Some(name))
}

fn shows_management_token(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .windows(MANAGEMENT_TOKEN.len())
        .any(|part| part == MANAGEMENT_TOKEN.as_bytes())
}

/// RFC 7239 §4; addresses with colons and hosts with ports are quoted.
fn forwarded(client: IpAddr, host: &str) -> String {
    let mut text = String::with_capacity(64);
    // Writing to a string does not fail.
    let _ = match client {
        IpAddr::V4(address) => write!(text, "for={address}"),
        IpAddr::V6(address) => write!(text, "for=\"[{address}]\""),
    };
    let _ = write!(text, ";host=\"{host}\";proto=https");
    text
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
