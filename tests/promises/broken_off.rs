//! What breaks off after the head of an answer is seen: by the other side at once, and by those who watch
//! in the access log, in the numbers and as a warning.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::open::websocket_over;
use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;
use crate::support::websocket::{HANDSHAKE, WebSocket};
use crate::support::{eventually, soon};

/// The end that the line of this path has in the access log, and its bytes.
async fn end_of(gateway: &Gateway, path: &str) -> (String, u64) {
    eventually(&format!("a line of {path}"), async || {
        let log = gateway.log();
        let line = log
            .lines()
            .find(|line| line.contains(&format!(" {path} ")))?;
        let mut words = line.rsplit(' ');
        let end = words.next()?.to_owned();
        let bytes = words.nth(1)?.parse().ok()?;
        Some((end, bytes))
    })
    .await
}

/// Name, what comes after the status line, how it ends, and how many bytes the browser gets.
fn broken_answers() -> [(&'static str, String, &'static str, u64); 7] {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    [
        (
            "whole",
            "Content-Length: 5\r\n\r\nhello".to_owned(),
            "complete",
            5,
        ),
        ("until-close", "\r\nhello".to_owned(), "complete", 5),
        ("in-chunks", format!("{chunked}0\r\n\r\n"), "complete", 5),
        (
            "mid-length",
            "Content-Length: 9\r\n\r\nhello".to_owned(),
            "panel-closed-early",
            5,
        ),
        (
            "mid-chunks",
            chunked.to_owned(),
            "panel-closed-in-chunks",
            5,
        ),
        (
            "mid-chunk",
            format!("{chunked}9\r\nhell"),
            "panel-closed-in-chunks",
            9,
        ),
        (
            "bad-chunk",
            format!("{chunked}zz\r\n"),
            "panel-bad-chunk",
            5,
        ),
    ]
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_with_its_cause() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    for (name, answer, end, bytes) in broken_answers() {
        panel.answers_oddly(name, format!("HTTP/1.1 200 OK\r\n{answer}"));
        let path = format!("/odd/{name}");
        let mut wire = ada.connect().await;
        wire.try_request("GET", &path, &[&ada.cookie()], b"").await;
        assert_eq!(
            end_of(&gateway, &path).await,
            (end.to_owned(), bytes),
            "{name}"
        );
        let warned = gateway
            .log()
            .lines()
            .any(|line| line.contains("the panel broke off its answer") && line.contains(end));
        assert_eq!(warned, end != "complete", "{name}");
    }
    let bearer = gateway.token("metrics");
    let numbers = gateway.call(&bearer, "GET", "/metrics", "").await.text();
    for (cause, count) in [
        ("panel-closed-early", 1),
        ("panel-closed-in-chunks", 2),
        ("panel-bad-chunk", 1),
    ] {
        let line = format!(
            "portcullis_broken_answers_total{{panel=\"test panel\",cause=\"{cause}\"}} {count}"
        );
        assert!(numbers.contains(&line), "{line} is not in {numbers}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_and_a_cut_are_told_apart() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let ask = async |path: &str| {
        let mut wire = ada.connect().await;
        wire.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
        ))
        .await;
        wire
    };
    let mut wire = ask("/drip").await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    drop(wire);
    assert_eq!(end_of(&gateway, "/drip").await.0, "client-left");
    let waits = ask("/poll").await;
    eventually("the panel to be asked", async || {
        (!panel.seen_with("/poll").is_empty()).then_some(())
    })
    .await;
    drop(waits);
    assert_eq!(end_of(&gateway, "/poll").await.0, "client-left");
    let mut head = ada.connect().await;
    head.request("HEAD", "/.portcullis/login", &[], b"").await;
    assert_eq!(end_of(&gateway, "/.portcullis/login").await.0, "complete");

    let mut wire = ask("/events").await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    let socket = ada.websocket().await;
    gateway.operator(&["user", "logout", "ada"]);
    assert_eq!(end_of(&gateway, "/events").await.0, "cut-session-ended");
    assert_eq!(end_of(&gateway, "/ws").await.0, "cut-session-ended");
    drop(socket);
}

/// Long before the seconds that last words have.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Takes one WebSocket.
async fn takes_one(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = soon("a connection", listener.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon("a head", stream.read_u8()).await.unwrap());
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_websocket_that_one_side_leaves_is_seen_by_the_other_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let gateway = Gateway::at(&upstream, "", RULES).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let fields = ["Origin: https://localhost", &cookie];
    for resets in [true, false] {
        let wire = ada.connect().await;
        let opening = WebSocket::open(wire, "/ws", &fields);
        let (opened, panel) = tokio::join!(opening, takes_one(&listener));
        let mut socket = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        if resets {
            panel.set_zero_linger().unwrap();
        }
        let begun = Instant::now();
        drop(panel);
        assert_eq!(socket.hear().await, None);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    }
    // The browser leaves: its connection ends without a word of TLS, or is reset.
    for resets in [false, true] {
        let stream = TcpStream::connect(("127.0.0.1", gateway.port))
            .await
            .unwrap();
        let name = "localhost".try_into().unwrap();
        let connector = crate::support::http1::trusting(&[b"http/1.1"]);
        let mut stream = connector.connect(name, stream).await.unwrap();
        let handshake = HANDSHAKE.join("\r\n");
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: localhost\r\n{handshake}\r\nOrigin: https://localhost\r\n{cookie}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut panel = takes_one(&listener).await;
        assert!(
            soon("an answer", stream.read(&mut [0; 4096]))
                .await
                .unwrap()
                > 0
        );
        let (tcp, _) = stream.into_inner();
        if resets {
            tcp.set_zero_linger().unwrap();
        }
        let begun = Instant::now();
        drop(tcp);
        let read = soon("the end", panel.read(&mut [0; 16])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        // And the connection is gone, not half of it.
        let closing = async {
            while panel.write_all(&[0x89, 0]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon("the connection to be closed", closing).await;
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_stream_of_http2_that_is_reset_ends_its_websocket() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let shared = gateway.connect_http2().await;
    let socket = websocket_over(&shared, &ada).await;
    let begun = Instant::now();
    drop(socket);
    assert_eq!(end_of(&gateway, "/ws").await.0, "client-left");
    eventually("the panel to see it", async || {
        (panel.open() == 0).then_some(())
    })
    .await;
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}
