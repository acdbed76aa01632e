//! Refusals that are told: who was refused and why, also where no request could be read.

use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::http1::Wire;
use crate::support::panel::Panel;
use crate::support::{eventually, soon};

/// Only managers pass below `/users/`.
const RULES: &str = "[[panel.rule]]\npath = \"/users/\"\nallow = [\"manager\"]\n";

async fn gateway() -> (Panel, Gateway) {
    let panel = Panel::start().await;
    let sections = "[log]\nformat = \"json\"\n";
    let gateway = Gateway::with(&panel, sections, RULES).await;
    (panel, gateway)
}

fn lines(gateway: &Gateway) -> Vec<Value> {
    let log = gateway.log();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line.get("verdict").is_some())
        .collect()
}

/// The line that such a test picks, once it is written.
async fn line(gateway: &Gateway, is_meant: impl Fn(&Value) -> bool) -> Value {
    eventually("the line", async || {
        lines(gateway).into_iter().find(&is_meant)
    })
    .await
}

#[tokio::test]
async fn a_refusal_says_who_was_refused_and_why() {
    let (_panel, gateway) = gateway().await;
    let mut ada = gateway.person("ada", "operator").await;
    assert_eq!(ada.get("/users/").await.status, 403);
    let told = line(&gateway, |line| line["path"] == "/users/").await;
    assert_eq!(told["user"], "ada", "{told}");
    assert_eq!(told["verdict"], "refuse", "{told}");
    assert_eq!(told["cause"], "not-allowed", "{told}");
    assert!(told["session"].is_string(), "{told}");

    let name = "__Host-Http-portcullis";
    let made_up = "A".repeat(43);
    let token = ada.token();
    for (path, cookie, cause) in [
        ("/a", String::new(), "no-session"),
        ("/b", format!("Cookie: {name}={made_up}"), "session-ended"),
        ("/c", format!("Cookie: {name}=x"), "malformed-cookie"),
        (
            "/d",
            format!("Cookie: {name}={made_up}; {name}={token}"),
            "two-session-cookies",
        ),
        (
            "/e",
            format!("Cookie: {name}={token}; {name}={token}x"),
            "two-session-cookies",
        ),
    ] {
        let mut wire = Wire::connect(gateway.port).await;
        let fields: &[&str] = if cookie.is_empty() { &[] } else { &[&cookie] };
        let answer = wire.get(path, fields).await;
        assert!(
            [303, 401].contains(&answer.status),
            "{path}: {}",
            answer.status
        );
        let told = line(&gateway, |line| line["path"] == path).await;
        assert_eq!(told["cause"], cause, "{told}");
        assert_eq!(told["user"], Value::Null, "{told}");
    }
    let mut wire = Wire::connect(gateway.port).await;
    let answer = wire.get("/%2e%2e/x", &["Host: localhost"]).await;
    assert_eq!(answer.status, 400);
    let told = line(&gateway, |line| line["path"] == "/%2e%2e/x").await;
    assert_eq!(
        (&told["verdict"], &told["cause"]),
        (&"refuse".into(), &"bad-request".into())
    );
    let mut wire = Wire::connect(gateway.port).await;
    assert_eq!(wire.get("/f", &["Host: other.example"]).await.status, 421);
    let told = line(&gateway, |line| line["path"] == "/f").await;
    assert_eq!(told["cause"], "unknown-host", "{told}");
}

#[tokio::test]
async fn a_malformed_head_has_a_line_and_a_number() {
    let (_panel, gateway) = gateway().await;
    let token = gateway.token("metrics");
    for (head, cause) in [
        ("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "two-hosts"),
        ("GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "two-hosts"),
        (
            "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "two-framings",
        ),
        (
            "GET https://u@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "user-info",
        ),
        (
            "CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "connect",
        ),
        (
            "GET /x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
            "field-syntax",
        ),
        ("GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", "bare-line-feed"),
        ("GET /x HTTP/1.1\r\n\r\n", "host-missing"),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", "fragment"),
        ("nonsense\r\n\r\n", "request-line"),
    ] {
        let before = told_heads(&gateway, cause);
        for port in [gateway.port, gateway.management_port] {
            let mut wire = Wire::connect(port).await;
            wire.send(head).await;
            let answer = wire.answer().await;
            assert!(answer.status >= 400, "{head:?}: {}", answer.status);
        }
        eventually("its lines", async || {
            (told_heads(&gateway, cause) == before + 2).then_some(())
        })
        .await;
    }
    let told = line(&gateway, |line| line["cause"] == "user-info").await;
    assert_eq!(told["client"], "127.0.0.1", "{told}");
    assert_eq!(told["status"], 400, "{told}");
    assert_eq!(told["request"].as_str().unwrap().len(), 8, "{told}");
    let numbers = gateway.call(&token, "GET", "/metrics", "").await.text();
    let counted = "portcullis_heads_refused_total{cause=\"two-hosts\"} 4";
    assert!(numbers.contains(counted), "{numbers}");
}

#[tokio::test]
async fn an_entry_of_the_audit_list_names_the_request_that_did_it() {
    let (_panel, gateway) = gateway().await;
    let token = gateway.token("users,revoke");
    gateway.person("ada", "operator").await;
    for path in ["/v1/users/ada/password-changed", "/v1/users/ada/setup-link"] {
        let answer = gateway.call(&token, "POST", path, "").await;
        assert!(
            [200, 201].contains(&answer.status),
            "{path}: {}",
            answer.text()
        );
        let told = line(&gateway, |line| line["path"] == path).await;
        let list = gateway.audit();
        let is_of = |entry: &&Value| entry["request"] == told["request"];
        assert_eq!(list.iter().filter(is_of).count(), 1, "{told}\n{list:?}");
    }
    let list = gateway.audit();
    let begun = list
        .iter()
        .find(|entry| entry["action"] == "session-started");
    let number = begun.unwrap()["request"].as_str().unwrap().to_owned();
    let told = line(&gateway, |line| line["request"] == number.as_str()).await;
    assert!(
        told["path"].as_str().unwrap().starts_with("/.portcullis/"),
        "{told}"
    );
}

fn told_heads(gateway: &Gateway, cause: &str) -> usize {
    let is_meant = |line: &&Value| line["verdict"] == "malformed" && line["cause"] == cause;
    lines(gateway).iter().filter(is_meant).count()
}

#[tokio::test]
async fn a_flood_of_malformed_heads_fills_no_log() {
    let (_panel, gateway) = gateway().await;
    let token = gateway.token("metrics");
    for _ in 0..60 {
        let mut wire = Wire::connect(gateway.port).await;
        wire.send("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            .await;
        soon("the end", wire.try_answer(false)).await;
    }
    let numbers = gateway.call(&token, "GET", "/metrics", "").await.text();
    let counted = "portcullis_heads_refused_total{cause=\"two-hosts\"} 60";
    assert!(numbers.contains(counted), "{numbers}");
    let told = told_heads(&gateway, "two-hosts");
    assert!((1..=40).contains(&told), "{told} lines");
    assert!(gateway.log().contains("are counted in the metrics alone"));
}
