//! B: addresses, where a proxy in front of the gateway is trusted. It is at 127.0.0.2; whoever comes
//! from elsewhere is a stranger.

use std::net::SocketAddr;

use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, UnixStream};

use crate::support::gateway::Gateway;
use crate::support::http1::{Answer, Wire, trusting};
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, csrf_of};
use crate::support::{SOON, free_port, soon};

const PROXY: &str = "127.0.0.2";
const STRANGER: &str = "127.0.0.3";
const TRUST: &str = r#"trusted_proxies = ["127.0.0.2/32", "10.0.0.0/8"]"#;

pub(crate) async fn connect_from(from: &str, port: u16) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(SocketAddr::new(from.parse().unwrap(), 0))
        .unwrap();
    let to = SocketAddr::new("127.0.0.1".parse().unwrap(), port);
    soon("a connection", socket.connect(to)).await.unwrap()
}

/// A TLS connection that begins with some bytes before TLS.
pub(crate) async fn tls_after(from: &str, port: u16, introduction: &[u8]) -> Option<Wire> {
    let mut stream = connect_from(from, port).await;
    // Who is turned away may notice here already.
    let sending = tokio::io::AsyncWriteExt::write_all(&mut stream, introduction);
    sending.await.ok()?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = soon("TLS", trusting(&[b"http/1.1"]).connect(name, stream)).await;
    stream.ok().map(Wire::over)
}

/// The address that the panel is told.
async fn told(panel: &Panel, wire: &mut Wire, fields: &[&str]) -> String {
    panel.forget();
    let answer = wire.get("/static/a", fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = panel.seen();
    let head = &seen.last().unwrap().head.to_lowercase();
    let line = head
        .lines()
        .find_map(|line| line.strip_prefix("x-forwarded-for: "));
    line.unwrap().to_owned()
}

fn version_2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
        &[command, family],
        &length,
        payload,
    ]
    .concat()
}

const V4: [u8; 12] = [203, 0, 113, 9, 127, 0, 0, 1, 1, 2, 1, 187];

#[tokio::test]
async fn b4_a_trusted_proxy_is_believed_as_far_as_it_can_see() {
    let panel = Panel::start().await;
    let gateway = Gateway::with_lines(&panel, TRUST).await;
    let mut proxy = tls_after(PROXY, gateway.port, b"").await.unwrap();
    for (field, expected) in [
        ("X-Forwarded-For: 203.0.113.9", "203.0.113.9"),
        ("X-Forwarded-For: evil, 203.0.113.9", "203.0.113.9"),
        (
            "X-Forwarded-For: 127.0.0.1, 203.0.113.9, 10.1.2.3",
            "203.0.113.9",
        ),
        ("X-Forwarded-For: 203.0.113.9, 1.2.3.4:99999", PROXY),
        ("X-Forwarded-For: 2001:db8::9", "2001:db8::9"),
        ("X-Forwarded-For: , , ,", PROXY),
        ("X-Real-IP: 203.0.113.9", "203.0.113.9"),
        ("Forwarded: for=203.0.113.9", "203.0.113.9"),
    ] {
        assert_eq!(
            told(&panel, &mut proxy, &[field]).await,
            expected,
            "{field}"
        );
    }
    let lines = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.2.3"];
    assert_eq!(told(&panel, &mut proxy, &lines).await, "203.0.113.9");
    let mut stranger = tls_after(STRANGER, gateway.port, b"").await.unwrap();
    assert_eq!(told(&panel, &mut stranger, &lines).await, STRANGER);
}

#[tokio::test]
async fn b4_sessions_are_known_by_their_clients() {
    let panel = Panel::start().await;
    let gateway = Gateway::with_lines(
        &panel,
        &format!("{TRUST}\n[second_factor]\nrequired = false"),
    )
    .await;
    gateway.add_with_password("ada");
    let token = gateway.token("read");
    let mut proxy = tls_after(PROXY, gateway.port, b"").await.unwrap();
    let client = "X-Forwarded-For: 2001:db8::9";
    let page = proxy
        .get("/.portcullis/login", &[client, "Accept: text/html"])
        .await;
    let cookies: Vec<&str> = page.all("set-cookie");
    let cookies: Vec<&str> = cookies
        .iter()
        .filter_map(|line| line.split(';').next())
        .collect();
    let form = format!(
        "user=ada&password={}&csrf={}",
        PASSWORD.replace(' ', "+"),
        csrf_of(&page.text())
    );
    let cookie = format!("Cookie: {}", cookies.join("; "));
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let fields = [client, kind, &cookie, "Origin: https://localhost"];
    let answer = proxy
        .request("POST", "/.portcullis/login", &fields, form.as_bytes())
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let sessions = gateway.call(&token, "GET", "/v1/sessions", "").await;
    assert_eq!(
        sessions.json()[0]["address"],
        "2001:db8::9",
        "{}",
        sessions.text()
    );
}

#[tokio::test]
async fn b5_a_trusted_proxy_introduces_its_clients() {
    let panel = Panel::start().await;
    let gateway = Gateway::with_lines(&panel, TRUST).await;
    let forged = ["X-Forwarded-For: 198.51.100.1"];
    let line = b"PROXY TCP4 203.0.113.9 127.0.0.1 1 443\r\n";
    for (introduction, expected) in [
        (line.to_vec(), "203.0.113.9"),
        (version_2(0x21, 0x11, &V4), "203.0.113.9"),
        (version_2(0x20, 0, b""), PROXY),
        (b"PROXY UNKNOWN\r\n".to_vec(), PROXY),
        (
            b"PROXY TCP4 10.1.2.3 127.0.0.1 1 443\r\n".to_vec(),
            "198.51.100.1",
        ),
    ] {
        let mut wire = tls_after(PROXY, gateway.port, &introduction).await.unwrap();
        let name = String::from_utf8_lossy(&introduction);
        assert_eq!(told(&panel, &mut wire, &forged).await, expected, "{name:?}");
    }
}

#[tokio::test]
async fn b5_bad_introductions_and_those_of_strangers_are_closed() {
    let panel = Panel::start().await;
    let gateway = Gateway::with_lines(&panel, TRUST).await;
    let long = [b"PROXY ".as_slice(), &[b'x'; 1_000_000]].concat();
    for (id, bytes) in [
        ("B5.4", long),
        (
            "B5.5",
            version_2(0x21, 0x11, &[V4.as_slice(), &[3, 0, 9]].concat()),
        ),
        ("B5.6", version_2(0x21, 0x11, &[0; 521])),
        ("B5.7", b"PROXY TCP4 203.0.113.9 127.0.0.1 1\r\n".to_vec()),
        ("B5.8", version_2(0x22, 0x11, &V4)),
    ] {
        let mut wire = Wire::over(connect_from(PROXY, gateway.port).await);
        let _ = wire.try_send(&bytes).await;
        assert!(wire.some().await.is_empty(), "{id} is answered");
        wire.closed_within(SOON).await;
    }
    let line = b"PROXY TCP4 203.0.113.9 127.0.0.1 1 443\r\n";
    assert!(
        tls_after(STRANGER, gateway.port, line).await.is_none(),
        "B5.9"
    );
    let block = version_2(0x21, 0x11, &V4);
    assert!(
        tls_after(STRANGER, gateway.port, &block).await.is_none(),
        "B5.10"
    );
    assert!(panel.seen().is_empty());
}

#[tokio::test]
async fn b5_it_can_be_demanded_and_switched_off() {
    let panel = Panel::start().await;
    let line = b"PROXY TCP4 203.0.113.9 127.0.0.1 1 443\r\n";
    let lines = format!("{TRUST}\nproxy_protocol = \"required\"");
    let gateway = Gateway::with_lines(&panel, &lines).await;
    assert!(tls_after(PROXY, gateway.port, b"").await.is_none());
    let mut introduced = tls_after(PROXY, gateway.port, line).await.unwrap();
    assert_eq!(told(&panel, &mut introduced, &[]).await, "203.0.113.9");
    let lines = format!("{TRUST}\nproxy_protocol = \"off\"");
    let gateway = Gateway::with_lines(&panel, &lines).await;
    assert!(tls_after(PROXY, gateway.port, line).await.is_none());
}

async fn over_plain(wire: &mut Wire, scheme: &str) -> Answer {
    let scheme = format!("X-Forwarded-Proto: {scheme}");
    let fields = ["X-Forwarded-For: 203.0.113.9", scheme.as_str()];
    wire.get("/static/a?b=c", &fields).await
}

#[tokio::test]
async fn plain_listeners_are_for_proxies_that_came_over_https() {
    let panel = Panel::start().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("plain.sock");
    let port = free_port();
    let listen = format!(
        r#"listen_plain = ["127.0.0.1:{port}", "unix:{}"]"#,
        socket.display()
    );
    let gateway = Gateway::with_lines(&panel, &format!("{TRUST}\n{listen}")).await;
    let mut over_tcp = Wire::over(connect_from(PROXY, port).await);
    let mut over_unix = Wire::over(UnixStream::connect(&socket).await.unwrap());
    for wire in [&mut over_tcp, &mut over_unix] {
        let field = ["X-Forwarded-For: 203.0.113.9"];
        assert_eq!(told(&panel, wire, &field).await, "203.0.113.9");
        assert_eq!(over_plain(wire, "https").await.status, 200);
        assert_eq!(over_plain(wire, "http, https").await.status, 200);
        panel.forget();
        for scheme in ["http", "HTTP", "ws", "http, http"] {
            let answer = over_plain(wire, scheme).await;
            assert_eq!(answer.status, 308, "{scheme}");
            let expected = format!("https://localhost:{}/static/a?b=c", gateway.port);
            assert_eq!(answer.header("location"), Some(expected.as_str()));
        }
        assert!(panel.seen().is_empty());
    }
    let mut stranger = Wire::over(connect_from(STRANGER, port).await);
    let _ = stranger
        .try_send("GET /static/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(stranger.some().await.is_empty());
    assert!(panel.seen().is_empty());
    let line = "PROXY TCP4 203.0.113.10 127.0.0.1 1 443\r\n";
    let mut introduced = Wire::over(connect_from(PROXY, port).await);
    introduced.send(line).await;
    assert_eq!(told(&panel, &mut introduced, &[]).await, "203.0.113.10");
}

#[tokio::test]
async fn redirecting_listeners_lead_to_the_external_address_and_nowhere_else() {
    let panel = Panel::start().await;
    let port = free_port();
    let gateway =
        Gateway::with_lines(&panel, &format!(r#"redirect_http = ["127.0.0.1:{port}"]"#)).await;
    let external = format!("https://localhost:{}", gateway.port);
    for (method, target, fields, path) in [
        ("GET", "/page?x=1", "Host: localhost", "/page?x=1"),
        ("HEAD", "/static/a", "Host: localhost", "/static/a"),
        ("GET", "/", "Host: evil.example", "/"),
        (
            "GET",
            "//evil.example/x",
            "Host: localhost",
            "//evil.example/x",
        ),
        ("GET", "http://evil.example/x", "Host: evil.example", "/x"),
        ("GET", "/", "X-Forwarded-Host: evil.example", "/"),
        ("HEAD", "/", "Host: localhost", "/"),
    ] {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let answer = Wire::over(stream)
            .request(method, target, &[fields], b"")
            .await;
        assert_eq!(answer.status, 308, "{target}");
        let location = answer.header("location").unwrap();
        assert_eq!(location, format!("{external}{path}"), "{target}");
    }
    assert!(panel.seen().is_empty());
}

#[tokio::test]
async fn what_is_sent_in_the_clear_is_refused_with_a_word() {
    let panel = Panel::start().await;
    let port = free_port();
    let gateway =
        Gateway::with_lines(&panel, &format!(r#"redirect_http = ["127.0.0.1:{port}"]"#)).await;
    for (method, field, body) in [
        ("POST", "X: y", "user=ada&password=x"),
        ("POST", "X: y", ""),
        ("PUT", "Authorization: Bearer pct_x", "{}"),
        ("DELETE", "X: y", ""),
        ("PROPFIND", "X: y", ""),
        ("OPTIONS", "X: y", ""),
        ("GET", "Authorization: Bearer pct_x", ""),
        ("GET", "Authorization: Basic eDp4", ""),
        ("HEAD", "authorization:", ""),
        ("GET", "Proxy-Authorization: Basic eDp4", ""),
        ("GET", "X-Api-Key: x", ""),
        ("GET", "Cookie: a=b; __Host-Http-portcullis=x", ""),
        ("GET", "Upgrade: websocket", ""),
        ("GET", "X: y", "a body"),
    ] {
        for accept in ["Accept: text/html", "Accept: */*"] {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let mut wire = Wire::over(stream);
            let length = format!("Content-Length: {}", body.len());
            let head = format!("{method} /page HTTP/1.1\r\nHost: localhost\r\n{field}\r\n");
            wire.send(format!("{head}{accept}\r\n{length}\r\n\r\n{body}"))
                .await;
            let answer = wire.try_answer(method == "HEAD").await.unwrap();
            assert_eq!(answer.status, 403, "{method} {field}");
            assert_eq!(answer.header("location"), None, "{method} {field}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            let says = answer.text().contains("https://");
            assert!(says || method == "HEAD", "{}", answer.text());
        }
    }
    let log = gateway.log();
    assert_eq!(log.matches("came over plain HTTP").count(), 1, "{log}");
    assert!(panel.seen().is_empty());
}
