//! Which resource is asked for: the one reading of a request's method, host, path and upgrade.
//!
//! Rules match on a [`Target`] and on nothing else, and the upstream request is built from it. A
//! request that two programs could read differently has no target: it is refused, not repaired
//! (promise 1). What HTTP/1.1 hides from this room is checked below, in `accept`; what HTTP/2 allows
//! to be spelled is checked here. RFC 9110 §7.1, RFC 9112 §3.2, RFC 9113 §8.3.1, RFC 8441 §4.

use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use hyper::ext::Protocol;

use super::destination_field::DestinationField;
use super::path::Path;
use crate::accept::FIELD_LIMIT;
use crate::wire::{Problem, is_never_forwarded};

/// Characters of a method; the longest that is registered has 17 (RFC 3253).
const LONGEST_METHOD: usize = 64;

/// What a request asks for, in the only form that the inside of the house sees.
#[derive(Debug, Clone)]
pub struct Target {
    pub(super) method: Method,
    pub(super) host: Host,
    pub(super) path: Path,
    /// Byte for byte as the browser sent them.
    path_and_query: PathAndQuery,
    pub(super) websocket: bool,
    /// Where the request puts something, beside what it asks for.
    pub(super) destination: Option<DestinationField>,
}

/// A host as it was written, and in the form that it is compared in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `Panel.Example.:443`
    written: String,
    /// `panel.example`
    canonical: String,
}

impl Target {
    /// Reads a request head.
    ///
    /// # Errors
    /// The [`Problem`] to answer with.
    pub fn read(parts: &Parts) -> Result<Self, Problem> {
        check_fields(parts)?;
        let websocket = asks_for_websocket(parts)?;
        // Over HTTP/2 a WebSocket is asked for by CONNECT; a panel gets a GET (RFC 8441 §5).
        let method = if websocket {
            Method::GET
        } else {
            parts.method.clone()
        };
        check_method(&method)?;
        let host = host_of(parts)?;
        let path = Path::parse(parts.uri.path()).map_err(|fault| bad_request(fault.to_string()))?;
        Ok(Self {
            method,
            host,
            path,
            path_and_query: path_and_query(&parts.uri)?,
            websocket,
            destination: DestinationField::read(&parts.headers)?,
        })
    }

    /// The method that the panel will see.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The host that was asked for.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The path that was asked for.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path and query, byte for byte as the browser sent them.
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }

    /// Where the request puts something, beside what it asks for.
    pub fn destination(&self) -> Option<&DestinationField> {
        self.destination.as_ref()
    }

    /// Whether the request asks to become a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.websocket
    }
}

impl Host {
    /// Reads `host[:port]`; `None` for anything else (RFC 9110 §4.2, without user information).
    pub fn parse(written: &str) -> Option<Self> {
        let (name, port) = match written.rfind(':') {
            Some(at) if !written.ends_with(']') => written
                .split_at_checked(at)
                .map(|(name, port)| (name, port.get(1..)))?,
            _ => (written, None),
        };
        if port.is_some_and(|port| !is_port(port)) {
            return None;
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        (is_name(&name) || is_ipv6(&name)).then(|| Self {
            written: written.to_owned(),
            canonical: name,
        })
    }

    /// The port that was written, or `https`'s own.
    pub(super) fn port(&self) -> u16 {
        let port = self.written.rsplit_once(':').map(|(_, port)| port);
        port.and_then(|port| port.parse().ok()).unwrap_or(443)
    }

    /// As the browser wrote it, port included.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Lower case, without port and closing dot.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

/// A target in absolute form may have no path, which is `/` (RFC 9110 §4.2.3). Then what is kept of it
/// has none either, and would be sent on as nothing; so it is written out.
fn path_and_query(uri: &Uri) -> Result<PathAndQuery, Problem> {
    let kept = uri.path_and_query();
    match kept.filter(|kept| kept.as_str().starts_with('/') && kept.as_str() != "/") {
        Some(kept) => Ok(kept.clone()),
        None => {
            let query = uri.query().map(|query| format!("?{query}"));
            PathAndQuery::try_from(format!("{}{}", uri.path(), query.unwrap_or_default()))
                .map_err(|_| bad_request("the target can't be read"))
        }
    }
}

fn is_port(text: &str) -> bool {
    !text.starts_with('0')
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_ipv6(text: &str) -> bool {
    text.strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

/// The authority of the target wins over `Host` in HTTP/1.1 (RFC 9112 §3.2.2); over HTTP/2 they must
/// not differ (RFC 9113 §8.3.1).
pub(super) fn host_of(parts: &Parts) -> Result<Host, Problem> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(bad_request("the request has more than one Host"));
    }
    let field = match field.map(HeaderValue::to_str) {
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(bad_request("the Host is not text")),
        None => None,
    };
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let differ = authority.zip(field).is_some_and(|(a, b)| a != b);
    if parts.version == Version::HTTP_2 && differ {
        return Err(bad_request(":authority and Host differ"));
    }
    let written = authority
        .or(field)
        .ok_or_else(|| bad_request("the request names no host"))?;
    Host::parse(written).ok_or_else(|| bad_request("the host is not a host name with a port"))
}

fn check_method(method: &Method) -> Result<(), Problem> {
    if method.as_str().len() > LONGEST_METHOD {
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "unknown method")
            .detail(format!("a method has at most {LONGEST_METHOD} characters")));
    }
    if !is_never_forwarded(method) {
        return Ok(());
    }
    let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    Err(
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            .detail("this method is never forwarded to a panel")
            .header(ALLOW, allowed),
    )
}

/// Fields that decide how a request is read, or that HTTP/2 lets through and HTTP/1.1 does not.
fn check_fields(parts: &Parts) -> Result<(), Problem> {
    let mut expectations = parts.headers.get_all(EXPECT).iter();
    if expectations.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        // RFC 9110 §10.1.1
        return Err(
            Problem::new(StatusCode::EXPECTATION_FAILED, "expectation failed")
                .detail("the only expectation that can be met is 100-continue"),
        );
    }
    // Over HTTP/1.1 they were counted before anything was made of them. Over HTTP/2 a browser splits its
    // Cookie field into one for each cookie (RFC 9113 §8.2.3).
    let crumbs = parts.headers.get_all(COOKIE).iter().count();
    if parts.headers.len() - crumbs.saturating_sub(1) > FIELD_LIMIT {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Problem::new(status, "request head too large")
            .detail(format!("a request has at most {FIELD_LIMIT} header fields")));
    }
    let padded = |value: &HeaderValue| value.as_bytes().trim_ascii() != value.as_bytes();
    if parts.version == Version::HTTP_2 && parts.headers.values().any(padded) {
        // RFC 9113 §8.2.1
        return Err(bad_request("a header value begins or ends with a blank"));
    }
    Ok(())
}

fn asks_for_websocket(parts: &Parts) -> Result<bool, Problem> {
    let asks = names_websocket(parts)?;
    let has_length = |length: &HeaderValue| length.as_bytes() != b"0";
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    if asks && (lengths.any(has_length) || parts.headers.contains_key(TRANSFER_ENCODING)) {
        // A panel may read it as the first of the tunnel, or as a request (RFC 9110 §7.8).
        return Err(bad_request("a WebSocket handshake has no body"));
    }
    Ok(asks)
}

fn names_websocket(parts: &Parts) -> Result<bool, Problem> {
    if let Some(protocol) = parts.extensions.get::<Protocol>() {
        if protocol.as_str() == "websocket" {
            return Ok(true);
        }
        return Err(
            Problem::new(StatusCode::NOT_IMPLEMENTED, "unknown protocol")
                .detail("the only protocol that can be switched to is websocket"),
        );
    }
    Ok(parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && names(&parts.headers, UPGRADE, "websocket")
        && names(&parts.headers, CONNECTION, "upgrade"))
}

/// Whether a field that is a list has this member.
fn names(headers: &HeaderMap, field: http::HeaderName, member: &str) -> bool {
    headers
        .get_all(field)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|text| text.trim().eq_ignore_ascii_case(member))
}

fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad request").detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_on_has_a_path() {
        for (target, sent) in [
            ("http://a", "/"),
            ("http://a/", "/"),
            ("http://a?x", "/?x"),
            ("http://a/?x", "/?x"),
            ("http://a/b?c", "/b?c"),
            ("/", "/"),
            ("/?", "/?"),
            ("/b//c?d=/", "/b//c?d=/"),
        ] {
            let request = http::Request::get(target).header(HOST, "a").body(());
            let (parts, ()) = request.unwrap().into_parts();
            let target = Target::read(&parts).unwrap();
            let sent_on = Uri::from(target.path_and_query().clone());
            assert_eq!(sent_on.to_string(), sent, "{}", parts.uri);
            assert!(sent.starts_with(target.path().as_str()), "{}", parts.uri);
        }
    }

    #[test]
    fn a_host_has_one_form() {
        for (written, canonical) in [
            ("panel.example", Some("panel.example")),
            ("PANEL.example.", Some("panel.example")),
            ("panel.example:443", Some("panel.example")),
            ("[::1]:8443", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("127.0.0.1:1", Some("127.0.0.1")),
            ("panel.example:0443", None),
            ("panel.example:", None),
            ("panel.example:99999", None),
            ("panel.example:+443", None),
            ("panel.example@evil", None),
            ("a/../b", None),
            ("a..b", None),
            ("", None),
            (".", None),
            ("a b", None),
            ("[::1", None),
            ("::1", None),
        ] {
            let host = Host::parse(written);
            assert_eq!(host.as_ref().map(Host::canonical), canonical, "{written:?}");
        }
    }

    fn status(request: http::request::Builder) -> u16 {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Target::read(&parts).map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn odd_requests_have_no_target() {
        let get = || http::Request::get("/").header("host", "a");
        assert_eq!(status(get()), 200);
        assert_eq!(status(get().header("host", "a")), 400);
        assert_eq!(status(get().header("expect", "y 100-continue")), 417);
        assert_eq!(status(get().header("expect", "100-Continue")), 200);
        assert_eq!(status(http::Request::get("/")), 400);
        for (method, expected) in [
            ("TRACE", 405),
            ("CONNECT", 405),
            ("Trace", 405),
            ("TRACK", 405),
            ("get", 200),
            ("PROPFIND", 200),
        ] {
            let request = http::Request::builder().method(method).uri("/");
            assert_eq!(status(request.header("host", "a")), expected, "{method}");
        }
    }

    #[test]
    fn over_http2_the_authority_and_the_host_must_agree() {
        let request = |host: &'static str| {
            http::Request::get("https://a/")
                .version(Version::HTTP_2)
                .header("host", host)
        };
        assert_eq!(status(request("a")), 200);
        assert_eq!(status(request("b")), 400);
        let padded = http::Request::get("https://a/")
            .version(Version::HTTP_2)
            .header("x", HeaderValue::from_bytes(b" a").unwrap());
        assert_eq!(status(padded), 400);
    }
}
