//! Connections to panels: what one person sent or was sent never reaches another, nothing is sent
//! more often than it may be, and nothing outlives its clock.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http1::Wire;
use crate::support::person::Person;

/// A panel that does what the first word of a path says, and counts what it was asked.
#[derive(Clone)]
struct Rogue {
    address: SocketAddr,
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const FORGED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";

impl Rogue {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rogue = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let serving = rogue.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        rogue
    }

    async fn guarded_by(&self, lines: &str) -> Gateway {
        let open = "[[panel.rule]]\npath = \"/open/\"\nallow = \"anyone\"\n";
        let upstream = format!("http://{}", self.address);
        Gateway::at(&upstream, "", &format!("{lines}\n{open}")).await
    }

    fn asked(&self, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.get(path).copied().unwrap_or(0)
    }

    async fn serve(self, mut stream: TcpStream) -> Option<()> {
        let mut bytes = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                    break at + 4;
                }
                if stream.read_buf(&mut bytes).await.ok()? == 0 {
                    return None;
                }
            };
            let head: Vec<u8> = bytes.drain(..end).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let path = head.split(' ').nth(1)?.to_owned();
            *self.asked.lock().unwrap().entry(path.clone()).or_default() += 1;
            self.answer(&mut stream, &head, &path).await?;
        }
    }

    /// `None` ends the connection.
    async fn answer(&self, stream: &mut TcpStream, head: &str, path: &str) -> Option<()> {
        let kind = path.trim_start_matches("/open").split('/').nth(1)?;
        let first: &[u8] = match kind {
            "late-204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "late-304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
            "late-length" => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "late-chunks" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            }
            "late-head" => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            "slow-read" => return std::future::pending().await,
            "die" => return None,
            "die-late" => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                return None;
            }
            "interim" => loop {
                let hundreds = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
                stream.write_all(&hundreds).await.ok()?;
            },
            "interim-slow" => loop {
                let hint = b"HTTP/1.1 102 Processing\r\n\r\n";
                stream.write_all(hint).await.ok()?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            },
            "stall" => {
                let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
                stream.write_all(half).await.ok()?;
                return std::future::pending().await;
            }
            "early-stall" => {
                stream.write_all(EARLY).await.ok()?;
                return std::future::pending().await;
            }
            "early-crawl" => {
                stream.write_all(EARLY).await.ok()?;
                loop {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    stream.read_u8().await.ok()?;
                }
            }
            _ => {
                let text = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}",
                    head.len()
                );
                return stream.write_all(text.as_bytes()).await.ok();
            }
        };
        stream.write_all(first).await.ok()?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.write_all(FORGED).await.ok()
    }
}

#[tokio::test]
async fn what_comes_late_behind_an_answer_reaches_nobody() {
    let rogue = Rogue::start().await;
    let gateway = rogue.guarded_by("").await;
    let olga = gateway.person("olga", "operator").await;
    let ada = gateway.person("ada", "administrator").await;
    let (hers, theirs) = (ada.cookie(), olga.cookie());
    let mut wire = gateway.connect().await;
    for (method, path, reaches_oneself) in [
        ("HEAD", "/late-head", false),
        ("GET", "/late-204", false),
        ("GET", "/late-304", false),
        ("POST", "/late-204", false),
        ("PUT", "/late-length", false),
        ("OPTIONS", "/late-204", false),
        ("GET", "/late-length", true),
        ("GET", "/late-chunks", true),
    ] {
        for round in 0..10 {
            let asked = wire.request(method, path, &[&theirs], b"").await;
            assert!(asked.status < 400, "{method} {path}: {asked:?}");
            tokio::time::sleep(Duration::from_millis(round * 5)).await;
            let askers: &[&str] = if reaches_oneself {
                &[&hers]
            } else {
                &[&theirs, &hers]
            };
            for asker in askers {
                let next = wire.get("/echo", &[asker]).await;
                let text = next.text();
                assert!(
                    next.status == 200 && text.starts_with("GET /echo "),
                    "{method} {path}, round {round}: the next got {} {text}",
                    next.status
                );
            }
        }
    }
}

/// Answers to as many questions at once leave as many idle connections.
async fn fill_the_pool(person: &Person, count: usize) {
    let mut asking = JoinSet::new();
    for _ in 0..count {
        let (mut wire, cookie) = (person.connect().await, person.cookie());
        asking.spawn(async move { wire.get("/echo", &[&cookie]).await.status });
    }
    let statuses = asking.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test]
async fn a_question_is_asked_twice_at_the_most_and_on_one_clock() {
    let rogue = Rogue::start().await;
    let gateway = rogue.guarded_by("answer_timeout = \"3s\"").await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    for (method, path, most) in [
        ("GET", "/die/get", 2),
        ("HEAD", "/die/head", 2),
        ("OPTIONS", "/die/options", 2),
        ("GET", "/die-late/get", 2),
        ("POST", "/die/post", 1),
        ("DELETE", "/die/delete", 1),
        ("PROPFIND", "/die/propfind", 1),
    ] {
        fill_the_pool(&ada, 40).await;
        let begun = Instant::now();
        let mut wire = ada.connect().await;
        let answer = wire.request(method, path, &[&cookie], b"").await;
        // A method that the gateway does not know is not asked at all.
        assert!(
            answer.status >= 500 || rogue.asked(path) == 0,
            "{method}: {answer:?}"
        );
        assert!(begun.elapsed() < Duration::from_secs(20), "{method} {path}");
        let asked = rogue.asked(path);
        assert!(asked <= most, "{method} {path}: {asked} times");
    }
    let mut wire = ada.connect().await;
    let answer = wire
        .request("GET", "/die/with-body", &[&cookie], b"body")
        .await;
    assert_eq!((answer.status, rogue.asked("/die/with-body")), (502, 1));
}

#[tokio::test]
async fn answers_that_never_get_anywhere_end_by_a_clock_or_a_count() {
    let rogue = Rogue::start().await;
    let gateway = rogue.guarded_by("answer_timeout = \"2s\"").await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    for (path, statuses) in [("/interim", &[502, 504][..]), ("/interim-slow", &[504])] {
        let answer = ada.connect().await.get(path, &[&cookie]).await;
        assert!(statuses.contains(&answer.status), "{path}: {answer:?}");
    }
    let mut wire = ada.connect().await;
    wire.send(format!(
        "GET /stall HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
    ))
    .await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    wire.closed_within(Duration::from_secs(20)).await;
    all_is_over(&gateway).await;
}

/// Waits until programs are told that no request is in progress.
async fn all_is_over(gateway: &Gateway) {
    eventually("all requests to be over", async || {
        (requests(gateway).await == 0).then_some(())
    })
    .await;
}

async fn requests(gateway: &Gateway) -> u64 {
    let ready = Wire::connect(gateway.management_port)
        .await
        .get("/readyz", &[])
        .await;
    ready.json()["panels"][0]["requests"].as_u64().unwrap()
}

#[tokio::test]
async fn an_upload_that_outlives_its_answer_is_counted_and_ends() {
    let rogue = Rogue::start().await;
    let gateway = rogue.guarded_by("answer_timeout = \"3s\"").await;
    let mut wires = Vec::new();
    for panel in ["early-stall", "early-crawl"].repeat(4) {
        let mut wire = gateway.connect().await;
        let head = format!("POST /open/{panel} HTTP/1.1\r\nHost: localhost\r\n");
        wire.send(format!("{head}Content-Length: 1000000000\r\n\r\n"))
            .await;
        wire.send(vec![b'a'; 100_000]).await;
        assert_eq!(wire.answer().await.status, 200);
        // More than fits between a client and a panel that does not read.
        let chunk = vec![0; 1 << 20];
        let full = async { while wire.stream.write_all(&chunk).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_millis(100), full).await;
        wires.push(wire);
    }
    assert!(
        requests(&gateway).await > 0,
        "uploads go on, and are counted"
    );
    drop(wires);
    all_is_over(&gateway).await;
}

#[tokio::test]
async fn bodies_that_trickle_take_no_places_and_end() {
    const TRICKLES: [&str; 4] = [
        "Content-Length: 1000",
        "Content-Length: 1000000",
        "Content-Length: 60000",
        "Transfer-Encoding: chunked",
    ];
    let rogue = Rogue::start().await;
    let lines = "max_requests = 2\nidle_timeout = \"2s\"\nmin_body_rate = \"1k\"";
    let gateway = rogue.guarded_by(lines).await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut trickles = JoinSet::new();
    for framing in TRICKLES {
        let mut wire = gateway.connect().await;
        trickles.spawn(async move {
            let head =
                format!("POST /open/slow-read HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n");
            wire.send(head).await;
            let drop: &[u8] = if framing.starts_with('T') {
                b"1\r\na\r\n"
            } else {
                b"a"
            };
            loop {
                if wire.try_send(drop).await.is_err() {
                    return (framing, None);
                }
                let reading = tokio::time::timeout(Duration::from_millis(300), wire.some());
                if let Ok(bytes) = reading.await {
                    wire.unread(&bytes);
                    return (framing, wire.try_answer(false).await);
                }
            }
        });
    }
    for _ in 0..5 {
        assert_eq!(ada.get("/echo").await.status, 200, "there is a place");
    }
    for (framing, answer) in trickles.join_all().await {
        let status = answer.expect("an answer").status;
        assert_eq!(status, 408, "{framing}");
    }
    all_is_over(&gateway).await;
}
