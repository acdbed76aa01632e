//! "Log out of all devices", pressed at one of two.

use std::time::SystemTime;

use crate::album;
use crate::demo::Demo;
use crate::support::gateway::CUT;
use crate::user::{ADMIN, User};

#[tokio::test]
async fn the_button_for_all_devices_ends_the_other_one() {
    let demo = Demo::start().await;
    let link = demo.link().await.expect("a link at the first start");
    let mut desk = User::set_up(ADMIN, &link).await;
    let mut lost = desk.elsewhere(2).await;
    lost.browser.go(&demo.url("/socket/")).await;
    lost.sign_in_with_recovery_code().await;
    lost.browser.is_at("/socket/").await;
    lost.browser.go(&demo.url("/upload/")).await;
    lost.opens_a_websocket(&demo).await;

    let browser = &desk.browser;
    browser.go(&demo.url("/.portcullis/account")).await;
    let sessions = browser.texts(".sessions .device").await;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    browser.press("Log out of all devices").await;
    browser.is_at("/.portcullis/login").await;
    let answered = SystemTime::now();
    desk.holds_no_session().await;

    let cut = lost.browser.changed_at().await;
    assert!(cut < answered + CUT, "{:?}", cut.duration_since(answered));
    lost.browser.press("Downloads").await;
    lost.browser
        .is_at("/.portcullis/login?next=%2Fdownload%2F")
        .await;
    let why = lost.browser.texts(".notice").await;
    let said = "This session ended because its user, an administrator or a program ended all";
    assert!(why.len() == 1 && why[0].starts_with(said), "{why:?}");
    album::keep(&lost.browser, "6-session-ended").await;

    // What was seen before isn't seen again by going back.
    browser.back(1).await;
    browser.is_at("/.portcullis/login").await;
    lost.browser.back(2).await;
    lost.browser
        .is_at("/.portcullis/login?next=%2Fupload%2F")
        .await;
    lost.sign_in_with_recovery_code().await;
    lost.browser.is_at("/upload/").await;
}
