//! Somebody who is not quick with an app: two tabs, a step back, a new sign-in, a restart, a slow clock, and
//! another browser that knows the password.

use crate::album;
use crate::browser::Browser;
use crate::demo::Demo;
use crate::support::app::App;
use crate::support::person::PASSWORD;
use crate::user::User;

const ENROL: &str = "/.portcullis/enrol";
const LOGIN: &str = "/.portcullis/login";

#[tokio::test]
async fn the_secret_stays_until_it_is_used_or_over_and_the_page_says_so() {
    let mut demo = Demo::start().await;
    let added = demo.operator(&["user", "add", "otto", "--role", "operator"]);
    let otto = User {
        name: "otto".to_owned(),
        browser: Browser::start().await,
        app: App::default(),
        recovery_codes: Vec::new(),
    };
    otto.choose_password(added["setup_url"].as_str().unwrap())
        .await;
    let browser = &otto.browser;
    browser.is_at(ENROL).await;
    let first = browser.text("#totp-secret").await;
    let left = browser.text("#time-left").await;
    assert!(left.contains("30 minutes"), "{left}");

    let first_tab = browser.window().await;
    browser.new_window().await;
    browser.go(&demo.url(ENROL)).await;
    assert_eq!(browser.text("#totp-secret").await, first, "a second tab");
    browser.go(&demo.url(LOGIN)).await;
    browser.back(1).await;
    assert_eq!(browser.text("#totp-secret").await, first, "a step back");
    demo.restart().await;
    signs_in(browser, &demo).await;
    browser.is_at(ENROL).await;
    assert_eq!(
        browser.text("#totp-secret").await,
        first,
        "after a new sign-in"
    );

    let stranger = Browser::start().await;
    signs_in(&stranger, &demo).await;
    stranger.is_at(ENROL).await;
    assert_ne!(
        stranger.text("#totp-secret").await,
        first,
        "another browser"
    );

    browser.look_at(&first_tab).await;
    let app = App::with(&first);
    browser.type_into("#code", &app.late_code(5)).await;
    browser.press("Turn on").await;
    let told = browser
        .says("[role=alert]", |text| text.contains("clock"))
        .await;
    assert!(
        told.contains("minutes ago") && told.contains("UTC"),
        "{told}"
    );
    assert_eq!(browser.text("#totp-secret").await, first);
    album::keep(browser, "2-enrol-wrong-clock").await;

    it_is_over(browser, &demo, &first).await;
}

/// A change of the account ends it in every tab, and the next secret is another one.
async fn it_is_over(browser: &Browser, demo: &Demo, first: &str) {
    demo.operator(&["user", "logout", "otto"]);
    browser.go(&demo.url(ENROL)).await;
    browser
        .is_at("/.portcullis/login?done=enrolment-over")
        .await;
    let told = browser.text(".notice").await;
    assert!(told.contains("remove the entry"), "{told}");
    album::keep(browser, "6-enrolment-over").await;

    signs_in(browser, demo).await;
    browser.is_at(ENROL).await;
    let second = browser.text("#totp-secret").await;
    assert_ne!(second, first);
    demo.operator(&["user", "logout", "otto"]);
    signs_in(browser, demo).await;
    browser
        .is_at("/.portcullis/enrol?done=another-secret")
        .await;
    let told = browser.text(".notice").await;
    assert!(told.contains("remove the entry"), "{told}");
    let third = browser.text("#totp-secret").await;
    assert_ne!(third, second);
    album::keep(browser, "2-enrol-another-secret").await;
    let mut app = App::with(&third);
    browser.type_into("#code", &app.next_code()).await;
    browser.press("Turn on").await;
    browser
        .says("h1", |title| title == "Keep your recovery codes")
        .await;
}

async fn signs_in(browser: &Browser, demo: &Demo) {
    browser.go(&demo.url(LOGIN)).await;
    browser.type_into("#user", "otto").await;
    browser.type_into("#password", PASSWORD).await;
    browser.press("Sign in").await;
}
