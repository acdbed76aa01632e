//! Sends browsers that came without TLS to the address with it. Beside health checks, nothing else is ever answered there.

use std::sync::Arc;

use http::header::{HOST, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use super::House;
use crate::accept::{Connection, Handler, HeadFault};
use crate::config::{ExternalUrl, Gateway, Panel, PanelHost};
use crate::gate::Host;
use crate::wire::{Body, Response};

/// Knows where everybody belongs.
#[derive(Debug, Clone)]
pub(super) struct Redirect {
    external: ExternalUrl,
    /// Hosts of their own that panels and the portal have, in canonical form.
    hosts: Vec<String>,
}

impl Redirect {
    pub(super) fn new(gateway: &Gateway, panels: &[Arc<Panel>]) -> Self {
        let named = panels.iter().filter_map(|panel| match &panel.host {
            PanelHost::Named(host) => Some(host.clone()),
            PanelHost::External | PanelHost::Any => None,
        });
        Self {
            external: gateway.external_url.clone(),
            hosts: named.chain(gateway.portal_host.clone()).collect(),
        }
    }

    /// To the same path at the external address, or at the panel's host that was asked for. What else
    /// the request says of hosts has no part in it, so that nobody can be sent elsewhere. `308` keeps the method (RFC 9110 §15.4.9).
    pub(super) fn answer(&self, parts: &Parts) -> Response {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path } else { "/" };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        // What is no header value was no target.
        if let Ok(location) = HeaderValue::from_str(&format!("{}{path}", self.origin(parts))) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    fn origin(&self, parts: &Parts) -> String {
        let named = parts
            .headers
            .get(HOST)
            .and_then(|host| Host::parse(host.to_str().ok()?));
        let is_named = |host: &&String| {
            named
                .as_ref()
                .is_some_and(|named| named.canonical() == *host)
        };
        match self.hosts.iter().find(is_named) {
            Some(host) => {
                let port = self.external.authority().strip_prefix(self.external.host());
                format!("https://{host}{}", port.unwrap_or_default())
            }
            None => self.external.to_string(),
        }
    }
}

/// The door of listeners that only redirect.
#[derive(Clone)]
pub(super) struct RedirectDoor(pub(super) Arc<House>);

impl Handler for RedirectDoor {
    async fn handle(&self, _: Arc<Connection>, request: Request<Incoming>) -> Response {
        let (parts, _body) = request.into_parts();
        if let Some(response) = self.0.health(&parts) {
            return response;
        }
        self.0.front.load().redirect.answer(&parts)
    }

    fn head_refused(&self, connection: &Connection, fault: HeadFault) {
        self.0.heads.tell(connection.peer(), fault);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_panels_own_host_stays_and_any_other_becomes_the_external_one() {
        let text = "gateway.external_url = \"https://a.example:8443\"\n\
                    [[panel]]\nhost = \"b.example\"\nupstream = \"http://127.0.0.1:1\"\n";
        let config = Config::parse(text, Path::new("p.toml")).unwrap();
        let redirect = Redirect::new(&config.gateway, &config.panels);
        for (host, origin) in [
            ("B.example.:80", "https://b.example:8443"),
            ("a.example", "https://a.example:8443"),
            ("evil.example", "https://a.example:8443"),
            ("b.example@evil", "https://a.example:8443"),
        ] {
            let request = Request::get("/x?y").header(HOST, host);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let location = format!("{origin}/x?y");
            assert_eq!(
                redirect.answer(&parts).headers()[LOCATION],
                location,
                "{host}"
            );
        }
    }
}
