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

/// What a browser sends of an address comes back whole, and the part that it keeps to itself as well: it
/// takes a fragment along through redirects (Fetch §4.4, HTTP-redirect fetch, step 6).
#[tokio::test]
async fn an_address_survives_signing_in_to_the_letter() {
    let demo = Demo::start().await;
    let link = demo.link().await.expect("a link at the first start");
    let mut admin = User::set_up(ADMIN, &link).await;
    let long = "x".repeat(6_000);
    for address in [
        "/users/?a={b}|c^d`e&f[0]=\u{e9}#part-{2}".to_owned(),
        format!("/users/?long={long}#end"),
        "/.portcullis/users/admin".to_owned(),
    ] {
        admin
            .browser
            .driver
            .debug("Storage.clearCookies", json!({}))
            .await;
        admin.browser.go("about:blank").await;
        admin.browser.go(&demo.url(&address)).await;
        admin.browser.is_at("/.portcullis/login").await;
        // A wrong password on the way changes nothing.
        let wrong = "document.querySelector('#user').value = 'admin';
            document.querySelector('#password').value = 'wrong'; document.forms[0].submit()";
        admin.browser.run(wrong).await;
        admin
            .browser
            .says("#alert", |text| text.contains("not right"))
            .await;
        admin
            .browser
            .run("document.querySelector('#user').value = ''")
            .await;
        admin.sign_in_again_after_a_complaint().await;
        let wanted = demo.url(&address);
        let script = format!("return new URL({wanted:?}).href === location.href");
        eventually(&format!("{address} to be where it leads"), async || {
            (admin.browser.run(&script).await == true).then_some(())
        })
        .await;
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
