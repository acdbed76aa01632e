//! Clocks that are a minute long: a panel that is silent, and a client that stops in the middle.

use std::time::{Duration, Instant};

use crate::support::gateway::Gateway;
use crate::support::http1::{Answer, NAVIGATION, Wire};
use crate::support::panel::Panel;

/// Waits for an answer as long as it takes; how long that was.
async fn patiently(mut wire: Wire) -> (Answer, Duration) {
    let begun = Instant::now();
    let limit = Duration::from_secs(75);
    // The harness itself is less patient than the gateway.
    let mut bytes = vec![0; 64 * 1024];
    let reading = tokio::io::AsyncReadExt::read(&mut wire.stream, &mut bytes);
    let count = tokio::time::timeout(limit, reading)
        .await
        .expect("an answer")
        .unwrap();
    wire.unread(&bytes[..count]);
    (wire.answer().await, begun.elapsed())
}

#[tokio::test]
async fn a_silent_panel_is_a_504_and_a_silent_client_a_408() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let mut polling = ada.connect().await;
    polling
        .send(format!(
            "GET /poll HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
        ))
        .await;
    let mut stopping = ada.connect().await;
    let upload = "POST /slow-read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100";
    stopping
        .send(format!("{upload}\r\n{cookie}\r\n\r\nfirst bytes"))
        .await;
    let ((silent, waited), (stopped, stood)) =
        tokio::join!(patiently(polling), patiently(stopping));
    assert_eq!(silent.status, 504, "{}", silent.text());
    let problem = silent.json();
    assert_eq!(problem["panel"], "test panel");
    assert!(
        gateway
            .log()
            .contains(problem["reference"].as_str().unwrap())
    );
    assert!(waited > Duration::from_secs(59), "{waited:?}");
    assert_eq!(stopped.status, 408, "{}", stopped.text());
    assert!(stood > Duration::from_secs(29), "{stood:?}");
}

#[tokio::test]
async fn a_form_that_does_not_come_is_a_408() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut form = gateway.connect().await;
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let head =
        format!("POST /.portcullis/login HTTP/1.1\r\nHost: localhost\r\n{NAVIGATION}{kind}\r\n");
    form.send(format!("{head}Content-Length: 10\r\n\r\nu"))
        .await;
    let (answer, waited) = patiently(form).await;
    assert_eq!(answer.status, 408, "{}", answer.text());
    assert!(waited > Duration::from_secs(14), "{waited:?}");
    let mut call = Wire::connect(gateway.management_port).await;
    let head = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nx";
    call.send(head).await;
    assert_eq!(
        call.answer().await.status,
        200,
        "what anybody may ask waits for no body"
    );
}
