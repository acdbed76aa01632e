//! Sends browsers that came without TLS to the address with it. Beside health checks,
//! nothing else is ever answered there.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};

use super::led::Led;
use super::{House, arrival, refuse, wants_page};
use crate::accept::{Connection, Handler, HeadFault, Received, Scheme};
use crate::config::{ExternalUrl, Gateway, Panel, PanelHost};
use crate::gate::Host;
use crate::portal;
use crate::wire::own_answer::InTheClear;
use crate::wire::{Body, Problem, Response, cookie};

/// Knows where everybody belongs.
#[derive(Debug, Clone)]
pub(super) struct Redirect {
    external: ExternalUrl,
    /// Hosts of their own that panels and the portal have, in canonical form.
    hosts: Vec<String>,
    /// The gateway is reached on its own machine.
    is_local: bool,
}

impl Redirect {
    pub(super) fn new(gateway: &Gateway, panels: &[Arc<Panel>]) -> Self {
        let named = panels.iter().filter_map(|panel| match &panel.host {
            PanelHost::Named(host) => Some(host.clone()),
            PanelHost::External | PanelHost::Any => None,
        });
        Self {
            is_local: gateway.external_url.is_loopback(),
            external: gateway.external_url.clone(),
            hosts: named.chain(gateway.portal_host.clone()).collect(),
        }
    }

    /// Likewise of what the trusted proxy at `proxy` says came in the clear. Where that can't be so, or
    /// those who are led come back, nobody is led.
    pub(super) fn behind(&self, proxy: IpAddr, led: &Led, parts: &Parts) -> Response {
        if !is_opened(parts) {
            return self.answer(parts);
        }
        let origin = self.origin(parts);
        if self.shows_tls(parts) || !led.may_lead(proxy, &origin) {
            return in_the_clear(refuse(arrival::leads_back(origin), wants_page(parts)));
        }
        self.answer(parts)
    }

    /// Whether a browser shows that it sent this over TLS. On this machine it may have come without.
    fn shows_tls(&self, parts: &Parts) -> bool {
        !self.is_local && arrival::came_over_tls(parts)
    }

    /// What a person opens is led to the address with TLS. Anything else is refused: a program that is
    /// led on by itself would go on to send its secrets and forms in the clear first.
    pub(super) fn answer(&self, parts: &Parts) -> Response {
        in_the_clear(if is_opened(parts) {
            self.lead(parts)
        } else {
            if !HAS_WARNED.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    method = %parts.method,
                    "a request came over plain HTTP that is more than the opening of a page, and was \
                     refused; whoever sent it should use https:// and change what it carried; this is \
                     said once"
                );
            }
            refuse(self.refusal(parts), wants_page(parts))
        })
    }

    /// What is said where TLS is spoken, and nothing can be led on by itself: the browser has the right
    /// port, and only `http://` is wrong.
    pub(super) fn says_https(&self, parts: &Parts) -> Response {
        let origin = self.origin(parts);
        let mut problem = Problem::new(StatusCode::BAD_REQUEST, "HTTPS is needed here");
        problem = match is_opened(parts) {
            true => problem.detail(format!(
                "this port speaks HTTPS, and the address began with http://; use {origin}"
            )),
            false => problem.detail(format!(
                "this port speaks HTTPS, and this came over plain HTTP, where everybody on the way can \
                 read it; nothing was done: send it to {origin}, and change any password or token that \
                 was in it"
            )),
        };
        // Back to what was opened, where a person can go by a link.
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let is_read = [Method::GET, Method::HEAD].contains(&parts.method);
        let is_page = is_read && path.starts_with('/');
        let mut problem = problem.field("https", origin.clone());
        if is_page {
            problem = problem.field("address", format!("{origin}{path}"));
        }
        match wants_page(parts) {
            true => portal::error_page_alone(&problem),
            false => problem.into_response(),
        }
    }

    fn refusal(&self, parts: &Parts) -> Problem {
        let origin = self.origin(parts);
        Problem::new(StatusCode::FORBIDDEN, "not over plain HTTP")
            .detail(format!(
                "this came over plain HTTP, where everybody on the way can read it, so nothing was done; \
                 send it to {origin} instead, and change any password or token that was in it"
            ))
            .field("https", origin)
    }

    /// To the same path at the external address, or at the panel's host that was asked for. What else
    /// the request says of hosts has no part in it, so that nobody can be sent elsewhere. `308` keeps the method (RFC 9110 §15.4.9).
    fn lead(&self, parts: &Parts) -> Response {
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

    /// Where the same is reached over TLS.
    pub(super) fn origin(&self, parts: &Parts) -> String {
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

/// The same answer, to somebody who came without TLS as far as can be told.
fn in_the_clear(mut response: Response) -> Response {
    response.extensions_mut().insert(InTheClear);
    response
}

/// Whether a person may have typed or followed it: it asks for something, sends nothing and shows no
/// secret. Browsers send none of the gateway's cookies here, as they are `Secure`.
fn is_opened(parts: &Parts) -> bool {
    const SECRETS: [HeaderName; 5] = [
        AUTHORIZATION,
        PROXY_AUTHORIZATION,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("x-auth-token"),
        UPGRADE,
    ];
    let headers = &parts.headers;
    let reads = [Method::GET, Method::HEAD].contains(&parts.method);
    let sends = headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    let shows = SECRETS.iter().any(|name| headers.contains_key(name))
        || headers
            .get_all(COOKIE)
            .iter()
            .any(|line| cookie::is_ours(line.as_bytes()));
    reads && !sends && !shows
}

/// One line is enough: whoever sends such requests sends many.
static HAS_WARNED: AtomicBool = AtomicBool::new(false);

/// The door of listeners that only redirect.
#[derive(Clone)]
pub(super) struct RedirectDoor(pub(super) Arc<House>);

impl Handler for RedirectDoor {
    async fn handle(&self, connection: Arc<Connection>, request: Request<Received>) -> Response {
        let (parts, _body) = request.into_parts();
        if let Some(response) = self.0.health(&parts) {
            return response;
        }
        let redirect = &self.0.front.load().redirect;
        let way = connection.forwarded(&parts.headers);
        if way.scheme == Scheme::Https || redirect.shows_tls(&parts) {
            return in_the_clear(refuse(arrival::wrong_listener(), wants_page(&parts)));
        }
        match way.is_believed {
            true => redirect.behind(connection.peer(), &self.0.led, &parts),
            false => redirect.answer(&parts),
        }
    }

    fn head_refused(&self, connection: &Connection, fault: HeadFault) {
        self.0.heads.tell(connection.sender(), fault);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_browser_that_has_come_over_tls_is_not_led_to_it() {
        let proxy = IpAddr::from([10, 0, 0, 1]);
        for (external, field, status) in [
            ("https://a.example", "sec-fetch-mode", 403),
            ("https://a.example", "sec-fetch-dest", 403),
            ("https://a.example", "sec-fetch-site", 403),
            ("https://a.example", "accept", 308),
            // Browsers send these to their own machine without TLS too.
            ("https://localhost:8443", "sec-fetch-mode", 308),
            ("https://[::1]:8443", "sec-fetch-mode", 308),
        ] {
            let text = format!(
                "gateway.external_url = \"{external}\"\n[[panel]]\nupstream = \"unix:p\"\n"
            );
            let config = Config::parse(&text, Path::new("p.toml")).unwrap();
            let redirect = Redirect::new(&config.gateway, &config.panels);
            let request = Request::get("/x")
                .header(field, "navigate")
                .body(())
                .unwrap();
            let (parts, ()) = request.into_parts();
            let response = redirect.behind(proxy, &Led::default(), &parts);
            assert_eq!(response.status(), status, "{external} {field}");
            assert_eq!(response.headers().contains_key(LOCATION), status == 308);
        }
    }

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
