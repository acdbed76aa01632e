//! How a request came here: whose it is, and whether it came over TLS, as far as the proxies in front say.
//! Where they leave the gateway in doubt, a sentence is the answer. Who reads it is a person before a page
//! that does not open, and the operator of the proxy: each sentence names the field.

use http::request::Parts;
use http::{HeaderName, StatusCode};

use super::front::Front;
use super::{Answered, House};
use crate::accept::{Connection, Forwarded, Scheme};
use crate::model::ClientAddress;
use crate::telemetry::Entry;
use crate::wire::Problem;

/// Browsers send them over TLS, and to the machine itself, alone (Fetch Metadata §2, "potentially
/// trustworthy URL").
const OVER_TLS_ALONE: [HeaderName; 3] = [
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
];

/// What is known of a request before it is judged.
pub(super) struct Arrival {
    pub(super) client: ClientAddress,
    /// A proxy that may say whether it came over TLS does not, before a listener without TLS.
    is_silent: bool,
}

impl House {
    /// Reads how a request came. Where a proxy names another host, that one is asked for from now on.
    ///
    /// # Errors
    /// The answer, where it goes nowhere.
    pub(super) fn arrival(
        &self,
        front: &Front,
        connection: &Connection,
        parts: &mut Parts,
        entry: &Entry,
    ) -> Result<Arrival, Box<Answered>> {
        let way = connection.forwarded(&parts.headers);
        let client = way.client;
        entry.tell(|line| line.client = Some(client.address()));
        if let Some(response) = self.health(parts) {
            return Err(Box::new(Answered::of("health", response)));
        }
        self.remarks.look(connection, &parts.headers, &way);
        let is_silent = connection.is_plain() && way.scheme == Scheme::Untold;
        let (scheme, stopped) = match is_file_of_pages(parts) {
            true => (Scheme::Untold, None),
            false => (way.scheme, stops(&way)),
        };
        let readdressed = way
            .host
            .and_then(|said| front.gate.readdressed(parts, said));
        if let Some(readdressed) = readdressed {
            readdressed.apply(parts);
        }
        if let Some(problem) = stopped {
            return Err(Box::new(Answered::refused(problem, entry, parts)));
        }
        let proxy = connection.peer();
        if scheme == Scheme::Http {
            let response = front.redirect.behind(proxy, &self.led, parts);
            return Err(Box::new(Answered::of("redirect", response)));
        }
        if scheme == Scheme::Https && self.led.has_any() {
            self.led.arrived(proxy, front.redirect.origin(parts));
        }
        Ok(Arrival { client, is_silent })
    }
}

impl Arrival {
    /// Why the gateway's own pages are closed to this request: no field says how it came, and a password may
    /// follow.
    pub(super) fn closes_pages(&self, parts: &Parts) -> Option<Problem> {
        (self.is_silent && !is_file_of_pages(parts) && !came_over_tls(parts)).then(silent)
    }
}

/// The files of the gateway's own pages say nothing of anybody, and the page that tells a person of plain
/// HTTP is drawn with them.
fn is_file_of_pages(parts: &Parts) -> bool {
    parts.uri.path().starts_with("/.portcullis/assets/")
}

/// Why a request goes nowhere, by what is said of its way.
fn stops(way: &Forwarded<'_>) -> Option<Problem> {
    if way.names_two_clients {
        return Some(
            Problem::new(StatusCode::BAD_REQUEST, "two clients").detail(
                "the fields in which proxies name the client (Forwarded, X-Forwarded-For, X-Real-IP) \
                 contradict each other, so nothing was done; let the proxy in front of the gateway set \
                 one of them and remove the others, and name every proxy on the way in trusted_proxies",
            ),
        );
    }
    let why = match way.scheme {
        Scheme::Contradictory => "say that it was TLS and that it was not",
        Scheme::Unreadable => "say something else than a scheme",
        Scheme::Https | Scheme::Http | Scheme::Untold => return None,
    };
    Some(unclear(format!(
        "the fields in which proxies say whether the client came over TLS (Forwarded, X-Forwarded-Proto, \
         X-Forwarded-Scheme, X-Forwarded-Ssl, Front-End-Https) {why}, so nothing was done; let the proxy \
         in front of the gateway set X-Forwarded-Proto to https or http, as the client came, and remove \
         the others"
    )))
}

/// Whether the browser itself shows that it sent this over TLS, or to its own machine.
pub(super) fn came_over_tls(parts: &Parts) -> bool {
    let sent = |name| parts.headers.contains_key(name);
    OVER_TLS_ALONE.iter().any(sent)
}

fn silent() -> Problem {
    unclear(
        "the proxy in front of the gateway does not say whether this came over TLS, and the browser shows no \
         sign of it (no Sec-Fetch fields), so the gateway's own pages are closed: a password would be seen by \
         everybody on the way. Let the proxy set X-Forwarded-Proto; a browser older than Chrome 80, Firefox 90 \
         or Safari 16.4 shows none at all",
    )
}

/// Being led to `origin` would lead here again.
pub(super) fn leads_back(origin: String) -> Problem {
    unclear(format!(
        "the proxy in front of the gateway says that this came over plain HTTP, and it says so of what comes \
         over TLS too, so that a redirect would lead here again. Let the proxy set X-Forwarded-Proto to the \
         scheme by which the client came to it, and let a proxy behind another one pass it on. If you \
         typed http://, open {origin} instead"
    ))
    .field("https", origin)
}

/// What comes over TLS has no place at a listener that only leads to it.
pub(super) fn wrong_listener() -> Problem {
    unclear(
        "this came over TLS to the proxy in front, and the proxy has brought it to a listener of \
         redirect_http, which only leads to TLS; let it bring this to an address of listen_plain, or by \
         https to one of listen",
    )
}

fn unclear(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "scheme unclear").detail(detail)
}
