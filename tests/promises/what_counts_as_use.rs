//! What keeps a session alive: what the person does and takes, and not what a browser answers on its own
//! or a panel sends.

use std::time::{Duration, Instant};

use crate::open::websocket_over;
use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;
use crate::support::person::Person;
use crate::support::websocket::{Message, WebSocket};

const IDLE: Duration = Duration::from_secs(4);
const BETWEEN: Duration = Duration::from_millis(300);

async fn scene(more: &str) -> (Panel, Gateway, Person) {
    let panel = Panel::start().await;
    let sections = format!("[session]\nidle_timeout = \"4s\"\n{more}");
    let gateway = Gateway::with(&panel, &sections, RULES).await;
    let ada = gateway.person("ada", "operator").await;
    (panel, gateway, ada)
}

/// Sends these frames again and again; for how long the socket lived, three times the idle timeout at the
/// most.
async fn lives_with(mut socket: WebSocket, frames: &[(u8, &[u8])]) -> Duration {
    let begun = Instant::now();
    while begun.elapsed() < 3 * IDLE {
        for (first, payload) in frames {
            socket.send(*first, payload).await;
        }
        let quiet = tokio::time::sleep(BETWEEN);
        tokio::pin!(quiet);
        loop {
            tokio::select! {
                () = &mut quiet => break,
                heard = socket.hear() => match heard {
                    Some(Message::Close(code, _)) => {
                        assert_eq!(code, 1008);
                        return begun.elapsed();
                    }
                    None => return begun.elapsed(),
                    Some(_) => {}
                },
            }
        }
    }
    begun.elapsed()
}

#[tokio::test]
async fn control_frames_are_no_use_of_a_session() {
    let (_panel, gateway, ada) = scene("").await;
    let shared = gateway.connect_http2().await;
    let over_http2 = websocket_over(&shared, &ada).await;
    let pongs: [(u8, &[u8]); 3] = [(0x8a, b""), (0x89, b"are you there"), (0x8a, b"yes")];
    let (one, two) = tokio::join!(
        lives_with(ada.websocket().await, &pongs),
        lives_with(over_http2, &pongs)
    );
    assert!(one < 2 * IDLE, "{one:?}");
    assert!(two < 2 * IDLE, "{two:?} over HTTP/2");
}

#[tokio::test]
async fn messages_are_use_of_a_session() {
    for frames in [
        &[(0x81, &b"a text"[..])][..],
        &[(0x82, b"")],
        // In parts, with a pong between them.
        &[(0x01, b"in "), (0x8a, b""), (0x80, b"parts")],
        // Compressed.
        &[(0xc1, b"\x4a\x04\x00")],
    ] {
        let (_panel, _gateway, ada) = scene("").await;
        let lived = lives_with(ada.websocket().await, frames).await;
        assert!(lived >= 3 * IDLE, "{frames:?}: {lived:?}");
    }
}

/// For how long an answer came, twelve seconds at the most.
async fn comes_for(ada: &Person, target: &str) -> Duration {
    let mut wire = ada.connect().await;
    let cookie = ada.cookie();
    wire.send(format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
    ))
    .await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    let begun = Instant::now();
    while begun.elapsed() < 3 * IDLE && !wire.some().await.is_empty() {}
    begun.elapsed()
}

#[tokio::test]
async fn an_answer_that_is_taken_is_use_and_a_stream_of_events_is_not() {
    let (_panel, _gateway, mut ada) = scene("").await;
    let download = comes_for(&ada, "/drip").await;
    assert!(download >= 3 * IDLE, "{download:?}");
    assert_eq!(ada.get("/echo").await.status, 200, "the session lives");
    let events = comes_for(&ada, "/events").await;
    assert!(events < 2 * IDLE, "{events:?}");
}

#[tokio::test]
async fn a_download_ends_with_the_lifetime_of_its_session() {
    let (_panel, _gateway, ada) = scene("lifetime = \"6s\"\n").await;
    let download = comes_for(&ada, "/drip").await;
    assert!(download < 2 * IDLE, "{download:?}");
}
