//! Logging out at a machine that somebody else sits down at next: nothing of the session is left in the
//! browser, in what it can go back to, or in the value of its cookie.

use serde_json::json;

use crate::browser::Browser;
use crate::demo::Demo;
use crate::support::http1::{Answer, Wire};
use crate::user::{ADMIN, User};

const COOKIE: &str = "__Host-Http-portcullis";

#[tokio::test]
async fn whoever_logs_out_leaves_nothing_behind() {
    let demo = Demo::start().await;
    let link = demo.link().await.expect("a link at the first start");
    let admin = User::set_up(ADMIN, &link).await;
    let browser = &admin.browser;
    let value = session_cookie(browser).await;
    let before = replayed(&demo, &value, &[]).await;
    assert_eq!(before.status, 200, "{before:?}");

    browser.press("Users").await;
    browser.is_at("/users/").await;
    browser.press("Your account").await;
    browser.is_at("/.portcullis/account").await;
    browser.press("Log out").await;
    browser.is_at("/.portcullis/login").await;

    admin.holds_no_session().await;
    the_old_cookie_opens_nothing(&demo, &value).await;
    going_back_shows_nothing(browser).await;
    admin.holds_no_session().await;
}

/// The value that a thief could have copied, and what protects it in the browser.
async fn session_cookie(browser: &Browser) -> String {
    let cookie = browser.driver.get(&format!("/cookie/{COOKIE}")).await;
    for (attribute, wanted) in [
        ("secure", json!(true)),
        ("httpOnly", json!(true)),
        ("sameSite", json!("Lax")),
        ("path", json!("/")),
        ("domain", json!("localhost")),
    ] {
        assert_eq!(cookie[attribute], wanted, "{attribute}");
    }
    cookie["value"].as_str().unwrap().to_owned()
}

/// Asks for a page of the panel with a copied cookie, on a connection of its own.
async fn replayed(demo: &Demo, value: &str, more: &[&str]) -> Answer {
    let host = format!("Host: localhost:{}", demo.port);
    let cookie = format!("Cookie: {COOKIE}={value}");
    let mut fields = vec![host.as_str(), &cookie, "Accept: text/html"];
    fields.extend(more);
    let mut wire = Wire::connect(demo.port).await;
    wire.get("/users/", &fields).await
}

async fn the_old_cookie_opens_nothing(demo: &Demo, value: &str) {
    let navigation = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    let answer = replayed(demo, value, &navigation).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let location = answer.header("location").unwrap();
    assert_eq!(location, "/.portcullis/login?next=%2Fusers%2F");
    assert!(!answer.text().contains("Ada Lovelace"), "{answer:?}");

    let origin = format!("Origin: https://localhost:{}", demo.port);
    let handshake = [
        origin.as_str(),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let answer = replayed(demo, value, &handshake).await;
    assert_eq!(answer.status, 401, "{answer:?}");
}

/// Page by page: the account, the list of users, the start page.
async fn going_back_shows_nothing(browser: &Browser) {
    for next in ["%2F%2Eportcullis%2Faccount", "%2Fusers%2F", "%2F"] {
        browser.back(1).await;
        let login = format!("/.portcullis/login?next={next}");
        browser.is_at(&login).await;
        assert_eq!(browser.text("h1").await, "Sign in");
        browser.driver.post("/refresh", json!({})).await;
        browser.is_at(&login).await;
    }
}
