//! TLS, HTTP/2, and what is neither.

use h2::client::{Connection as H2, SendRequest};
use rustls::ClientConfig;
use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::clock::Timestamp;

struct Secure {
    server: Server,
    roots: Arc<RootCertStore>,
}

impl Secure {
    fn start(clocks: Clocks) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (pem, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        let now = Timestamp::from_millis(1_790_000_000_000);
        tls::ensure_development_pair(&pem, &key, &["panel.example"], now).unwrap();
        let config = tls::Certificates::load(&pem, &key)
            .unwrap()
            .server_config()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&pem).unwrap())
            .unwrap();
        Self {
            server: Server::start(clocks, Some(config)),
            roots: Arc::new(roots),
        }
    }

    async fn connect(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.connect_as(self.client(protocols)).await
    }

    fn client(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    async fn connect_as(&self, client: Arc<ClientConfig>) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from("panel.example").unwrap();
        let connector = TlsConnector::from(client);
        connector.connect(name, stream).await.unwrap()
    }

    async fn http2(&self) -> (SendRequest<Bytes>, H2<TlsStream<TcpStream>, Bytes>) {
        h2::client::handshake(self.connect(&[b"h2"]).await)
            .await
            .unwrap()
    }
}

fn quick() -> Clocks {
    Clocks {
        handshake: Duration::from_millis(300),
        first_byte: Duration::from_millis(300),
        idle_http2: Duration::from_millis(300),
        ..Clocks::default()
    }
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://panel.example{path}"))
        .body(())
        .unwrap()
}

#[tokio::test]
async fn the_protocol_is_chosen_by_alpn() {
    let secure = Secure::start(Clocks::default());
    for protocols in [&[b"h2".as_slice(), b"http/1.1"][..], &[b"http/1.1"], &[]] {
        let mut stream = secure.connect(protocols).await;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(agreed.as_deref(), protocols.first().copied());
        if agreed.as_deref() == Some(b"h2") {
            continue;
        }
        stream.write_all(b"GET /a HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("GET /a 0"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_comes_again_resumes() {
    let secure = Secure::start(Clocks::default());
    let client = secure.client(&[b"http/1.1"]);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = secure.connect_as(client.clone()).await;
        stream.write_all(b"GET /a HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("GET /a 0"), "{answer}");
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
    }
}

#[tokio::test]
async fn http_2_answers_and_leaves_when_idle() {
    let secure = Secure::start(quick());
    let (mut ask, conn) = secure.http2().await;
    let conn = secure.server.shutdown.spawn(conn);
    let begun = Instant::now();
    let (answer, _) = ask.send_request(get("/slow"), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    timeout(PATIENCE, conn).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(600));
}

#[tokio::test]
async fn a_stream_of_events_keeps_http_2_open() {
    let secure = Secure::start(quick());
    let (mut ask, conn) = secure.http2().await;
    secure.server.shutdown.spawn(conn);
    let (answer, _) = ask.send_request(get("/events"), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let piece = body.data().await.unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_reset_and_no_other() {
    let secure = Secure::start(Clocks {
        write: Duration::from_millis(300),
        ..Clocks::default()
    });
    let stream = secure.connect(&[b"h2"]).await;
    let (mut ask, conn) = h2::client::Builder::new()
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(stream)
        .await
        .unwrap();
    secure.server.shutdown.spawn(conn);
    let (events, _) = ask.send_request(get("/events"), true).unwrap();
    let mut events = events.await.unwrap().into_body();
    let (flood, _) = ask.send_request(get("/flood"), true).unwrap();
    let mut flood = flood.await.unwrap().into_body();
    let begun = Instant::now();
    let ended = async {
        // Taken from the connection, and the window of the stream stays as it is.
        while let Some(Ok(_)) = flood.data().await {}
    };
    timeout(PATIENCE, ended).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let piece = timeout(PATIENCE, events.data()).await.unwrap();
    piece.unwrap().unwrap();
    let (answer, _) = ask.send_request(get("/a"), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_panic_over_http_2_is_answered_and_retires_the_connection() {
    let secure = Secure::start(Clocks::default());
    let (mut ask, conn) = secure.http2().await;
    let conn = secure.server.shutdown.spawn(conn);
    let (other, _) = ask.send_request(get("/slow"), true).unwrap();
    let (answer, _) = ask.send_request(get("/panic"), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!answer.headers().contains_key(CONNECTION));
    assert_eq!(other.await.unwrap().status(), StatusCode::OK);
    drop((ask, answer));
    timeout(PATIENCE, conn).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn the_closer_ends_every_stream_of_a_connection() {
    let secure = Secure::start(Clocks::default());
    let (mut ask, conn) = secure.http2().await;
    secure.server.shutdown.spawn(conn);
    let (other, _) = ask.send_request(get("/never"), true).unwrap();
    let (answer, _) = ask.send_request(get("/close"), true).unwrap();
    assert!(timeout(PATIENCE, answer).await.unwrap().is_err());
    assert!(timeout(PATIENCE, other).await.unwrap().is_err());
    secure.server.shutdown.begin();
    assert!(secure.server.shutdown.finished_within(PATIENCE).await);
}

#[tokio::test]
async fn extended_connect_opens_a_tunnel() {
    let secure = Secure::start(Clocks::default());
    let (ask, conn) = secure.http2().await;
    secure.server.shutdown.spawn(conn);
    let mut ask = ask.ready().await.unwrap();
    while !ask.is_extended_connect_protocol_enabled() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut request = get("/tunnel");
    *request.method_mut() = Method::CONNECT;
    let protocol = h2::ext::Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);
    let (answer, mut sending) = ask.send_request(request, false).unwrap();
    let mut body = answer.await.unwrap().into_body();
    sending
        .send_data(Bytes::from_static(b"hello"), false)
        .unwrap();
    assert_eq!(&body.data().await.unwrap().unwrap()[..], b"hello");
}

#[tokio::test]
async fn half_a_preface_is_closed() {
    let secure = Secure::start(quick());
    for half in ["", "PRI * HTT"] {
        let mut stream = secure.connect(&[b"h2"]).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{half:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed() {
    let secure = Secure::start(quick());
    for half in ["", "\x16\x03\x01"] {
        let begun = Instant::now();
        assert_eq!(secure.server.exchange(half).await, "");
        assert!(begun.elapsed() >= Duration::from_millis(300));
    }
}

#[tokio::test]
async fn plain_http_is_told_to_speak_https() {
    let secure = Secure::start(Clocks::default());
    let answer = secure
        .server
        .exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("speaks HTTPS"), "{answer}");
    assert_eq!(secure.server.asked(), 0);
}

#[tokio::test]
async fn a_shutdown_lets_streams_in_progress_end() {
    let secure = Secure::start(Clocks::default());
    let (mut ask, conn) = secure.http2().await;
    let clients = Shutdown::new();
    let conn = clients.spawn(conn);
    let (answer, _) = ask.send_request(get("/slow"), true).unwrap();
    while secure.server.asked() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    secure.server.shutdown.begin();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    drop(ask);
    timeout(PATIENCE, conn).await.unwrap().unwrap().unwrap();
    assert!(secure.server.shutdown.finished_within(PATIENCE).await);
}
