//! How the gateway ends, and what its supervisor is told and hands over.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::open::{self, Everything};
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

/// What the default `drain` of ten seconds promises, as containers are killed after ten.
const DRAIN: Duration = Duration::from_secs(10);

/// The ends that the lines of this path have in the access log.
fn ends(gateway: &Gateway, path: &str) -> Vec<String> {
    let log = gateway.log();
    let lines = log
        .lines()
        .filter(|line| line.contains(&format!(" {path} ")));
    lines
        .filter_map(|line| Some(line.rsplit(' ').next()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn with_everything_open_the_end_comes_in_time_and_says_why() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let shared = gateway.connect_http2().await;
    let everything = Everything::open(&ada, &panel, &shared).await;
    let mut stranger = gateway.connect_http2().await;
    stranger.await_extended_connect().await;
    let begun = Instant::now();
    gateway.signal(Signal::TERM);
    let why = (1012, "the gateway restarts");
    everything.ends_for(why, 503, DRAIN).await;
    assert_eq!(gateway.ended().await, 0);
    assert!(begun.elapsed() < DRAIN, "{:?}", begun.elapsed());
    let bytes = [
        ("/ws", 2),
        ("/events", 2),
        ("/poll", 1),
        ("/blob", 2),
        ("/slow-read", 1),
    ];
    for (path, count) in bytes {
        let expected = vec!["cut-gateway-ends"; count];
        assert_eq!(ends(&gateway, path), expected, "{path}");
    }
}

#[tokio::test]
async fn streams_of_events_are_asked_back_with_the_websockets_and_downloads_are_finished() {
    let panel = Panel::start().await;
    let lines = "drain = \"20s\"\ndrain_notice = \"1s\"\nwebsocket_grace = \"1s\"";
    let mut gateway = Gateway::with_lines(&panel, lines).await;
    let ada = gateway.person("ada", "operator").await;
    let shared = gateway.connect_http2().await;
    let mut events = open::stream(&shared, &ada.cookie()).await;
    let mut download = ada.connect().await;
    let length = 50_000_000_u64;
    download
        .send(format!(
            "GET /blob?bytes={length} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
            ada.cookie()
        ))
        .await;
    assert_eq!(download.try_head().await.unwrap().status, 200);
    let begun = Instant::now();
    gateway.signal(Signal::TERM);
    let fault = soon("the end of the events", async {
        loop {
            if let Err(fault) = crate::support::http2::next(&mut events).await {
                return fault;
            }
        }
    })
    .await;
    // A fault of the gateway would be an INTERNAL_ERROR.
    assert_eq!(fault.reason(), Some(h2::Reason::CANCEL), "{fault}");
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "notice and grace"
    );
    let refused = shared.get("/echo", &[]).await.unwrap_err();
    assert!(
        refused.is_go_away() && refused.reason() == Some(h2::Reason::NO_ERROR),
        "{refused}"
    );
    let mut got = 0;
    while got < length {
        let some = download.some().await;
        assert!(!some.is_empty(), "it ended after {got} bytes");
        got += some.len() as u64;
    }
    drop(download);
    assert_eq!(gateway.ended().await, 0);
    assert!(begun.elapsed() < DRAIN, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn whoever_does_not_read_holds_nothing_up() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::with_lines(&panel, "drain = \"3s\"").await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie().trim_start_matches("Cookie: ").to_owned();
    let shared = gateway.connect_http2().await;
    let mut unread = Vec::new();
    for number in 0..4 {
        let target = format!("/blob?bytes=10000000{number}");
        let head = crate::support::http2::head("GET", &target, &[("cookie", &cookie)]);
        let (response, _) = shared.begin(head, true).await;
        unread.push(soon("an answer", response).await.unwrap());
    }
    // A form without an end, by a stranger.
    let mut form = gateway.connect().await;
    form.send(
        "POST /.portcullis/login HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\
         Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n\r\nuser=a",
    )
    .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().await, 0);
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(ends(&gateway, "/blob"), ["cut-gateway-ends"; 4]);
}
