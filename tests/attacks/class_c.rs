//! C: what a hostile or broken panel answers, and that it stays with whoever asked: the next request of
//! somebody else, on the same connection to the panel, gets its own answer.

use bytes::Bytes;
use http::{Method, Request};

use crate::arena::{Arena, Turn, Who::Operator};
use crate::support::gateway::Gateway;
use crate::support::http1::{Answer, Wire};
use crate::support::http2::Http2;
use crate::support::panel::Panel;
use crate::support::person::Person;
use crate::support::soon;

/// What becomes of an odd answer.
enum Comes {
    /// This status and body, which are whole.
    Whole(u16, &'static str),
    /// A 502 that names the panel.
    Refused,
    /// A connection that breaks off before the end of the body.
    Torn,
}
use Comes::{Refused, Torn, Whole};

pub(crate) struct Scene {
    pub(crate) panel: Panel,
    pub(crate) gateway: Gateway,
    pub(crate) attacker: Person,
    pub(crate) victim: Person,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let panel = Panel::start().await;
        let gateway = Gateway::with_lines(&panel, "").await;
        let attacker = gateway.person("eve", "operator").await;
        let victim = gateway.person("ada", "operator").await;
        Self {
            panel,
            gateway,
            attacker,
            victim,
        }
    }
}

/// Name, method, what the panel answers, and what comes of it.
type Odd = (&'static str, &'static str, &'static str, Comes);

/// Another answer, or more of a body, behind the answer that was asked for.
const TOO_MUCH: &[Odd] = &[
    (
        "second",
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{second}",
        Whole(200, "ok"),
    ),
    (
        "second after 204",
        "GET",
        "HTTP/1.1 204 No Content\r\n\r\n{second}",
        Whole(204, ""),
    ),
    (
        "second after 304",
        "GET",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n{second}",
        Whole(304, ""),
    ),
    (
        "second after HEAD",
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{second}",
        Whole(200, ""),
    ),
    (
        "second after chunks",
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{second}",
        Whole(200, "ok"),
    ),
    (
        "body after 204",
        "GET",
        "HTTP/1.1 204 No Content\r\n\r\nbody",
        Whole(204, ""),
    ),
    (
        "body after HEAD",
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        Whole(200, ""),
    ),
    (
        "longer than it said",
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
        Whole(200, "ok"),
    ),
];

/// Heads that say two things, or that are none.
const NONSENSE: &[Odd] = &[
    (
        "two lengths",
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        Refused,
    ),
    (
        "bare CR",
        "GET",
        "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: e=1\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    (
        "NUL",
        "GET",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    (
        "folded",
        "GET",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    (
        "space in a name",
        "GET",
        "HTTP/1.1 200 OK\r\nX y: a\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    (
        "negative length",
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
        Refused,
    ),
    (
        "status of four digits",
        "GET",
        "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    (
        "HTTP/2",
        "GET",
        "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    (
        "another protocol",
        "GET",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        Refused,
    ),
    (
        "unasked tunnel",
        "GET",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        Refused,
    ),
    (
        "endless head",
        "GET",
        "HTTP/1.1 200 OK\r\nX: {long}\r\nContent-Length: 2\r\n\r\nok",
        Refused,
    ),
    ("endless reason", "GET", "HTTP/1.1 200 {long}", Refused),
    (
        "ten thousand fields",
        "GET",
        "HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok",
        Refused,
    ),
];

/// What is odd and clear, and bodies that break.
const ODD: &[Odd] = &[
    (
        "two ways to end",
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Whole(200, "ok"),
    ),
    (
        "early hints",
        "GET",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Whole(200, "ok"),
    ),
    (
        "ten thousand 100s",
        "GET",
        "{hundreds}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Whole(200, "ok"),
    ),
    (
        "status 999",
        "GET",
        "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok",
        Whole(999, "ok"),
    ),
    (
        "trailers",
        "GET",
        "HTTP/1.1 200 OK\r\nTrailer: Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nSet-Cookie: __Host-Http-portcullis=x\r\n\r\n",
        Whole(200, "ok"),
    ),
    (
        "broken chunk",
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
        Torn,
    ),
    (
        "endless extension",
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;{long}",
        Torn,
    ),
];

/// The answer, with what is too long to write down.
fn written(answer: &str) -> String {
    answer
        .replace(
            "{second}",
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsecond!",
        )
        .replace("{long}", &"a".repeat(2_000_000))
        .replace("{fields}", &"X: a\r\n".repeat(10_000))
        .replace(
            "{hundreds}",
            &"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000),
        )
}

/// C8, C9: each of them many times, and behind each a request of somebody else.
#[tokio::test]
async fn c8_what_a_panel_answers_is_for_whoever_asked() {
    let scene = Scene::new().await;
    let (mine, hers) = (scene.attacker.cookie(), scene.victim.cookie());
    let mut faults = Vec::new();
    // One connection, where it lasts: the same worker, and so the same connections to the panel.
    let mut wire = scene.gateway.connect().await;
    for (name, method, answer, comes) in [TOO_MUCH, NONSENSE, ODD].into_iter().flatten() {
        scene.panel.answers_oddly("x", written(answer));
        for round in 0..20 {
            let got = torn_or_whole(&mut wire, method, &mine).await;
            if let Err(fault) = is_as_expected(got.as_ref(), comes) {
                faults.push(format!("{name}, round {round}: {fault}"));
            }
            if matches!(comes, Torn) {
                wire = scene.gateway.connect().await;
            }
            let target = format!("/echo?canary={}-{round}", name.len());
            let answer = wire.get(&target, &[&hers]).await;
            let is_her_own = answer.status == 200
                && answer.text().contains(&target)
                && answer.text().contains("x-forwarded-user: ada");
            if !is_her_own {
                faults.push(format!("{name}, round {round}: the next got {answer:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The answer; with its body as far as it came, and whether that was all.
async fn torn_or_whole(wire: &mut Wire, method: &str, cookie: &str) -> Option<(Answer, bool)> {
    let request = format!("{method} /odd-open/x HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n");
    wire.send(request).await;
    let mut answer = wire.try_head().await?;
    let length = answer
        .header("content-length")
        .and_then(|text| text.parse().ok());
    let chunked = answer.header("transfer-encoding").is_some();
    let length = match (method, answer.status) {
        ("HEAD", _) | (_, 204 | 304) => 0,
        _ => length.unwrap_or(0),
    };
    let mut body: Vec<u8> = Vec::new();
    if method != "HEAD" && chunked {
        while !body.ends_with(b"0\r\n\r\n") {
            let more = wire.some().await;
            if more.is_empty() {
                return Some((answer, false));
            }
            body.extend(more);
        }
        answer.body = between_chunks(&body);
        return Some((answer, true));
    }
    while body.len() < length {
        let more = wire.some().await;
        if more.is_empty() {
            return Some((answer, false));
        }
        body.extend(more);
    }
    answer.body = body;
    Some((answer, true))
}

/// The content of one chunk, and nothing but the end behind it.
fn between_chunks(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body).into_owned();
    let parts: Vec<&str> = text.split("\r\n").collect();
    match parts.as_slice() {
        [_, content, "0", "", ""] => content.as_bytes().to_vec(),
        _ => body.to_vec(),
    }
}

fn is_as_expected(got: Option<&(Answer, bool)>, comes: &Comes) -> Result<(), String> {
    let fits = match (comes, got) {
        (Whole(status, body), Some((answer, true))) => {
            answer.status == *status
                && answer.body == body.as_bytes()
                && answer.all("set-cookie").is_empty()
        }
        (Refused, Some((answer, true))) => {
            answer.status == 502 && answer.text().contains("test panel")
        }
        (Torn, None | Some((_, false))) => true,
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(format!("{got:?}"))
    }
}

/// Name, method, length as it is said, body, and whether it is a request.
type Stream = (
    &'static str,
    Method,
    Option<&'static str>,
    &'static str,
    bool,
);

const STREAMS: &[Stream] = &[
    (
        "connect",
        Method::CONNECT,
        None,
        "GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n",
        false,
    ),
    (
        "too long",
        Method::POST,
        Some("5"),
        "01234GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n",
        false,
    ),
    (
        "too short",
        Method::POST,
        Some("500"),
        "GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n",
        false,
    ),
    (
        "none wanted",
        Method::POST,
        Some("0"),
        "GET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n",
        false,
    ),
    (
        "none said",
        Method::POST,
        None,
        "0\r\n\r\nGET /canary HTTP/1.1\r\nHost: localhost\r\n\r\n",
        true,
    ),
];

/// C3, C6: over HTTP/2 nothing but one request reaches the panel, and the next one is untouched.
#[tokio::test]
async fn c3_c6_no_stream_becomes_two_requests() {
    let arena = Turn::next().await;
    let victim = arena.person("c3-victim").await;
    for (name, method, length, body, is_request) in STREAMS {
        for _ in 0..20 {
            arena.panel.forget();
            let uri = match *method {
                Method::CONNECT => "localhost:443",
                _ => "https://localhost/c3",
            };
            let token = arena.token(Operator).unwrap();
            let mut request = Request::builder()
                .method(method.clone())
                .uri(uri)
                .header("cookie", format!("__Host-Http-portcullis={token}"));
            if let Some(length) = length {
                request = request.header("content-length", *length);
            }
            let http2 = Http2::connect(arena.gateway.port).await;
            let (response, mut sending) = http2.begin(request.body(()).unwrap(), false).await;
            // It may be answered and reset before.
            let _ = sending.send_data(Bytes::from_static(body.as_bytes()), true);
            let answer = soon("an end", response).await;
            let status = answer.map(|answer| answer.status().as_u16());
            let is_passed = matches!(status, Ok(200));
            assert_eq!(is_passed, *is_request, "{name}: {status:?}");
            if *method == Method::CONNECT {
                assert!(arena.heads().is_empty(), "{name}: {:?}", arena.heads());
            }
            own_answer(&arena, &victim).await;
            let canaries = arena.panel.seen_with("/canary");
            assert!(canaries.is_empty(), "{name}: {canaries:?}");
        }
    }
}

async fn own_answer(arena: &Arena, victim: &Person) {
    let mut wire = arena.gateway.connect().await;
    let answer = wire.get("/echo?own", &[&victim.cookie()]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().starts_with("GET /echo?own "), "{answer:?}");
    assert!(
        answer.text().contains("x-forwarded-user: c3-victim"),
        "{answer:?}"
    );
}
