//! The whole way of the first administrator, from the printed link to the day on which somebody else
//! changes the password.

use std::time::SystemTime;

use crate::album;
use crate::demo::Demo;
use crate::support::gateway::CUT;
use crate::user::{ADMIN, User};

#[tokio::test]
async fn from_the_printed_link_to_the_cut_and_back() {
    let mut demo = Demo::start().await;
    let link = demo.link().await.expect("a link at the first start");
    let mut admin = User::set_up(ADMIN, &link).await;
    the_link_worked_once(&admin, &link).await;
    uses_the_panel(&admin, &demo).await;
    outlives_a_restart(&admin, &mut demo).await;
    loses_everything_at_once(&admin, &demo).await;
    comes_back_to_where_it_was(&mut admin).await;
    logs_out(&mut admin, &demo).await;
}

async fn the_link_worked_once(admin: &User, link: &str) {
    let browser = &admin.browser;
    browser.go(link).await;
    let sentence = browser.text("main").await;
    assert!(sentence.contains("link"), "{sentence}");
    assert!(
        browser.run("return document.forms.length").await == 0,
        "{sentence}"
    );
    album::keep(browser, "8-link-that-is-used-up").await;
}

async fn uses_the_panel(admin: &User, demo: &Demo) {
    let browser = &admin.browser;
    browser.go(&demo.url("/")).await;
    assert_eq!(browser.text("#role").await, "administrator");
    album::keep(browser, "4-panel").await;
    browser.press("Users").await;
    browser.is_at("/users/").await;
    browser.press("edit").await;
    browser.is_at("/users/ada/").await;
    browser
        .type_into("[name=new_password]", "another one")
        .await;
    browser.press("Change password").await;
    browser.is_at("/users/").await;
    assert!(browser.text("table").await.contains("1×"));
    let cookies = browser.cookies().await;
    assert!(cookies.contains(&"PHPSESSID".to_owned()), "{cookies:?}");
    assert_eq!(
        browser
            .run("return document.cookie.includes('portcullis')")
            .await,
        false,
        "a page can read the gateway's cookie"
    );
}

async fn outlives_a_restart(admin: &User, demo: &mut Demo) {
    demo.restart().await;
    assert_eq!(demo.link().await, None, "there is an administrator");
    admin.browser.go(&demo.url("/")).await;
    assert_eq!(admin.browser.text("#user").await, ADMIN);
}

/// Promise 2, as a person sees it.
async fn loses_everything_at_once(admin: &User, demo: &Demo) {
    let browser = &admin.browser;
    admin.opens_events(demo).await;
    let events = browser.window().await;
    let socket = browser.new_window().await;
    admin.opens_a_websocket(demo).await;

    let outcome = demo.password_changed(ADMIN).await;
    let answered = SystemTime::now();
    assert_eq!(outcome["sessions_ended"], 1, "{outcome}");
    assert_eq!(outcome["connections_closed"], 2, "{outcome}");
    assert_eq!(outcome["durable"], true, "{outcome}");

    let cut = browser.changed_at().await;
    assert!(
        cut < answered + CUT,
        "the WebSocket: {:?}",
        cut.duration_since(answered)
    );
    assert_eq!(
        browser.text("#state").await,
        "closed 1008 the session has ended"
    );
    album::keep(browser, "5-panel-cut").await;
    browser.look_at(&events).await;
    let cut = browser.changed_at().await;
    assert!(
        cut < answered + CUT,
        "the events: {:?}",
        cut.duration_since(answered)
    );
    assert_eq!(browser.text("#state").await, "closed");

    browser.press("Users").await;
    browser.is_at("/.portcullis/login?next=%2Fusers%2F").await;
    browser.look_at(&socket).await;
    browser.press("Start").await;
    browser.is_at("/.portcullis/login?next=%2F").await;
    browser.look_at(&events).await;
}

async fn comes_back_to_where_it_was(admin: &mut User) {
    album::keep(&admin.browser, "6-sign-in").await;
    admin.sign_in().await;
    admin.browser.is_at("/users/").await;
    assert!(admin.browser.text("table").await.contains("Ada Lovelace"));
}

async fn logs_out(admin: &mut User, demo: &Demo) {
    let browser = &admin.browser;
    browser.press("Your account").await;
    browser.is_at("/.portcullis/account").await;
    let row = browser.text(".sessions").await;
    assert!(
        row.contains("this device") && row.contains("127.0.0.1"),
        "{row}"
    );
    album::keep(browser, "7-account").await;
    browser.press("Log out").await;
    browser.is_at("/.portcullis/login").await;
    admin.holds_no_session().await;
    browser.go(&demo.url("/users/")).await;
    browser.is_at("/.portcullis/login").await;
}
