//! What comes back from panels: odd answers, redirects, closed connections, and every kind of upstream.

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::support::free_port;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Answer;
use crate::support::own_tls::OwnTls;
use crate::support::panel::Panel;
use crate::support::person::Person;
use crate::support::websocket::{HANDSHAKE, WebSocket};

async fn scene() -> (Panel, Gateway, Person) {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    (panel, gateway, ada)
}

/// What `/odd/x` comes to when the panel answers with these bytes.
async fn oddly(panel: &Panel, ada: &Person, bytes: &str) -> Answer {
    panel.answers_oddly("x", bytes);
    ada.connect().await.get("/odd/x", &[&ada.cookie()]).await
}

#[tokio::test]
async fn nonsense_is_a_502_that_names_the_panel_and_has_a_number_for_the_log() {
    let (panel, gateway, mut ada) = scene().await;
    for bytes in [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
        "HTTP/1.1 099 Odd\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "",
    ] {
        let answer = oddly(&panel, &ada, bytes).await;
        assert_eq!(answer.status, 502, "{bytes:?}");
        let problem = answer.json();
        assert_eq!(problem["panel"], "test panel", "{bytes:?}");
        let reference = problem["reference"].as_str().unwrap();
        assert!(
            gateway.log().contains(reference),
            "{bytes:?}: {reference} is not in the log"
        );
        let page = ada.get("/odd/x").await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (502, Some("text/html; charset=utf-8"))
        );
        assert!(page.text().contains("test panel"));
    }
}

#[tokio::test]
async fn a_panel_that_is_down_is_a_502() {
    let gateway = Gateway::at(&format!("http://127.0.0.1:{}", free_port()), "", RULES).await;
    let mut ada = gateway.person("ada", "operator").await;
    let page = ada.get("/").await;
    assert_eq!(page.status, 502);
    assert!(page.text().contains("be reached"), "{}", page.text());
}

#[tokio::test]
async fn answers_come_back_in_the_gateways_own_form() {
    let (panel, _gateway, ada) = scene().await;
    let old = oddly(&panel, &ada, "HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nold").await;
    assert_eq!((old.status, old.text().as_str()), (200, "old"));
    let chatty = "HTTP/1.1 200 OK\r\nConnection: X-Secret, close\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: 2\r\nContent-Length: 2\r\n\r\nok";
    let answer = oddly(&panel, &ada, chatty).await;
    assert_eq!(answer.header("x-kept"), Some("2"));
    for name in ["x-secret", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    let mut wire = ada.connect().await;
    let cookie = ada.cookie();
    let head = wire.request("HEAD", "/echo", &[&cookie], b"").await;
    assert!(
        head.header("content-length")
            .is_some_and(|length| length != "0")
    );
    assert_eq!(
        wire.get("/echo", &[&cookie]).await.status,
        200,
        "on the same connection"
    );
}

#[tokio::test]
async fn redirects_lead_to_where_the_browser_is() {
    let (panel, gateway, mut ada) = scene().await;
    let (inside, outside) = (panel.port, gateway.port);
    for (sent, seen) in [
        (
            format!("http://127.0.0.1:{inside}/a?b#c"),
            format!("https://localhost:{outside}/a?b#c"),
        ),
        (
            format!("http://localhost:{outside}/a"),
            format!("https://localhost:{outside}/a"),
        ),
        ("/a?b#c".to_owned(), "/a?b#c".to_owned()),
        (
            "https://elsewhere.example/".to_owned(),
            "https://elsewhere.example/".to_owned(),
        ),
        (
            format!("http://127.0.0.1:{inside}0/"),
            format!("http://127.0.0.1:{inside}0/"),
        ),
    ] {
        let bytes = format!("HTTP/1.1 302 Found\r\nLocation: {sent}\r\nContent-Length: 0\r\n\r\n");
        panel.answers_oddly("x", bytes);
        let answer = ada.get("/odd/x").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (302, Some(seen.as_str())),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn a_connection_that_the_panel_closed_is_no_failure_and_no_write_is_repeated() {
    let (panel, _gateway, ada) = scene().await;
    let cookie = ada.cookie();
    let mut wire = ada.connect().await;
    panel.answers_oddly("bye", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    for round in 0..100 {
        assert_eq!(
            wire.get("/odd/bye", &[&cookie]).await.status,
            200,
            "round {round}"
        );
        assert_eq!(
            wire.get("/echo", &[&cookie]).await.status,
            200,
            "round {round}"
        );
        assert_eq!(
            wire.get("/odd/bye", &[&cookie]).await.status,
            200,
            "round {round}"
        );
        let target = format!("/echo?write={round}.");
        let written = wire.request("POST", &target, &[&cookie], b"x").await.status;
        let seen = panel.seen_with(&format!("write={round}.")).len();
        assert!(
            seen <= 1 && (written != 200 || seen == 1),
            "round {round}: {written}, seen {seen}"
        );
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_length_in_either_protocol() {
    let (panel, _gateway, ada) = scene().await;
    let answer = "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-Kept: 1\r\n\r\n";
    let seen = oddly(&panel, &ada, answer).await;
    assert_eq!((seen.status, seen.header("content-length")), (204, None));
    let cookie = ada.cookie();
    let (name, value) = cookie.split_once(": ").unwrap();
    let wire = ada.connect_http2().await;
    let fields = [(name.to_lowercase(), value.to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
    let seen = wire.get("/odd/x", &fields).await.unwrap();
    assert_eq!((seen.status, seen.header("content-length")), (204, None));
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[tokio::test]
async fn a_declined_websocket_is_an_answer_and_what_follows_is_judged() {
    let (panel, _gateway, ada) = scene().await;
    let cookie = ada.cookie();
    let mut wire = ada.connect().await;
    let mut fields: Vec<&str> = HANDSHAKE.to_vec();
    fields.extend(["Origin: https://localhost", &cookie]);
    assert_eq!(wire.get("/echo", &fields).await.status, 200);
    assert_eq!(panel.seen_with("/echo")[0].all("upgrade"), ["websocket"]);
    assert_eq!(wire.get("/echo", &[]).await.status, 401, "without a cookie");
    let mut announcing = ada.connect().await;
    let answer = announcing
        .request("GET", "/echo?body", &fields, b"12345")
        .await;
    assert_eq!(answer.status, 400, "a handshake has no body");
    assert!(panel.seen_with("/echo?body").is_empty());
}

#[tokio::test]
async fn a_panel_behind_a_unix_socket() {
    let panel = Panel::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panel.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let port = panel.port;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, port));
        }
    });
    let gateway = Gateway::at(&format!("unix:{}", path.display()), "", RULES).await;
    works(&gateway).await;
}

#[tokio::test]
async fn a_panel_with_a_certificate_of_its_own_authority() {
    let panel = Panel::start().await;
    let own = OwnTls::new();
    let acceptor = own.acceptor.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, inside) = (listener.local_addr().unwrap().port(), panel.port);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    relay(stream, inside).await;
                }
            });
        }
    });
    let upstream = format!("https://localhost:{port}");
    let trusting = format!("upstream_ca = \"{}\"\n{RULES}", own.ca().display());
    let gateway = Gateway::at(&upstream, "", &trusting).await;
    works(&gateway).await;
    let strict = Gateway::at(&upstream, "", RULES).await;
    let mut ada = strict.person("ada", "operator").await;
    assert_eq!(
        ada.get("/echo").await.status,
        502,
        "nobody public has signed it"
    );
}

async fn works(gateway: &Gateway) {
    let mut ada = gateway.person("ada", "operator").await;
    assert_eq!(ada.get("/echo").await.status, 200);
    let mut wire = ada.connect().await;
    let body = vec![7; 300_000];
    let answer = wire.request("POST", "/echo", &[&ada.cookie()], &body).await;
    assert_eq!(answer.status, 200);
    let fields = ["Origin: https://localhost", &ada.cookie()];
    let socket = WebSocket::open(ada.connect().await, "/ws", &fields).await;
    socket.ok().unwrap().check_echo().await;
}

async fn relay(mut stream: impl AsyncRead + AsyncWrite + Unpin, port: u16) {
    if let Ok(mut panel) = TcpStream::connect(("127.0.0.1", port)).await {
        let _ = copy_bidirectional(&mut stream, &mut panel).await;
    }
}
