//! Links to the login page with a `next` that somebody else wrote: whoever signs in there stays here.

use serde_json::json;

use crate::browser::Browser;
use crate::demo::Demo;
use crate::support::eventually;
use crate::user::{ADMIN, User};

/// What stands behind `next=`, byte for byte, and where it leads.
const SAMPLES: [(&str, &str); 8] = [
    ("//e.com", "/"),
    ("/\\e.com", "/"),
    ("https:e.com", "/"),
    ("/%09/e.com", "/"),
    ("javascript:alert(1)", "/"),
    ("\"><svg onload=alert(1)>", "/"),
    // Odd, but paths of this host.
    ("/@e.com", "/@e.com"),
    // What is meant to work does.
    ("/users/%3Fpage=2", "/users/?page=2"),
];

#[tokio::test]
async fn whatever_a_link_says_signing_in_leads_to_this_host() {
    let demo = Demo::start().await;
    let link = demo.link().await.expect("a link at the first start");
    let mut admin = User::set_up(ADMIN, &link).await;
    let origin = demo.url("");
    for (sample, wanted) in SAMPLES {
        let browser = &admin.browser;
        browser
            .driver
            .debug("Storage.clearCookies", json!({}))
            .await;
        browser
            .go(&demo.url(&format!("/.portcullis/login?next={sample}")))
            .await;
        assert_eq!(browser.run("return location.origin").await, origin);
        admin.sign_in_with_recovery_code().await;
        let (arrived, path) = where_it_arrives(&admin.browser, sample).await;
        assert_eq!(arrived, origin, "{sample}");
        assert_eq!(path, wanted, "{sample}");
        no_script_ran(&admin.browser, sample).await;
    }
}

/// The origin and the path of the first whole page that is not a step of signing in.
async fn where_it_arrives(browser: &Browser, sample: &str) -> (String, String) {
    let script = "return document.readyState === 'complete'
        && !location.pathname.startsWith('/.portcullis/')
        && [location.origin, location.pathname + location.search]";
    eventually(&format!("next={sample} to lead somewhere"), async || {
        serde_json::from_value(browser.run(script).await).ok()
    })
    .await
}

/// Neither a dialog, which would have failed a command, nor one that was refused.
async fn no_script_ran(browser: &Browser, sample: &str) {
    let complaints = browser.complaints().await;
    let refused = complaints
        .iter()
        .find(|text| text.contains("Content Security Policy"));
    assert_eq!(refused, None, "{sample}");
}
