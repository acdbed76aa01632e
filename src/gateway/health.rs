//! The check of load balancers on the listeners for people: able to serve or not, and nothing else.
//!
//! It is answered before the host and the session are looked at, because a load balancer names no
//! host, or its own idea of one. What a balancer may know beyond that is in `/readyz` of the
//! management API.

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::House;
use crate::wire::{Body, Problem, Response};

/// In this one spelling; any other is the gate's to judge.
const PATH: &str = "/.portcullis/health";

impl House {
    /// The answer to a health check; `None` for every other request.
    pub(super) fn health(&self, parts: &Parts) -> Option<Response> {
        if parts.uri.path() != PATH {
            return None;
        }
        let is_able = !self.leaving.has_begun() && self.sessions.is_trusted(self.clock.now());
        Some(answer(&parts.method, is_able))
    }
}

fn answer(method: &Method, is_able: bool) -> Response {
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            .detail("a health check is GET, HEAD or OPTIONS")
            .header(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))
            .into_response();
    }
    let (status, text) = match is_able {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n"),
    };
    // RFC 9110 §9.3.2: the head of an answer to HEAD is that of GET, and there is no body.
    let body = match *method == Method::HEAD {
        true => Body::empty(),
        false => Body::from(text.to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    // A cache in between would answer for a gateway that has ended.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_whether_the_gateway_can_serve_and_nothing_else() {
        for (method, is_able, status) in [
            (Method::GET, true, 200),
            (Method::HEAD, true, 200),
            (Method::OPTIONS, true, 200),
            (Method::GET, false, 503),
            (Method::HEAD, false, 503),
            (Method::POST, true, 405),
            (Method::DELETE, false, 405),
        ] {
            assert_eq!(
                answer(&method, is_able).status(),
                status,
                "{method} {is_able}"
            );
        }
    }
}
