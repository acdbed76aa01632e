//! How a request that does not pass is answered: a redirect for people, a document for programs.

use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::target::Target;
use super::visit::{SessionCookie, Visit};
use crate::wire::{Body, NextPath, Problem, Response, cookie, negotiate};

/// Why a person has to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// There is no live session.
    NoSession,
    /// There is one, but this page asks for a more recent sign-in.
    TooLongAgo,
}

impl SignIn {
    /// In a word, for the log.
    pub fn cause(self, visit: &Visit) -> &'static str {
        match (self, visit.cookie) {
            (Self::TooLongAgo, _) => "too-long-ago",
            (Self::NoSession, SessionCookie::Missing | SessionCookie::Live) => "no-session",
            (Self::NoSession, SessionCookie::Ended) => "session-ended",
            (Self::NoSession, SessionCookie::Malformed) => "malformed-cookie",
            (Self::NoSession, SessionCookie::Conflict) => "two-session-cookies",
        }
    }
}

/// 303 to the login page for a navigation, else 401. The cookie stays, also one that opens nothing: this
/// request may have been sent with a former token, and the browser may have been given another since.
pub fn sign_in(why: SignIn, target: &Target, parts: &Parts, visit: &Visit) -> Response {
    if !negotiate::wants_page(&parts.method, &parts.headers) {
        return unauthorized(why).into_response();
    }
    let mut response = to_login(target);
    if visit.has_stale_cookie() {
        forget_pages(response.headers_mut());
    }
    response
}

/// Deletes the session cookie, and the pages that the browser has kept of it. Only for a person who signs
/// out: anything else could delete the cookie of a session that has just begun.
pub fn forget_browser(headers: &mut HeaderMap) {
    headers.append(SET_COOKIE, cookie::clear(cookie::SESSION));
    forget_pages(headers);
}

/// Deletes the pages that the browser has kept of a session that is over.
fn forget_pages(headers: &mut HeaderMap) {
    headers.insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
}

fn to_login(target: &Target) -> Response {
    // What was to be posted is lost with the redirect, so it leads to the start instead.
    let next = [Method::GET, Method::HEAD]
        .contains(target.method())
        .then(|| NextPath::parse(target.path_and_query().as_str()))
        .flatten()
        .unwrap_or_else(NextPath::home);
    let location = format!("/.portcullis/login?next={}", next.in_query());
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(LOCATION, location);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn unauthorized(why: SignIn) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "sign-in needed")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Portcullis"))
        .field("login", "/.portcullis/login");
    match why {
        SignIn::NoSession => problem.detail("this request shows no live session"),
        SignIn::TooLongAgo => problem
            .detail("this request needs a more recent sign-in")
            .field("reauthenticate", true),
    }
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
