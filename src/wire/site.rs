//! Whether a request comes from a page of this very site: scheme, host and port. The one notion of it, for
//! forms and for WebSockets.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderName};

/// What a browser says of where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stated {
    Here,
    /// Another site, or something that says nothing certain.
    Elsewhere,
    /// An old browser, or a program.
    Nothing,
}

/// What `Sec-Fetch-Site` and `Origin` say together; `is_own` knows the origins of this site.
pub fn stated(headers: &HeaderMap, is_own: impl Fn(&str) -> bool) -> Stated {
    let passes = |name: &HeaderName, passes: &dyn Fn(&str) -> bool| {
        let mut lines = headers.get_all(name).iter();
        lines.all(|line| line.to_str().is_ok_and(passes))
    };
    let is_of_site = |site: &str| site == "same-origin" || site == "none";
    if !passes(&SEC_FETCH_SITE, &is_of_site) || !passes(&ORIGIN, &is_own) {
        return Stated::Elsewhere;
    }
    let says = headers.get(&SEC_FETCH_SITE).map(|site| site.as_bytes());
    match headers.contains_key(ORIGIN) || says == Some(b"same-origin") {
        true => Stated::Here,
        false => Stated::Nothing,
    }
}

/// Whether an origin is `https` of this host and port; 443 may be left out on either side.
pub fn is_of_host(origin: &str, host: &str) -> bool {
    let plain = |authority: &str| {
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        authority.to_ascii_lowercase()
    };
    let own = origin.strip_prefix("https://");
    own.is_some_and(|own| plain(own) == plain(host))
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
