//! How the gateway ends, and what its supervisor is told and hands over.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::gateway::Gateway;
use crate::support::http1::Wire;
use crate::support::panel::Panel;
use crate::support::websocket::Message;
use crate::support::{SOON, eventually, soon};

/// Waits until nobody can connect any more.
async fn takes_nothing_new(port: u16) {
    eventually("the listeners to close", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .err()
    })
    .await;
}

#[tokio::test]
async fn what_is_in_progress_is_finished_and_websockets_are_asked_back() {
    let panel = Panel::start().await;
    let mut gateway =
        Gateway::with_lines(&panel, "drain = \"15s\"\nwebsocket_grace = \"2s\"").await;
    let ada = gateway.person("ada", "operator").await;
    let mut socket = ada.websocket().await;
    let mut upload = ada.connect().await;
    let head = format!("POST /sink HTTP/1.1\r\nHost: localhost\r\n{}", ada.cookie());
    upload
        // What is small is sent on when it is whole.
        .send(format!(
            "{head}\r\nContent-Length: 100003\r\n\r\n{}",
            "a".repeat(100_000)
        ))
        .await;
    eventually("the upload to reach the panel", || async {
        let arrived = panel.seen_with("POST /sink");
        (!arrived.is_empty()).then_some(())
    })
    .await;
    let begun = Instant::now();
    gateway.signal(Signal::TERM);
    takes_nothing_new(gateway.port).await;
    socket.check_echo().await;
    upload.send("def").await;
    let answer = upload.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let farewell = Message::Close(1012, "the gateway restarts".to_owned());
    assert_eq!(socket.hear_out().await, Some(farewell));
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "it had its grace"
    );
    assert_eq!(gateway.ended().await, 0);
}

#[tokio::test]
async fn whoever_signals_twice_does_not_wait() {
    let panel = Panel::start().await;
    let mut gateway =
        Gateway::with_lines(&panel, "drain = \"10m\"\nwebsocket_grace = \"10m\"").await;
    let ada = gateway.person("ada", "operator").await;
    let _socket = ada.websocket().await;
    gateway.signal(Signal::TERM);
    takes_nothing_new(gateway.port).await;
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await, 1);
    gateway.start().await;
    let answer = ada.connect().await.get("/echo", &[&ada.cookie()]).await;
    assert_eq!(answer.status, 200, "what was acknowledged is kept");
}

#[tokio::test]
async fn the_supervisor_is_told_and_its_listeners_are_taken() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&path).unwrap();
    supervisor.set_read_timeout(Some(SOON)).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let count = supervisor.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    // The listener stays with the supervisor: who connects while no gateway runs waits for the next.
    let listener = std::net::TcpListener::bind(("127.0.0.1", gateway.port)).unwrap();
    let port = gateway.port;
    let waiting = tokio::spawn(async move { Wire::connect(port).await });
    gateway
        .start_supervised(&path, listener.try_clone().unwrap())
        .await;
    assert_eq!(hear(), "READY=1");
    let mut wire = soon("the one who waited", waiting).await.unwrap();
    assert_eq!(wire.get("/static/a", &[]).await.status, 200);
    // A reload is told twice, for `Type=notify-reload`.
    gateway.hang_up();
    let reloading = hear();
    let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
    assert!(
        micros.is_some_and(|micros| micros.parse::<u64>().is_ok()),
        "{reloading}"
    );
    assert_eq!(hear(), "READY=1");
    assert_eq!(gateway.stop().await, 0);
    assert_eq!(hear(), "STOPPING=1");
}
