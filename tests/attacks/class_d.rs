//! D: exhaustion. Each attack ends with its connection closed, or with a place refused, while others
//! are served as before.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::ask::{EMPTY_SETTINGS, PREFACE, kinds, literal};
use crate::class_b_proxies::{connect_from, tls_after};
use crate::support::gateway::Gateway;
use crate::support::http1::{NAVIGATION, Wire, tls};
use crate::support::panel::Panel;
use crate::support::websocket::WebSocket;
use crate::support::{SOON, eventually, soon};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, stream.to_be_bytes().as_slice(), payload].concat()
}

/// A request that anybody may make.
fn fields() -> Vec<u8> {
    [
        literal(b":method", b"POST"),
        literal(b":scheme", b"https"),
        literal(b":authority", b"localhost"),
        literal(b":path", b"/static/flood"),
    ]
    .concat()
}

fn begun(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &fields())
}

/// Sends the pieces as fast as they are taken, and reads along. The connection must end; the kinds of
/// frames that came.
async fn drowns(id: &str, port: u16, pieces: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let stream = soon("TLS", tls(port, &[b"h2"])).await.unwrap();
    let (mut reader, mut writer) = split(stream);
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        // A reset takes what was not yet read with it.
        let _ = reader.read_to_end(&mut bytes).await;
        kinds(&bytes).collect()
    });
    let sending = async {
        writer
            .write_all(&[PREFACE, EMPTY_SETTINGS].concat())
            .await?;
        for piece in pieces {
            writer.write_all(&piece).await?;
        }
        writer.flush().await
    };
    // It may be closed in the middle.
    let _ = soon(id, sending).await;
    match timeout(SOON, reading).await {
        Ok(kinds) => kinds.unwrap(),
        Err(_) => panic!("{id}: the connection stays open"),
    }
}

/// The numbers of the streams that a client opens.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

async fn still_serves(gateway: &Gateway, id: &str) {
    let answer = gateway.connect().await.get("/static/a", &[]).await;
    assert_eq!(answer.status, 200, "{id}");
}

#[tokio::test]
async fn d1_to_d4_floods_of_frames_end_their_connection() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let port = gateway.port;
    still_serves(&gateway, "at first").await;
    let before = gateway.memory_kib("VmRSS");
    let cancel = 8_u32.to_be_bytes();
    let reset = streams()
        .take(3000)
        .map(|stream| [begun(stream), frame(RST_STREAM, 0, stream, &cancel)].concat());
    let kinds = drowns("D1", port, reset).await;
    println!("D1: GOAWAY came: {}", kinds.contains(&GOAWAY));
    let made_to_reset = streams()
        .take(3000)
        .map(|stream| [begun(stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat());
    drowns("D2.1", port, made_to_reset).await;
    let too_long = streams().take(3000).map(|stream| {
        let fields = [fields(), literal(b"content-length", b"1")].concat();
        let head = frame(HEADERS, END_HEADERS, stream, &fields);
        [head, frame(DATA, 0, stream, b"more than one")].concat()
    });
    drowns("D2.2", port, too_long).await;
    let open = std::iter::once(frame(HEADERS, 0, 1, &fields()));
    let more = literal(b"x", b"y").repeat(500);
    let endless = open.chain((0..20_000).map(|_| frame(CONTINUATION, 0, 1, &more)));
    drowns("D3", port, endless).await;
    let setting = [0, 3, 0, 0, 0, 100];
    for (id, frame) in [
        ("D4.1", frame(DATA, 0, 1, b"")),
        ("D4.2", frame(PING, 0, 0, &[0; 8])),
        ("D4.3", frame(SETTINGS, 0, 0, &setting)),
        ("D4.4", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])),
        ("D4.5", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("D4.6", frame(99, 0, 0, b"nobody knows me")),
    ] {
        let flood = (0..200).map(|_| frame.repeat(100));
        drowns(id, port, std::iter::once(begun(1)).chain(flood)).await;
        still_serves(&gateway, id).await;
    }
    let grown = gateway.memory_kib("VmRSS").saturating_sub(before);
    println!("memory grew by {grown} KiB");
    assert!(grown < 64 * 1024, "{grown} KiB");
    eventually("the panel to be rid of them", || async {
        (panel.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn d5_heads_and_forms_have_a_size() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let many: Vec<String> = (0..100).map(|number| format!("X-{number}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cookies = format!("Cookie: {}", "a=b; ".repeat(20_000));
    let long = format!("/static/{}", "a".repeat(70_000));
    let mut statuses = Vec::new();
    for (target, fields) in [
        ("/static/a", many.as_slice()),
        ("/static/a", &[cookies.as_str()]),
        (&long, &[]),
    ] {
        let mut wire = gateway.connect().await;
        statuses.push(wire.get(target, fields).await.status);
    }
    assert_eq!(statuses, [431, 431, 431]);
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let head =
        format!("POST /.portcullis/login HTTP/1.1\r\nHost: localhost\r\n{NAVIGATION}{kind}\r\n");
    let body = "a".repeat(1_000_000);
    let mut wire = gateway.connect().await;
    // It may be answered before all of it is sent.
    let _ = wire
        .try_send(format!("{head}Content-Length: 1000000\r\n\r\n{body}"))
        .await;
    let form = wire.answer().await;
    assert_eq!(form.status, 413);
    // One field of 4 KiB, put into the table of HPACK and then named again and again.
    let value = [0x7f, 0x81, 0x1e].as_slice();
    let bomb = [
        fields(),
        vec![0x40, 1, b'x'],
        value.to_vec(),
        vec![b'y'; 3968],
        vec![0xbe; 4000],
    ];
    let stream = soon("TLS", tls(gateway.port, &[b"h2"])).await.unwrap();
    let mut wire = Wire::over(stream);
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb.concat());
    wire.send([PREFACE, EMPTY_SETTINGS, &head].concat()).await;
    let mut read = Vec::new();
    let ended = loop {
        let piece = wire.some().await;
        read.extend_from_slice(&piece);
        let answered = kinds(&read).any(|kind| [HEADERS, RST_STREAM, GOAWAY].contains(&kind));
        if answered || piece.is_empty() {
            break kinds(&read).find(|kind| *kind == HEADERS).is_none();
        }
    };
    let refused = ended || read.windows(3).any(|part| part == b"431");
    assert!(refused, "{read:?}");
    assert!(panel.seen().is_empty());
}

/// Closed by the gateway, whatever is sent meanwhile.
async fn is_closed(id: &str, mut wire: Wire, begin: &[u8]) {
    wire.try_send(begin).await.unwrap();
    let took = wire.closed_within(Duration::from_secs(60)).await;
    println!("{id}: closed after {took:?}");
}

#[tokio::test]
async fn d6_who_is_too_slow_is_closed() {
    let panel = Panel::start().await;
    let lines = "trusted_proxies = [\"127.0.0.2\"]";
    let gateway = Gateway::with_lines(&panel, lines).await;
    let port = gateway.port;
    let raw = async || Wire::over(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let over = async |protocol: &[u8]| Wire::over(tls(port, &[protocol]).await.unwrap());
    let hello = b"\x16\x03\x01\x02\x00\x01\x00".as_slice();
    let from_proxy = Wire::over(connect_from("127.0.0.2", port).await);
    tokio::join!(
        is_closed("D6.1 silent before TLS", raw().await, b""),
        is_closed("D6.2 half a hello", raw().await, hello),
        is_closed("D6.3 silent", over(b"http/1.1").await, b""),
        is_closed(
            "D6.4 half a head",
            over(b"http/1.1").await,
            b"GET / HTTP/1.1\r\nHost: loc"
        ),
        is_closed("D6.5 silent, HTTP/2", over(b"h2").await, b""),
        is_closed("D6.6 half a preface", over(b"h2").await, b"PRI * HTT"),
        is_closed("D6.7 half an introduction", from_proxy, b"PROXY TCP4 203."),
    );
}

#[tokio::test]
async fn d7_websockets_keep_their_places() {
    let panel = Panel::start().await;
    let gateway = Gateway::with_lines(&panel, "connections_per_address = 3").await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let mut held = Vec::new();
    for _ in 0..3 {
        let wire = tls_after("127.0.0.2", gateway.port, b"").await.unwrap();
        let fields = ["Origin: https://localhost", cookie.as_str()];
        let mut socket = WebSocket::open(wire, "/ws", &fields).await.unwrap();
        socket.check_echo().await;
        held.push(socket);
    }
    let fourth = tls_after("127.0.0.2", gateway.port, b"").await;
    assert!(fourth.is_none(), "a fourth connection is taken");
    drop(held);
    eventually("a place to be free", || {
        tls_after("127.0.0.2", gateway.port, b"")
    })
    .await;
}

#[tokio::test]
async fn d7_connections_have_a_number() {
    let panel = Panel::start().await;
    let lines = "connections = 12\nconnections_per_address = 5";
    let gateway = Gateway::with_lines(&panel, lines).await;
    let token = gateway.token("read");
    let mut held = Vec::new();
    for number in 0..5 {
        let wire = tls_after("127.0.0.2", gateway.port, b"").await;
        held.push(wire.unwrap_or_else(|| panic!("{number} is refused")));
    }
    assert!(
        tls_after("127.0.0.2", gateway.port, b"").await.is_none(),
        "D7.1"
    );
    for from in ["127.0.0.3", "127.0.0.4"] {
        for _ in 0..5 {
            held.extend(tls_after(from, gateway.port, b"").await);
        }
    }
    assert_eq!(held.len(), 12, "D7.2");
    let answer = gateway.call(&token, "GET", "/healthz", "").await;
    assert_eq!(
        answer.status, 200,
        "D7.3: programs have places of their own"
    );
    held.truncate(3);
    eventually("a place to be free", || {
        tls_after("127.0.0.5", gateway.port, b"")
    })
    .await;
    still_serves(&gateway, "D7.4").await;
}
