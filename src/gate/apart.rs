//! What keeps a panel and the portal apart: a service worker of a panel never stands before the portal's
//! pages, and where the portal has a host of its own, its pages are there alone.
//!
//! A worker may answer every navigation within its scope, and the portal's login page could be one of
//! them. Its scope lies within the folder of its script, unless the answer says otherwise in
//! `Service-Worker-Allowed` (Service Workers §6.4), which the proxy takes out.

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::PORTAL;
use super::target::Target;
use crate::config::{ExternalUrl, Panel};
use crate::wire::Problem;

const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");
const DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Refuses the script of a worker whose scope could reach the portal of the same origin.
///
/// # Errors
/// 403.
pub(super) fn check_worker(
    target: &Target,
    headers: &HeaderMap,
    panel: &Panel,
) -> Result<(), Problem> {
    if panel.service_workers || !is_of_worker(headers) || !reaches_portal(target.path().as_str()) {
        return Ok(());
    }
    Err(
        Problem::new(StatusCode::FORBIDDEN, "no worker here").detail(
            "a service worker of this script could stand before the gateway's own pages and read \
             what people type there, so it is refused; below a folder it is not, and where the portal \
             has a host of its own ([gateway] portal_host), service_workers = true lets this panel \
             have it",
        ),
    )
}

/// Browsers say so of every script that a worker is made or renewed from (Service Workers §6.3), and
/// the second way is of Fetch Metadata.
fn is_of_worker(headers: &HeaderMap) -> bool {
    let mut destinations = headers.get_all(DEST).iter();
    headers.contains_key(SERVICE_WORKER) || destinations.any(|dest| dest == "serviceworker")
}

/// Whether the portal lies within the folder of a script.
fn reaches_portal(script: &str) -> bool {
    let folder = script.rfind('/').and_then(|end| script.get(..=end));
    folder.is_none_or(|folder| format!("{PORTAL}/").starts_with(folder))
}

/// The portal's pages are on another host.
pub(super) fn pages_elsewhere(portal: &ExternalUrl) -> Problem {
    let address = portal.join("/.portcullis/account");
    Problem::new(StatusCode::FORBIDDEN, "not on this host")
        .detail(format!(
            "the gateway's own pages have a host of their own and are at {portal} alone, so that no \
             script of a panel reaches them"
        ))
        .field("portal", address)
}

/// Nobody can be signed in here.
pub(super) fn sign_in_elsewhere(portal: &ExternalUrl) -> Problem {
    let address = portal.join("/.portcullis/account");
    Problem::new(StatusCode::UNAUTHORIZED, "sign-in needed")
        .detail(format!(
            "this page needs a sign-in, and people sign in at {portal}; this version of the gateway \
             can't carry a sign-in from there to this host, so only what is open to anyone is served \
             here. The people who run it can take portal_host out of the configuration"
        ))
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Portcullis"))
        .field("portal", address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_folder_above_the_portal_reaches_it() {
        for (script, reaches) in [
            ("/sw.js", true),
            ("/sw.js;x", true),
            ("/", true),
            ("/x%2fsw.js", true),
            ("sw.js", true),
            ("/a/sw.js", false),
            ("/a/b/sw.js", false),
            ("//sw.js", false),
            ("/.p/sw.js", false),
            ("/.portcullisx/sw.js", false),
            ("/.portcullis/sw.js", true),
        ] {
            assert_eq!(reaches_portal(script), reaches, "{script}");
        }
    }

    #[test]
    fn a_worker_is_known_by_what_the_browser_says() {
        for (name, value, is_worker) in [
            ("service-worker", "script", true),
            ("service-worker", "", true),
            ("sec-fetch-dest", "serviceworker", true),
            ("sec-fetch-dest", "worker", false),
            ("sec-fetch-dest", "script", false),
            ("accept", "*/*", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
            assert_eq!(is_of_worker(&headers), is_worker, "{name}: {value}");
        }
    }
}
