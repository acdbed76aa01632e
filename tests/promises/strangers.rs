//! What people who have not signed in can make the gateway hold: a bound on the sum, measured in the memory
//! of its process, while others work and sign in.

use std::time::Duration;

use bytes::Bytes;
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::Request;

use crate::open;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::{Wire, tls};
use crate::support::http2::{self, Http2};
use crate::support::panel::Panel;
use crate::support::{eventually, soon};

/// Streams of a connection.
const EACH: usize = 128;

/// What the process may grow by, in KiB: what is weighed of one network is a sixth of it, the rest is
/// connections, tables and what the allocator keeps. Without a bound it is 340 MiB of forms here, and 138
/// MiB of answers.
const MOST_GROWTH: u64 = 96 * 1024;

/// What a stream holds in the test.
type Open = (ResponseFuture, SendStream<Bytes>);

async fn connect(port: u16, window: u32) -> SendRequest<Bytes> {
    let stream = soon("TLS", tls(port, &[b"h2"])).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let builder = builder.initial_window_size(window);
    let (sender, connection) = soon("HTTP/2", builder.handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A form for the login page, with this number of bytes of padding in its head.
fn form(filler: usize) -> Request<()> {
    let mut request = http2::head(
        "POST",
        "/.portcullis/login",
        &[
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-dest", "document"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://localhost"),
        ],
    );
    for number in 0..filler / 4000 {
        let name = format!("x-filler-{number}");
        let name: http::HeaderName = name.parse().unwrap();
        let value = format!("{number}").repeat(4000);
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

fn begin_to_measure(gateway: &Gateway) -> u64 {
    std::fs::write(format!("/proc/{}/clear_refs", gateway.process_id()), "5").unwrap();
    gateway.memory_kib("VmRSS")
}

/// Opens this number of connections full of streams, each begun by `begin`.
async fn flood(
    port: u16,
    connections: usize,
    window: u32,
    begin: impl Fn(&mut SendRequest<Bytes>) -> Option<Open>,
) -> Vec<(SendRequest<Bytes>, Vec<Open>)> {
    let mut all = Vec::new();
    for _ in 0..connections {
        let mut sender = connect(port, window).await;
        let mut streams = Vec::new();
        for _ in 0..EACH {
            let ready = sender.clone().ready();
            let Ok(Ok(free)) = tokio::time::timeout(Duration::from_secs(2), ready).await else {
                break;
            };
            sender = free;
            streams.extend(begin(&mut sender));
        }
        all.push((sender, streams));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_without_end_are_let_go_and_people_sign_in_meanwhile() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let mut events = open::stream(&gateway.connect_http2().await, &ada.cookie()).await;
    let mut bob = gateway.person("bob", "operator").await.elsewhere();
    let before = begin_to_measure(&gateway);
    let head = form(40_000);
    let streams = flood(gateway.port, 29, 65_535, |sender| {
        let (response, mut body) = sender.send_request(head.clone(), false).ok()?;
        body.send_data(Bytes::from(vec![b'a'; 60_000]), false)
            .ok()?;
        Some((response, body))
    })
    .await;
    let grown = gateway.memory_kib("VmHWM").saturating_sub(before);
    println!("forms without end: {grown} KiB more than {before} KiB");
    assert!(grown < MOST_GROWTH, "{before} KiB and {grown} KiB more");
    // From the very address of the flood.
    bob.sign_in().await;
    assert!(open::goes_on(&mut events).await, "who is signed in");
    let mut told = 0;
    for (_, open) in streams {
        for (response, _body) in open {
            let answered = tokio::time::timeout(Duration::from_millis(1), response).await;
            if let Ok(Ok(answer)) = answered {
                assert_eq!(answer.status(), 503);
                assert!(answer.headers().contains_key("retry-after"));
                told += 1;
            }
        }
    }
    assert!(told > 1000, "{told} were told that they were let go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_not_taken_are_let_go() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut bob = gateway.person("bob", "operator").await.elsewhere();
    let before = begin_to_measure(&gateway);
    let fields = [
        ("sec-fetch-dest", "document"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "none"),
        ("accept", "text/html"),
    ];
    let head = http2::head("GET", "/.portcullis/login", &fields);
    let streams = flood(gateway.port, 100, 0, |sender| {
        sender.send_request(head.clone(), true).ok()
    });
    let streams = streams.await;
    let grown = gateway.memory_kib("VmHWM").saturating_sub(before);
    println!("answers not taken: {grown} KiB more than {before} KiB");
    assert!(grown < MOST_GROWTH, "{before} KiB and {grown} KiB more");
    bob.sign_in().await;
    drop(streams);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_have_so_many_exchanges_with_panels() {
    const OPEN: &str = "[[panel.rule]]\n  path = \"/poll\"\n  allow = \"anyone\"\n";
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", &format!("{OPEN}{RULES}")).await;
    let ada = gateway.person("ada", "operator").await;
    let head = http2::head("GET", "/poll", &[]);
    let streams = flood(gateway.port, 8, 65_535, |sender| {
        sender.send_request(head.clone(), true).ok()
    });
    let streams = streams.await;
    eventually("as many as may", async || {
        (panel.open() == 512).then_some(())
    })
    .await;
    let cookie = ada.cookie();
    let fields = [("cookie", cookie.trim_start_matches("Cookie: "))];
    let shared: Http2 = gateway.connect_http2().await;
    assert_eq!(shared.get("/echo", &fields).await.unwrap().status, 200);
    let refused = Wire::connect(gateway.port)
        .await
        .get("/static/a", &[])
        .await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("have not signed in"),
        "{}",
        refused.text()
    );
    let mut bob = gateway.person("bob", "operator").await.elsewhere();
    bob.sign_in().await;
    drop(streams);
    eventually("the places to be free", async || {
        let answer = Wire::connect(gateway.port)
            .await
            .get("/static/a", &[])
            .await;
        (answer.status == 200).then_some(())
    })
    .await;
}
