//! What people see when something is refused: wrong passwords and codes, pages that are not there or
//! not for them.

use crate::album;
use crate::demo::Demo;
use crate::user::User;

#[tokio::test]
async fn what_is_refused_is_said_in_a_sentence() {
    let demo = Demo::start().await;
    let added = demo.operator(&["user", "add", "otto", "--role", "operator"]);
    let mut otto = User::set_up("otto", added["setup_url"].as_str().unwrap()).await;
    a_form_that_is_not_for_operators(&otto, &demo).await;
    a_page_that_is_not_there(&otto, &demo).await;
    a_host_that_is_not_the_gateways(&otto, &demo).await;
    an_address_without_https(&otto, &demo).await;
    a_wrong_current_password(&otto, &demo).await;
    a_wrong_password_and_a_wrong_code(&mut otto, &demo).await;
}

async fn a_form_that_is_not_for_operators(otto: &User, demo: &Demo) {
    let browser = &otto.browser;
    browser.go(&demo.url("/users/ada/")).await;
    browser
        .type_into("[name=new_password]", "another one")
        .await;
    browser.press("Change password").await;
    browser.is_at("/users/ada/password").await;
    assert_eq!(browser.text(".status").await, "403");
    album::keep(browser, "8-not-allowed").await;
    browser.go(&demo.url("/users/")).await;
    assert!(!browser.text("table").await.contains("1×"), "it was done");
}

async fn a_page_that_is_not_there(otto: &User, demo: &Demo) {
    let browser = &otto.browser;
    browser.go(&demo.url("/.portcullis/nothing")).await;
    assert_eq!(browser.text(".status").await, "404");
    album::keep(browser, "8-not-found").await;
}

async fn a_host_that_is_not_the_gateways(otto: &User, demo: &Demo) {
    let browser = &otto.browser;
    let port = demo.port;
    browser
        .go(&format!("https://127.0.0.1:{port}/users/?a=b"))
        .await;
    assert_eq!(browser.text(".status").await, "421");
    let sentence = browser.text(".lead").await;
    for seen in [
        format!("127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
    ] {
        assert!(sentence.contains(&seen), "{sentence}");
    }
    album::keep(browser, "8-unknown-host").await;
    browser.press("To the gateway").await;
    browser.is_at("/").await;
    let url = browser.driver.get("/url").await;
    assert_eq!(url, format!("https://localhost:{port}/"));
}

async fn an_address_without_https(otto: &User, demo: &Demo) {
    let browser = &otto.browser;
    let address = demo.url("/users/?page=2").replacen("https:", "http:", 1);
    browser.go(&address).await;
    assert_eq!(browser.text("h1").await, "HTTPS is needed here");
    album::keep(browser, "8-plain-http").await;
    browser.press("Open it with https").await;
    browser.is_at("/users/?page=2").await;
}

async fn a_wrong_current_password(otto: &User, demo: &Demo) {
    let browser = &otto.browser;
    browser.go(&demo.url("/.portcullis/account")).await;
    browser
        .type_into("#current_password", "not the one it is")
        .await;
    browser
        .type_into("#new_password", "elbow tractor plum")
        .await;
    browser
        .type_into("#new_password_again", "elbow tractor plum")
        .await;
    browser.press("Change password").await;
    assert!(!browser.text("[role=alert]").await.is_empty());
    album::keep(browser, "8-account-refuses").await;
    browser.press("Log out").await;
    browser.is_at("/.portcullis/login").await;
}

async fn a_wrong_password_and_a_wrong_code(otto: &mut User, demo: &Demo) {
    let browser = &otto.browser;
    browser.go(&demo.url("/events/")).await;
    browser.type_into("#user", "otto").await;
    browser
        .type_into("#password", "not the one it is\u{e007}")
        .await;
    assert!(!browser.text("[role=alert]").await.is_empty());
    browser.has_keyboard("#password").await;
    album::keep(browser, "8-wrong-password").await;
    browser
        .type_into("#password", "plum tractor elbow\u{e007}")
        .await;
    browser.is_at("/.portcullis/second-factor").await;
    album::keep(browser, "6-second-factor").await;
    browser.has_keyboard("#code").await;
    browser.type_here("000000\u{e007}").await;
    assert!(!browser.text("[role=alert]").await.is_empty());
    album::keep(browser, "8-wrong-code").await;
    browser
        .type_here(&format!("{}\u{e007}", otto.app.next_code()))
        .await;
    browser.is_at("/events/").await;
}
