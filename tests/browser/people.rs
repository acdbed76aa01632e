//! An administrator at the Users pages: somebody is added, given a password, and sent out.

use crate::album;
use crate::browser::Browser;
use crate::demo::Demo;
use crate::user::{ADMIN, User};

const ADA: &str = "/.portcullis/users/ada";

#[tokio::test]
async fn an_administrator_adds_somebody_sets_a_password_and_ends_it() {
    goes_the_whole_way(Browser::start().await).await;
}

#[tokio::test]
async fn without_scripts_it_is_the_same() {
    goes_the_whole_way(Browser::start_without_scripts().await).await;
}

async fn goes_the_whole_way(browser: Browser) {
    let demo = Demo::start().await;
    let link = demo.link().await.expect("a link at the first start");
    let admin = User::set_up_in(browser, ADMIN, &link).await;
    let browser = &admin.browser;
    let hers = adds_somebody(browser, &demo).await;
    let ada = User::set_up("ada", &hers).await;
    sees_and_ends_her_sessions(browser, &demo).await;
    ada.browser.go(&demo.url("/")).await;
    ada.browser.is_at("/.portcullis/login").await;
    gives_a_suggested_password(browser).await;
    album::keep(browser, "11-user").await;
    removes_her(browser).await;
    browser.go(&demo.url("/.portcullis/audit")).await;
    let audit = browser.text("ol.sessions").await;
    assert!(
        audit.contains("user-removed") && audit.contains("ada"),
        "{audit}"
    );
    album::keep(browser, "13-audit").await;
}

/// Her one-time link.
async fn adds_somebody(browser: &Browser, demo: &Demo) -> String {
    browser.go(&demo.url("/.portcullis/users")).await;
    browser.type_into("#user", "ada").await;
    browser.press("Add user").await;
    browser.says("h1", |title| title == "ada").await;
    album::keep(browser, "10-user-added").await;
    let link = browser.text("#setup-url").await;
    browser.go(&demo.url("/.portcullis/users")).await;
    album::keep(browser, "9-users").await;
    link
}

async fn sees_and_ends_her_sessions(browser: &Browser, demo: &Demo) {
    browser.go(&demo.url(ADA)).await;
    let before = browser.text("#counts").await;
    assert!(before.contains("Sessions: 1"), "{before}");
    browser.press("Log out of all devices").await;
    let told = browser.says(".notice", |text| text.contains("Ended")).await;
    assert!(told.contains("Ended: 1 session;"), "{told}");
    let after = browser.text("#counts").await;
    assert!(after.contains("Sessions: 0"), "{after}");
}

async fn gives_a_suggested_password(browser: &Browser) {
    browser.press("Suggest one").await;
    browser.is_at("/.portcullis/users/ada?suggest=1").await;
    let length = "return document.getElementById('new_password').value.length";
    assert_eq!(browser.run(length).await, 34);
    album::keep(browser, "12-user-suggestion").await;
    browser.press("Set password").await;
    browser
        .says(".notice", |text| text.contains("The password is set."))
        .await;
}

async fn removes_her(browser: &Browser) {
    browser.press("Remove").await;
    album::keep(browser, "12-user-removal").await;
    browser.press("Remove for good").await;
    browser.is_at("/.portcullis/users").await;
    let told = browser
        .says(".notice", |text| text.contains("removed"))
        .await;
    assert!(told.contains("every session"), "{told}");
}
