//! Sends browsers that came without TLS to the address with it. Nothing else is ever answered there.

use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use std::sync::Arc;

use crate::accept::{Connection, Handler};
use crate::config::ExternalUrl;
use crate::wire::{Body, Response};

/// Knows where everybody belongs.
#[derive(Debug, Clone)]
pub(super) struct Redirect {
    external: ExternalUrl,
}

impl Redirect {
    pub(super) fn new(external: ExternalUrl) -> Self {
        Self { external }
    }

    /// To the same path at the external address. The `Host` of the request has no part in it, so that
    /// nobody can be sent elsewhere. `308` keeps the method (RFC 9110 §15.4.9).
    pub(super) fn answer(&self, parts: &Parts) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path } else { "/" };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        // What is no header value was no target.
        if let Ok(location) = HeaderValue::from_str(&self.external.join(path)) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

impl Handler for Redirect {
    async fn handle(&self, _: Arc<Connection>, request: Request<Incoming>) -> Response {
        self.answer(&request.into_parts().0)
    }
}
