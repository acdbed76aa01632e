//! Fields of a panel's answer that act beyond the page: on the origin, which is the portal's as well.

use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Outbound;

const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const WORKER_SCOPE: HeaderName = HeaderName::from_static("service-worker-allowed");
/// With them a panel would be told the address of every request to the origin that fails or not, those
/// of the portal's pages with what is in them (Network Error Logging §5).
const REPORTS: [HeaderName; 2] = [
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
];

/// Takes out what a panel may not say of an origin that it shares with the portal.
pub(super) fn guard(headers: &mut HeaderMap, outbound: &Outbound<'_>) {
    let panel = outbound.panel;
    if !panel.service_workers {
        headers.remove(WORKER_SCOPE);
    }
    if !panel.shares_origin {
        return;
    }
    for name in &REPORTS {
        headers.remove(name);
    }
    let path = outbound.permit.target().path().as_str();
    if path.rfind('/') == Some(0) && may_be_script(headers) {
        // A script that was fetched as something else could be the worker's from the browser's cache
        // (`updateViaCache`), and the request that says so would never come here.
        headers.append(VARY, HeaderValue::from_static("Service-Worker"));
    }
    keep_windows_apart(headers);
}

/// With `same-origin` on both sides a page of the panel could open a page of the portal and reach into
/// it (HTML §7.1.3). With `same-origin-allow-popups` the panel is as far from every other site.
fn keep_windows_apart(headers: &mut HeaderMap) {
    let lines = headers.get_all(&OPENER);
    let joins = |line: &HeaderValue| {
        let text = line.as_bytes().trim_ascii();
        text.starts_with(b"same-origin") && !text.starts_with(b"same-origin-allow-popups")
    };
    if lines.iter().any(joins) {
        headers.insert(OPENER, HeaderValue::from_static("same-origin-allow-popups"));
    }
}

/// Only what says that it is a script is taken for a worker's (Service Workers §8.2, "update").
fn may_be_script(headers: &HeaderMap) -> bool {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    kinds.any(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        kind.windows(6).any(|part| part == b"script")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_the_panel_is_not_in_one_group_with_the_portals() {
        for (said, left) in [
            ("same-origin", "same-origin-allow-popups"),
            ("same-origin; report-to=\"x\"", "same-origin-allow-popups"),
            ("same-origin-plus-coep", "same-origin-allow-popups"),
            ("same-origin-allow-popups", "same-origin-allow-popups"),
            ("unsafe-none", "unsafe-none"),
            ("noopener-allow-popups", "noopener-allow-popups"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(OPENER, HeaderValue::from_static(said));
            keep_windows_apart(&mut headers);
            assert_eq!(headers[OPENER], left, "{said}");
        }
    }

    #[test]
    fn scripts_are_known_in_every_spelling() {
        for (kind, is_script) in [
            ("text/javascript", true),
            ("application/JavaScript; charset=utf-8", true),
            ("text/ecmascript", true),
            ("application/x-javascript", true),
            ("text/livescript", true),
            ("text/jscript", true),
            ("text/html", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            assert_eq!(may_be_script(&headers), is_script, "{kind}");
        }
    }
}
