//! Whether a person opens a page, and not a script.
//!
//! The panel's pages may have the origin of the portal's, and a panel is not trusted: a script in one
//! of them could read a page with its hidden fields, and post what it likes. What such a script can't
//! do is write the fields in which the browser itself says what a request is for (Fetch Metadata §2;
//! `Sec-` names are forbidden to scripts, Fetch §2.2.2). So a page, and a post, is answered only for a
//! document that takes the place of what a window shows: then the one who asked does not see the answer.

use http::{HeaderMap, HeaderName, StatusCode};

use crate::wire::Problem;

const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const USER: HeaderName = HeaderName::from_static("sec-fetch-user");

/// How browsers mark what is fetched before a person asks for it, and what goes through a worker: the
/// answer of a navigation preload is handed to the worker's script (Service Workers §4.6).
const AHEAD_OR_BY_A_WORKER: [HeaderName; 6] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
    HeaderName::from_static("service-worker-navigation-preload"),
    HeaderName::from_static("service-worker"),
];

/// Refuses whatever is not a document that a browser navigates to.
///
/// `old_browsers`: one that says nothing at all is taken at its word.
///
/// # Errors
/// 403.
pub(super) fn check_page(headers: &HeaderMap, old_browsers: bool) -> Result<(), Problem> {
    let marked = AHEAD_OR_BY_A_WORKER
        .iter()
        .any(|name| headers.contains_key(name));
    if !marked && is_silent(headers) {
        return if old_browsers { Ok(()) } else { Err(silent()) };
    }
    let is = |name: &HeaderName, wanted: &str| only(headers, name) == Some(wanted);
    if !marked && is(&DEST, "document") && is(&MODE, "navigate") && headers.contains_key(&SITE) {
        return Ok(());
    }
    Err(refusal())
}

/// Refuses a file of a page that is asked for as anything but what it is.
///
/// # Errors
/// 403.
pub(super) fn check_file(
    headers: &HeaderMap,
    destination: &str,
    old_browsers: bool,
) -> Result<(), Problem> {
    match only(headers, &DEST) {
        Some(said) if said == destination => Ok(()),
        None if is_silent(headers) => {
            if old_browsers {
                Ok(())
            } else {
                Err(silent())
            }
        }
        _ => Err(refusal()),
    }
}

fn is_silent(headers: &HeaderMap) -> bool {
    [DEST, MODE, SITE, USER]
        .iter()
        .all(|name| !headers.contains_key(name))
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(line)
}

fn refusal() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "only for people").detail(
        "the gateway's own pages answer a person who opens them in a window of a browser; scripts, \
         frames, workers and what is loaded ahead get nothing from them, and nothing was done",
    )
}

fn silent() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "browser too old").detail(
        "this browser does not say whether a person or a script asks (it sends no Sec-Fetch fields), \
         so the gateway's own pages are closed to it; take Chrome 80, Firefox 90, Safari 16.4 or later, \
         and for programs the management API",
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in text.split('|').filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn only_a_document_that_is_navigated_to_is_a_page() {
        const OPENED: &str = "sec-fetch-dest:document|sec-fetch-mode:navigate|sec-fetch-site:none";
        for (more, passes) in [
            ("", true),
            ("|sec-fetch-user:?1", true),
            ("|upgrade-insecure-requests:1|accept:*/*", true),
            ("|sec-purpose:prefetch", false),
            ("|sec-purpose:prefetch;prerender", false),
            ("|purpose:prefetch", false),
            ("|x-purpose:preview", false),
            ("|x-moz:prefetch", false),
            ("|service-worker-navigation-preload:true", false),
            ("|service-worker-navigation-preload:", false),
            ("|service-worker:script", false),
            ("|sec-fetch-dest:document", false),
            ("|sec-fetch-dest:empty", false),
            ("|sec-fetch-mode:navigate", false),
        ] {
            let headers = headers(&format!("{OPENED}{more}"));
            assert_eq!(check_page(&headers, false).is_ok(), passes, "{more}");
            assert_eq!(check_page(&headers, true).is_ok(), passes, "{more}");
        }
    }

    #[test]
    fn whatever_else_a_browser_asks_for_is_no_page() {
        for dest in [
            "empty",
            "iframe",
            "frame",
            "embed",
            "object",
            "fencedframe",
            "script",
            "style",
            "image",
            "font",
            "audio",
            "video",
            "track",
            "manifest",
            "report",
            "xslt",
            "json",
            "worker",
            "sharedworker",
            "serviceworker",
            "audioworklet",
            "paintworklet",
            "webidentity",
            "speculationrules",
            "",
            "Document",
            "document, empty",
            "nonsense",
        ] {
            for mode in [
                "navigate",
                "cors",
                "no-cors",
                "same-origin",
                "websocket",
                "",
            ] {
                let said = headers(&format!(
                    "sec-fetch-dest:{dest}|sec-fetch-mode:{mode}|sec-fetch-site:same-origin"
                ));
                let refused = check_page(&said, true).unwrap_err();
                assert_eq!(refused.status(), 403, "{dest} {mode}");
            }
        }
        for said in [
            "sec-fetch-dest:document",
            "sec-fetch-dest:document|sec-fetch-mode:navigate",
            "sec-fetch-dest:document|sec-fetch-mode:cors|sec-fetch-site:same-origin",
            "sec-fetch-mode:navigate|sec-fetch-site:same-origin",
            "sec-fetch-site:same-origin",
            "sec-fetch-user:?1",
        ] {
            assert!(check_page(&headers(said), true).is_err(), "{said}");
        }
    }

    #[test]
    fn a_browser_that_says_nothing_is_let_in_by_the_key_alone() {
        assert!(check_page(&headers(""), true).is_ok());
        assert!(check_file(&headers(""), "style", true).is_ok());
        let refused = check_page(&headers("accept:text/html"), false).unwrap_err();
        assert!(refused.detail_text().contains("Sec-Fetch"), "{refused:?}");
        assert!(check_file(&headers(""), "style", false).is_err());
        assert!(check_page(&headers("sec-purpose:prefetch"), true).is_err());
    }

    #[test]
    fn a_file_is_what_it_is() {
        for (said, passes) in [
            ("sec-fetch-dest:style", true),
            ("sec-fetch-dest:image", false),
            ("sec-fetch-dest:empty", false),
            ("sec-fetch-dest:document", false),
            ("sec-fetch-dest:style|sec-fetch-dest:style", false),
            ("sec-fetch-mode:no-cors", false),
        ] {
            assert_eq!(
                check_file(&headers(said), "style", true).is_ok(),
                passes,
                "{said}"
            );
        }
    }
}
