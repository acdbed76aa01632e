//! HTTP/1.1 without TLS.

use super::*;

/// Clocks that tests can wait for.
fn quick() -> Clocks {
    Clocks {
        first_byte: Duration::from_millis(300),
        head: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        write: Duration::from_millis(300),
        ..Clocks::default()
    }
}

fn server() -> Server {
    Server::start(Clocks::default(), None)
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = Server::start(quick(), None);
    let begun = Instant::now();
    assert_eq!(server.exchange("").await, "");
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn half_a_head_is_answered_and_closed() {
    let server = Server::start(quick(), None);
    for half in ["G", "PRI * HTT", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n"] {
        let answer = server.exchange(half).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{half:?}: {answer}");
        assert!(answer.contains("not complete in time"), "{answer}");
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_head_that_drips_does_not_gain_time() {
    let server = Server::start(quick(), None);
    let mut client = server.connect().await;
    let begun = Instant::now();
    for byte in b"GET / HTT" {
        let _ = client.stream.write_all(&[*byte]).await;
        tokio::time::sleep(PAUSE).await;
    }
    assert!(client.rest().await.starts_with("HTTP/1.1 408 "));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_connection_stays_for_the_next_request_and_then_goes() {
    let server = Server::start(quick(), None);
    let mut client = server.connect().await;
    for path in ["/a", "/b"] {
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        client.until(&format!("GET {path} 0")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn an_exchange_in_progress_has_no_clock_of_reading() {
    let server = Server::start(quick(), None);
    let mut client = server.connect().await;
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        client.until("data: x\n\n").await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = server();
    let answer = server
        .exchange(
            "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n\
             POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
             GET /second HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n\
             GET /never-read HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    let places: Vec<usize> = [
        "slow",
        "POST /first 3",
        "GET /second 0",
        "HTTP/1.1 400 ",
        "a `#`",
    ]
    .iter()
    .map(|text| answer.find(text).expect(text))
    .collect();
    assert!(places.is_sorted(), "{answer}");
    assert!(!answer.contains("never-read"));
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn requests_cut_anywhere_are_answered_alike() {
    let server = server();
    let text = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n\
                GET /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for cut in 1..text.len() {
        let mut client = server.connect().await;
        client.stream.set_nodelay(true).unwrap();
        let (start, rest) = text.split_at(cut);
        client.send(start).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        client.send(rest).await;
        let answer = client.rest().await;
        assert!(answer.contains("POST /a 5"), "cut at {cut}: {answer}");
        assert!(answer.contains("GET /b 0"), "cut at {cut}: {answer}");
    }
}

#[tokio::test]
async fn a_refused_head_is_answered_with_a_sentence() {
    let server = server();
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(HEAD_LIMIT)
    );
    let cases = [
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400", "has a `#`"),
        ("GET / HTTP/1.1\r\n\r\n", "400", "Host field is missing"),
        ("GET / HTTP/1.1\nHost: a\n\n", "400", "LF without CR"),
        (
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            "501",
            "forward proxy",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", "speaks HTTP/1.1"),
        ("HTTP/0.9\r\n", "400", "request line"),
        (&long, "431", "larger than 64 KiB"),
        ("\x16\x03\x01\x02\x00\x01\x00", "400", "TLS was spoken"),
    ];
    for (text, status, sentence) in cases {
        let answer = server.exchange(text).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{text:?}: {answer}"
        );
        assert!(
            answer.contains("connection: close\r\n"),
            "{text:?}: {answer}"
        );
        assert!(
            answer.contains("application/problem+json"),
            "{text:?}: {answer}"
        );
        assert!(answer.contains(sentence), "{text:?}: {answer}");
    }
    let answer = server
        .exchange("HEAD /a#b HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn the_answer_to_a_refused_head_survives_what_the_client_still_sends() {
    let server = server();
    let mut text = String::from(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    text.push_str(&"x".repeat(500_000));
    let answer = server.exchange(text).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn every_byte_in_a_target_gets_an_answer_with_a_body() {
    let server = server();
    for byte in 0..=255_u8 {
        let text = [
            b"GET /a".as_slice(),
            &[byte],
            b"b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ];
        let answer = server.exchange(text.concat()).await;
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        assert!(
            body.is_some_and(|body| !body.is_empty()),
            "{byte:#04x}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_not_read_is_not_taken_for_a_request() {
    let server = server();
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3000);
    let answer = server
        .exchange(format!(
            "POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.ends_with("no"),
        "{answer}"
    );
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_broken_chunk_ends_the_connection_after_the_answer() {
    let server = server();
    let head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "+3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n",
        "0x3\r\n",
        "3\nabc\r\n0\r\n\r\n",
    ] {
        let text = format!("{head}{body}GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = server.exchange(text).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert!(!answer.contains("/next"), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn expect_continue_is_answered() {
    let server = server();
    let mut client = server.connect().await;
    client
        .send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        .await;
    client.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("abc").await;
    client.until("POST /a 3").await;
}

#[tokio::test]
async fn a_tunnel_gets_the_bytes_right_behind_the_head() {
    let server = server();
    let mut client = server.connect().await;
    client
        .send("GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n\x01#\nearly")
        .await;
    client.until("HTTP/1.1 101 ").await;
    client.until("\x01#\nearly").await;
    client.send("GET / later\n").await;
    client.until("GET / later\n").await;
}

#[tokio::test]
async fn what_follows_an_upgrade_that_is_not_granted_is_a_request() {
    let server = server();
    let answer = server
        .exchange(
            "GET /slow HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n\
             GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert!(
        answer.contains("slow") && answer.ends_with("GET /second 0"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_panic_is_answered_and_ends_its_connection_only() {
    let server = server();
    let answer = server
        .exchange("GET /panic HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains("\"reference\":"), "{answer}");
    assert!(!answer.contains("/next"), "{answer}");
    let answer = server.exchange("GET /a HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("GET /a 0"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_as_broken() {
    let server = server();
    // HTTP/1.0: the body would end with the connection.
    let mut client = server.connect().await;
    client.send("GET /broken HTTP/1.0\r\n\r\n").await;
    let ended = timeout(PATIENCE, client.stream.read_to_end(&mut client.read))
        .await
        .unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_closer_ends_a_connection_whose_peer_does_not_read() {
    for path in ["/close", "/flood-and-close"] {
        let server = server();
        let mut client = server.connect().await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        tokio::time::sleep(PAUSE * 4).await;
        server.shutdown.begin();
        assert!(server.shutdown.finished_within(PAUSE).await, "{path}");
        // Nor does the kernel go on delivering what it held.
        let ended = timeout(PATIENCE, client.stream.read_to_end(&mut client.read)).await;
        assert_eq!(
            ended.unwrap().unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_is_cut_off() {
    let server = Server::start(quick(), None);
    let mut client = server.connect().await;
    client.send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = timeout(PATIENCE, client.stream.read_to_end(&mut client.read))
        .await
        .unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_exchange() {
    let server = server();
    let mut client = server.connect().await;
    client.send("GET /never HTTP/1.1\r\nHost: a\r\n\r\n").await;
    while server.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(client);
    server.shutdown.begin();
    assert!(server.shutdown.finished_within(PATIENCE).await);
}

#[tokio::test]
async fn a_shutdown_lets_exchanges_in_progress_end() {
    let server = server();
    let mut idle = server.connect().await;
    idle.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    idle.until("GET /a 0").await;
    let mut busy = server.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    while server.asked() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.shutdown.begin();
    assert_eq!(idle.rest().await, "");
    let answer = busy.rest().await;
    assert!(
        answer.contains("connection: close") && answer.ends_with("slow"),
        "{answer}"
    );
    assert!(server.shutdown.finished_within(PATIENCE).await);
}

#[tokio::test]
async fn a_unix_socket_tells_whose_process_asks() {
    #[derive(Clone)]
    struct Who;
    impl Handler for Who {
        async fn handle(&self, connection: Arc<Connection>, _: Request<Received>) -> Response {
            said(StatusCode::OK, &format!("{:?}", connection.owner()))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let shutdown = Shutdown::new();
    let listener = bind_unix(&path, &mut Handed::default()).unwrap();
    let entrance = entrance(Who, None, Clocks::default(), &shutdown);
    shutdown.spawn(serve_unix(listener, entrance));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert!(answer.ends_with(&format!("Some({own})")), "{answer}");
}
