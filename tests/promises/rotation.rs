//! A new token in place of an old one: what the browser had sent before is answered, and no answer to it
//! takes the new token away.

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Wire;
use crate::support::panel::Panel;

#[tokio::test]
async fn a_former_token_is_good_for_some_seconds_and_never_costs_the_new_one() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", RULES).await;
    let mut ada = gateway.person("ada", "operator").await;
    let former = ada.cookie();
    // Under way when the token changes: its answer has not begun.
    let mut held = gateway.connect().await;
    held.send(format!(
        "GET /poll?held HTTP/1.1\r\nHost: localhost\r\n{former}\r\n\r\n"
    ))
    .await;
    eventually("the request is at the panel", async || {
        (!panel.seen_with("/poll?held").is_empty()).then_some(())
    })
    .await;
    ada.step_up().await;
    let new = ada.cookie();
    assert_ne!(former, new);
    assert_eq!(panel.open(), 1, "what was under way goes on");

    let ask = async |cookie: &str, target: &str, accept: &str| {
        let accept = format!("Accept: {accept}");
        let mut wire: Wire = gateway.connect().await;
        let answer = wire.get(target, &[cookie, &accept]).await;
        assert_eq!(answer.header("set-cookie"), None, "{target}: {answer:?}");
        answer.status
    };
    assert_eq!(ask(&former, "/echo", "*/*").await, 200);
    // It was not renewed with the new one.
    assert_eq!(ask(&former, "/fresh/x", "text/html").await, 303);
    eventually("the former token is worth nothing", async || {
        (ask(&former, "/echo", "*/*").await == 401).then_some(())
    })
    .await;
    for target in ["/echo", "/fresh/x", "/static/x", "/.portcullis/account"] {
        for accept in ["*/*", "text/html"] {
            ask(&former, target, accept).await;
        }
    }
    eventually("what it had open is cut", async || {
        (panel.open() == 0).then_some(())
    })
    .await;
    assert_eq!(ask(&new, "/echo", "*/*").await, 200);
    // Neither a made-up token nor two at once make the browser forget anything.
    for cookie in [
        format!("Cookie: __Host-Http-portcullis={}", "A".repeat(43)),
        format!("{new}; __Host-Http-portcullis={}", "A".repeat(43)),
        "Cookie: __Host-Http-portcullis=".to_owned(),
    ] {
        assert_eq!(ask(&cookie, "/echo", "*/*").await, 401);
        assert_eq!(ask(&cookie, "/echo", "text/html").await, 303);
        ask(&cookie, "/.portcullis/nothing", "text/html").await;
    }
}

#[tokio::test]
async fn a_revocation_ends_the_former_token_and_the_new_one() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", RULES).await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut boris = gateway.person("boris", "operator").await;
    let status = async |cookie: &str| {
        let mut wire = gateway.connect().await;
        wire.get("/echo", &[cookie]).await.status
    };
    let former = ada.cookie();
    ada.step_up().await;
    let new = ada.cookie();
    assert_eq!((status(&former).await, status(&new).await), (200, 200));
    let account = "/.portcullis/account";
    let answer = ada.submit(account, "/.portcullis/logout", &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(!ada.is_signed_in(), "a person who signs out keeps nothing");
    assert_eq!((status(&former).await, status(&new).await), (401, 401));

    let former = boris.cookie();
    boris.step_up().await;
    let new = boris.cookie();
    gateway.operator(&["user", "logout", "boris"]);
    assert_eq!((status(&former).await, status(&new).await), (401, 401));
}

#[tokio::test]
async fn the_former_token_survives_a_restart_and_ends_all_the_same() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::with(&panel, "", RULES).await;
    let mut ada = gateway.person("ada", "operator").await;
    let former = ada.cookie();
    ada.step_up().await;
    gateway.kill();
    gateway.start().await;
    let new = ada.cookie();
    eventually("the former token is worth nothing", async || {
        let mut wire = gateway.connect().await;
        (wire.get("/echo", &[&former]).await.status == 401).then_some(())
    })
    .await;
    let mut wire = gateway.connect().await;
    assert_eq!(wire.get("/echo", &[&new]).await.status, 200);
}
