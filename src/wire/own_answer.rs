//! What guards every answer that the gateway gives itself: pages, redirects, refusals, calls, and what is
//! said of a malformed head. Answers of panels keep the fields that the panel gave them.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue};

use super::Response;

/// A mark on an answer: it is a panel's. What has no mark is the gateway's own and is guarded.
#[derive(Debug, Clone, Copy)]
pub struct OfPanel;

/// A mark on an answer: it goes to a browser that has come without TLS, and there browsers are not told
/// to come with it alone (RFC 6797 §7.2).
#[derive(Debug, Clone, Copy)]
pub struct InTheClear;

/// A year, for this host alone.
const A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What an answer has that says nothing else itself. A page says more, where it must.
const GUARDS: [(HeaderName, HeaderValue); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The last thing that is done with an answer. `over_tls_alone`: browsers are told to come to this host
/// over TLS only (RFC 6797).
pub fn guard(response: &mut Response, over_tls_alone: bool) {
    let in_the_clear = response.extensions_mut().remove::<InTheClear>().is_some();
    if response.extensions_mut().remove::<OfPanel>().is_some() {
        return;
    }
    let headers = response.headers_mut();
    for (name, value) in GUARDS {
        headers.entry(name).or_insert(value);
    }
    if over_tls_alone && !in_the_clear {
        headers.insert(STRICT_TRANSPORT_SECURITY, A_YEAR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Body;

    #[test]
    fn every_answer_is_guarded_save_a_panels() {
        for (of_panel, in_the_clear, over_tls_alone, fields) in [
            (false, false, true, 6),
            (false, false, false, 5),
            (false, true, true, 5),
            (true, false, true, 0),
            (true, true, false, 0),
        ] {
            let mut response = Response::new(Body::empty());
            if of_panel {
                response.extensions_mut().insert(OfPanel);
            }
            if in_the_clear {
                response.extensions_mut().insert(InTheClear);
            }
            guard(&mut response, over_tls_alone);
            assert_eq!(response.headers().len(), fields, "{response:?}");
        }
    }

    #[test]
    fn what_an_answer_says_itself_stays() {
        let mut response = Response::new(Body::empty());
        let policy = HeaderValue::from_static("default-src 'none'; style-src 'self'");
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
        guard(&mut response, true);
        let said = response.headers().get_all(CONTENT_SECURITY_POLICY).iter();
        assert_eq!(said.collect::<Vec<_>>(), [&policy]);
    }
}
