//! How a request that does not pass is answered: a redirect for people, a document for programs.

use http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::target::{Host, Target};
use super::visit::{SessionCookie, Visit};
use crate::model::EndedSession;
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
            (Self::NoSession, SessionCookie::Ended(_)) => "session-ended",
            (Self::NoSession, SessionCookie::Malformed) => "malformed-cookie",
            (Self::NoSession, SessionCookie::Conflict) => "two-session-cookies",
        }
    }
}

/// 303 to the login page for a navigation, else 401. The cookie stays, also one that opens nothing: this
/// request may have been sent with a former token, and the browser may have been given another since.
///
/// `ended`: why the session that was shown has ended, where that is known.
pub fn sign_in(
    why: SignIn,
    target: &Target,
    parts: &Parts,
    visit: &Visit,
    ended: Option<EndedSession>,
) -> Response {
    if !negotiate::wants_page(&parts.method, &parts.headers) {
        let problem = unauthorized(why);
        return match ended {
            Some(ended) => tell_why_ended(problem, ended).into_response(),
            None => problem.into_response(),
        };
    }
    let mut response = to_login(target);
    if visit.has_stale_cookie() {
        forget_pages(response.headers_mut());
    }
    response
}

/// The same problem, which says why the session that was shown has ended.
pub fn tell_why_ended(problem: Problem, ended: EndedSession) -> Problem {
    problem
        .detail(format!("{} Sign in again.", ended.sentence()))
        .field("ended_because", ended.reason.as_str())
        .field("ended_at", ended.at.rfc3339())
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

/// The login page for a person in a frame, who comes back to the page around it; `None`: no frame asks.
pub fn login_out_of_frame(target: &Target, parts: &Parts) -> Option<String> {
    const FRAMES: [&str; 5] = ["iframe", "frame", "embed", "object", "fencedframe"];
    let said = |name: &str| parts.headers.get(name)?.to_str().ok();
    let is_frame = said("sec-fetch-dest").is_some_and(|dest| FRAMES.contains(&dest));
    if !is_frame || said("sec-fetch-mode") != Some("navigate") {
        return None;
    }
    let around = said("referer").and_then(|around| {
        let around = around.strip_prefix("https://")?;
        let (host, _) = around.split_at_checked(around.find('/')?)?;
        let path = around.get(host.len()..)?;
        let same = Host::parse(host)?.canonical() == target.host().canonical();
        NextPath::parse(path).filter(|_| same)
    });
    Some(match around {
        Some(next) => format!("/.portcullis/login?next={}", next.in_query()),
        None => login_of(target),
    })
}

fn login_of(target: &Target) -> String {
    // What was to be posted is lost with the redirect, so it leads to the start instead.
    let next = [Method::GET, Method::HEAD]
        .contains(target.method())
        .then(|| NextPath::parse(target.path_and_query().as_str()))
        .flatten()
        .unwrap_or_else(NextPath::home);
    format!("/.portcullis/login?next={}", next.in_query())
}

fn to_login(target: &Target) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&login_of(target)) {
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
