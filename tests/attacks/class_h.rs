//! H: heads and framing. Whole requests, byte for byte, that a careless HTTP library would let pass
//! or repair, each with a request behind it that must never be taken for one.

use crate::arena::{Arena, Turn, Who::Operator};
use crate::ask::answered;
use crate::support::SOON;

/// What follows every attack on the same connection.
const CANARY: &str = "GET /static/canary HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends the bytes and the canary. The first answer has this status, the connection ends after it,
/// and the panel sees nothing.
async fn refuses(arena: &Arena, id: &str, bytes: &[u8], status: u16) -> Result<(), String> {
    arena.panel.forget();
    let text = [&with_session(arena, bytes), CANARY.as_bytes()].concat();
    let mut wire = arena.gateway.connect().await;
    let _ = wire.try_send(&text).await;
    let answer = answered(&mut wire, false)
        .await
        .map_err(|fault| format!("{id}: {fault}"))?;
    if answer.status != status {
        return Err(format!(
            "{id}: answered {} in place of {status}",
            answer.status
        ));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Err(format!("{id}: no problem document"));
    }
    let rest = wire.some().await;
    if !rest.is_empty() {
        return Err(format!(
            "{id}: answered more: {}",
            String::from_utf8_lossy(&rest)
        ));
    }
    wire.closed_within(SOON).await;
    match arena.heads().as_slice() {
        [] => Ok(()),
        heads => Err(format!("{id}: the panel saw {heads:?}")),
    }
}

/// With the operator's cookie behind the request line, so that nothing but its form is against it.
fn with_session(arena: &Arena, bytes: &[u8]) -> Vec<u8> {
    let token = arena.token(Operator).unwrap();
    let cookie = format!("Cookie: __Host-Http-portcullis={token}\r\n");
    let end = bytes.windows(2).position(|part| part == b"\r\n");
    match end.unwrap_or(0) {
        0 => bytes.to_vec(),
        end => [&bytes[..end + 2], cookie.as_bytes(), &bytes[end + 2..]].concat(),
    }
}

async fn run(attacks: &[Refused]) {
    let arena = Turn::next().await;
    let mut faults = Vec::new();
    for (id, bytes, status) in attacks {
        faults.extend(refuses(&arena, id, bytes, *status).await.err());
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Id, bytes, and the status of the answer.
type Refused = (&'static str, &'static [u8], u16);

const HEADS: &[Refused] = &[
    ("H1", b"GET /page HTTP/1.1\r\n\r\n", 400),
    (
        "H2",
        b"GET /page HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        400,
    ),
    (
        "H4",
        b"GET http://a@localhost/page HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    ),
    ("H5", b"GET page HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (
        "H6",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        501,
    ),
    ("H7", b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (
        "H8",
        b"GET /page#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    ),
    ("H13.1", b"GET /page HTTP/1.1\nHost: localhost\n\n", 400),
    (
        "H13.2",
        b"GET /page HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        400,
    ),
    (
        "H13.3",
        b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        400,
    ),
    (
        "H13.4",
        b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: y\r\n folded\r\n\r\n",
        400,
    ),
    (
        "H13.5",
        b"GET /page HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n",
        400,
    ),
    (
        "H13.6",
        b"GET /page HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        400,
    ),
    (
        "H13.7",
        b"GET  /page HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    ),
    (
        "H13.8",
        b"\r\n\r\nGET /page HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    ),
    (
        "H13.9",
        b"GET /page HTTP/1.2\r\nHost: localhost\r\n\r\n",
        505,
    ),
    ("H13.10", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
];

#[tokio::test]
async fn heads_that_two_programs_would_read_differently() {
    run(HEADS).await;
}

const FRAMING: &[Refused] = &[
    (
        "H9.1",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\
           Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        400,
    ),
    (
        "H9.2",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
           Content-Length: 6\r\n\r\n0\r\n\r\nG",
        400,
    ),
    (
        "H10.1",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
           Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H10.2",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\n\
           Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H10.3",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\n\
           Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H10.4",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\n\
           Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H10.5",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\n\
           Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H10.6",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\n\
           Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H10.7",
        b"POST /page HTTP/1.0\r\nHost: localhost\r\n\
           Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    (
        "H11.1",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\
           Content-Length: 4\r\n\r\nbody",
        400,
    ),
    (
        "H11.2",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4, 4\r\n\r\nbody",
        400,
    ),
    (
        "H11.3",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n\r\nbody",
        400,
    ),
    (
        "H11.4",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0x4\r\n\r\nbody",
        400,
    ),
    (
        "H11.5",
        b"POST /page HTTP/1.1\r\nHost: localhost\r\n\
           Content-Length: 18446744073709551620\r\n\r\nbody",
        400,
    ),
];

#[tokio::test]
async fn framing_that_two_programs_would_read_differently() {
    run(FRAMING).await;
}

#[tokio::test]
async fn broken_chunks_end_both_connections() {
    let arena = Turn::next().await;
    let long = [
        b"3;".as_slice(),
        &[b'x'; 1_000_000],
        b"\r\nabc\r\n0\r\n\r\n",
    ]
    .concat();
    let chunks: [&[u8]; 9] = [
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"0_2e\r\nabc\r\n0\r\n\r\n",
        b"3;a\nabc\r\n0\r\n\r\n",
        b"3\rXabc\r\n0\r\n\r\n",
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"10000000000000003\r\nabc\r\n0\r\n\r\n",
        &long,
    ];
    for chunk in chunks {
        let start = &chunk[..chunk.len().min(20)].escape_ascii().to_string();
        arena.panel.forget();
        let head = format!(
            "POST /sink HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-Http-portcullis={}\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            arena.token(Operator).unwrap()
        );
        let mut wire = arena.gateway.connect().await;
        let _ = wire
            .try_send([head.as_bytes(), chunk, CANARY.as_bytes()].concat())
            .await;
        let answer = answered(&mut wire, false).await.expect(start);
        assert_eq!(answer.status, 400, "{start}: {}", answer.text());
        wire.closed_within(SOON).await;
        let canaries = arena.panel.seen_with("canary");
        assert!(canaries.is_empty(), "{start}: {canaries:?}");
    }
}

/// Its body is read to the end, or the connection ends: in either case nothing in it is answered.
#[tokio::test]
async fn a_body_of_a_refused_request_is_no_request() {
    let arena = Turn::next().await;
    for canaries in [20, 20_000] {
        arena.panel.forget();
        let hidden = CANARY.repeat(canaries);
        let text = format!(
            "POST /page HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        );
        let mut wire = arena.gateway.connect().await;
        let _ = wire.try_send(text).await;
        let first = answered(&mut wire, false).await.unwrap();
        assert_eq!(first.status, 401);
        let _ = wire
            .try_send("GET /static/last HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        let second = wire.try_answer(false).await.map(|answer| answer.status);
        let seen: Vec<String> = arena.heads();
        assert!(
            seen.iter()
                .all(|head| head.starts_with("GET /static/last ")),
            "{seen:?}"
        );
        assert_eq!(seen.len(), usize::from(second == Some(200)), "{second:?}");
    }
}

#[tokio::test]
async fn what_follows_an_upgrade_that_is_not_granted_is_judged() {
    let arena = Turn::next().await;
    for upgrade in ["websocket", "h2c", "TLS/1.0"] {
        arena.panel.forget();
        let text = format!(
            "GET /page HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-Http-portcullis={}\r\n\
             Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMA\r\n\
             Origin: https://localhost\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
             GET /users/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
            arena.token(Operator).unwrap()
        );
        let mut wire = arena.gateway.connect().await;
        wire.send(text).await;
        let first = answered(&mut wire, false).await.unwrap();
        assert_eq!(first.status, 200, "{upgrade}: {}", first.text());
        let second = answered(&mut wire, false).await.unwrap();
        assert_eq!(second.status, 401, "{upgrade}: {}", second.text());
        assert_eq!(arena.panel.seen_with("/users/").len(), 0, "{upgrade}");
        let head = arena.heads().concat().to_ascii_lowercase();
        assert!(!head.contains("http2-settings"), "{head}");
        assert!(
            upgrade == "websocket" || !head.contains("upgrade"),
            "{head}"
        );
    }
}
