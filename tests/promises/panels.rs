//! Several panels behind one gateway: each has its hosts, its rules and its bounds, and one that is down
//! has a page of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::eventually;
use crate::support::free_port;
use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;
use crate::support::person::csrf_of;

/// Two panels: the first for the host of `external_url`, the second for `second.test`.
async fn two() -> (Panel, Panel, Gateway) {
    let (first, second) = (Panel::start().await, Panel::start().await);
    let more = format!(
        "{RULES}[[panel]]\nname = \"second\"\nhost = \"second.test\"\nupstream = \"http://127.0.0.1:{}\"\n",
        second.port
    );
    let gateway = Gateway::with(&first, "", &more).await;
    (first, second, gateway)
}

#[tokio::test]
async fn a_host_has_its_panel_and_a_host_of_nobody_is_misdirected() {
    let (first, second, gateway) = two().await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    for (host, target, status, firsts, seconds) in [
        ("localhost", "/echo?a", 200, 1, 0),
        ("second.test", "/echo?b", 200, 0, 1),
        ("SECOND.test:8443", "/echo?c", 200, 0, 1),
        ("third.test", "/echo?d", 421, 0, 0),
        ("third.test", "/.portcullis/login?e", 421, 0, 0),
    ] {
        let host = format!("Host: {host}");
        let answer = ada.connect().await.get(target, &[&host, &cookie]).await;
        let seen = (
            answer.status,
            first.seen_with(target).len(),
            second.seen_with(target).len(),
        );
        assert_eq!(seen, (status, firsts, seconds), "{host} {target}");
    }
    // What the first panel opens to anyone is not open on the second.
    let open = gateway.connect().await.get("/static/a", &[]).await;
    let other = ["Host: second.test"];
    let closed = gateway.connect().await.get("/static/a", &other).await;
    assert_eq!((open.status, closed.status), (200, 401));
    let mut wire = ada.connect().await;
    let handshake = [
        "Host: second.test",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Origin: https://localhost",
        &cookie,
    ];
    let refused = wire.get("/ws", &handshake).await;
    assert_eq!(
        refused.status, 403,
        "a page of one panel opens no socket of another"
    );
}

#[tokio::test]
async fn people_sign_in_on_the_host_of_a_panel() {
    const LOGIN: &str = "/.portcullis/login?next=%2Fecho%3Fback";
    let (_first, _second, gateway) = two().await;
    gateway.person("ada", "operator").await;
    for (host, names) in [
        (
            "second.test:8443",
            ["second</strong>", "second.test:8443</strong>"],
        ),
        ("localhost", ["test panel</strong>", "localhost</strong>"]),
    ] {
        let host = format!("Host: {host}");
        let fields = [host.as_str(), "Accept: text/html"];
        let page = gateway.connect().await.get(LOGIN, &fields).await.text();
        for name in names {
            assert!(page.contains(name), "{host}: {name} in {page}");
        }
    }
    let page = ["Host: second.test", "Accept: text/html"];
    let away = gateway.connect().await.get("/echo?back", &page).await;
    assert_eq!((away.status, away.header("location")), (303, Some(LOGIN)));
    let form = gateway.connect().await.get(LOGIN, &page).await;
    let kept = form.header("set-cookie").unwrap();
    assert!(!kept.to_ascii_lowercase().contains("domain"), "{kept}");
    let cookie = format!("Cookie: {}", kept.split(';').next().unwrap());
    let body = format!(
        "csrf={}&user=ada&password=plum+tractor+elbow&next=%2Fecho%3Fback",
        csrf_of(&form.text())
    );
    for (origin, status) in [
        ("Origin: https://localhost.evil", 403),
        ("Origin: https://third.test", 403),
        ("Origin: https://second.test", 303),
    ] {
        let fields = [
            "Host: second.test",
            "Accept: text/html",
            "Content-Type: application/x-www-form-urlencoded",
            origin,
            &cookie,
        ];
        let mut wire = gateway.connect().await;
        let answer = wire
            .request("POST", "/.portcullis/login", &fields, body.as_bytes())
            .await;
        assert_eq!(answer.status, status, "{origin}");
        if status == 303 {
            let next = answer.header("location").unwrap();
            assert!(next.starts_with("/.portcullis/second-factor"), "{next}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_or_while_it_is_sent() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", &format!("max_body = \"64k\"\n{RULES}")).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let fits = vec![b'x'; 64 * 1024];
    let mut wire = ada.connect().await;
    let taken = wire.request("POST", "/echo?fits", &[&cookie], &fits).await;
    assert_eq!(taken.status, 200);
    let mut wire = ada.connect().await;
    let head = format!(
        "POST /echo?long HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\nContent-Length: 65537\r\n\r\n"
    );
    wire.send(head).await;
    let refused = wire.answer().await;
    assert_eq!(
        (refused.status, refused.json()["limit"].as_u64()),
        (413, Some(65536))
    );
    assert!(panel.seen_with("/echo?long").is_empty(), "nothing was sent");
    let mut wire = ada.connect().await;
    let head = format!(
        "POST /echo?chunks HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    wire.send(head).await;
    for _ in 0..2 {
        let chunk = [b"8001\r\n", &fits[..0x8001], b"\r\n"].concat();
        let _ = wire.try_send(chunk).await;
    }
    assert_eq!(wire.answer().await.status, 413);
    let seen = panel.seen_with("/echo?chunks");
    assert!(
        seen.iter().all(|seen| seen.body.is_empty()),
        "no whole body"
    );
}

#[tokio::test]
async fn each_panel_has_its_own_patience() {
    let (patient, hasty) = (Panel::start().await, Panel::start().await);
    let more = format!(
        "{RULES}[[panel]]\nname = \"hasty\"\nhost = \"second.test\"\n\
         answer_timeout = \"1s\"\nidle_timeout = \"1s\"\nupstream = \"http://127.0.0.1:{}\"\n",
        hasty.port
    );
    let gateway = Gateway::with(&patient, "", &more).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let host = ["Host: second.test", cookie.as_str()];
    let answer = ada.connect().await.get("/poll", &host).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["panel"], "hasty");
    let slow = format!("POST /sink HTTP/1.1\r\nHost: second.test\r\n{cookie}\r\n");
    let mut wire = ada.connect().await;
    wire.send(format!("{slow}Content-Length: 9\r\n\r\nab"))
        .await;
    assert_eq!(wire.answer().await.status, 408);
    // The other one waits on.
    let mut waiting = ada.connect().await;
    let poll = format!("GET /poll HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n");
    waiting.send(poll).await;
    let answer = tokio::time::timeout(Duration::from_secs(4), waiting.try_head()).await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn no_more_requests_at_a_time_than_a_panel_takes() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", &format!("max_requests = 1\n{RULES}")).await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut first = ada.connect().await;
    let cookie = ada.cookie();
    let asking = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n");
    first.send(asking).await;
    assert_eq!(first.try_head().await.unwrap().status, 200);
    let busy = ada.connect().await.get("/echo", &[&cookie]).await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("1")));
    assert_eq!(busy.json()["panel"], "test panel");
    let page = ada.get("/echo").await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("test panel"));
    let stranger = gateway.connect().await.get("/echo", &[]).await;
    assert_eq!(stranger.status, 401, "what is so is for those who may pass");
    drop(first);
    eventually("the place to be free", async || {
        let answer = ada.connect().await.get("/echo", &[&cookie]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_panel_that_is_down_has_a_page_until_it_is_back() {
    let port = free_port();
    let lines = format!("health_interval = \"1s\"\nhealth_failures = 2\n{RULES}");
    let gateway = Gateway::at(&format!("http://127.0.0.1:{port}"), "", &lines).await;
    let mut ada = gateway.person("ada", "operator").await;
    assert_eq!(ada.get("/").await.status, 502, "one failure is none");
    let cookie = ada.cookie();
    let html = "Accept: text/html";
    // One request in each second is let through to try.
    let page = eventually("the page", async || {
        let answer = ada.connect().await.get("/", &[&cookie, html]).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(page.header("retry-after"), Some("1"));
    assert_eq!(
        page.header("refresh"),
        Some("1"),
        "it looks again by itself"
    );
    assert!(page.text().contains("test panel"), "{}", page.text());
    let program = eventually("the document", async || {
        let answer = ada.connect().await.get("/", &[&cookie]).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(program.json()["panel"], "test panel");
    let stranger = gateway.connect().await.get("/", &[]).await;
    assert_eq!(stranger.status, 401);
    assert_eq!(ada.get("/.portcullis/account").await.status, 200);
    serve(port, Arc::default()).await;
    eventually("the panel to be back", async || {
        let answer = ada.connect().await.get("/", &[&cookie]).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_panel_that_says_it_is_ill_is_left_alone_until_it_says_otherwise() {
    let port = free_port();
    let is_ill = Arc::new(AtomicBool::new(true));
    serve(port, is_ill.clone()).await;
    let lines = format!(
        "health_path = \"/health\"\nhealth_interval = \"1s\"\nhealth_failures = 1\n{RULES}"
    );
    let gateway = Gateway::at(&format!("http://127.0.0.1:{port}"), "", &lines).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let becomes = async |status| {
        eventually("another state", async || {
            let answer = ada.connect().await.get("/", &[&cookie]).await;
            (answer.status == status).then_some(())
        })
        .await;
    };
    becomes(503).await;
    is_ill.store(false, Relaxed);
    becomes(200).await;
    is_ill.store(true, Relaxed);
    becomes(503).await;
}

/// A panel that is well, but for what it says of itself at `/health`.
async fn serve(port: u16, is_ill: Arc<AtomicBool>) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 16 * 1024];
            let count = stream.read(&mut head).await.unwrap_or(0);
            let asks = head[..count].starts_with(b"GET /health ");
            let status = if asks && is_ill.load(Relaxed) {
                "503 Ill"
            } else {
                "200 OK"
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
}
