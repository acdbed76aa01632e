//! G: the management API, from outside. Each scope against each call, bad bodies and the socket's
//! owner are told in `management::tests`.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::arena::Who::Operator;
use crate::arena::{Arena, Turn};
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::{Answer, Identity, Wire, trusting_as};
use crate::support::panel::Panel;
use crate::support::soon;

const CHANGED: &str = "/v1/users/olga/password-changed";
const JSON: &str = "Content-Type: application/json";

/// A call with the arena's token and these fields.
async fn call(arena: &Arena, method: &str, path: &str, fields: &[&str], body: &str) -> Answer {
    let bearer = format!("Authorization: Bearer {}", arena.management());
    let fields = [&[bearer.as_str()], fields].concat();
    let mut wire = Wire::connect(arena.gateway.management_port).await;
    wire.request(method, path, &fields, body.as_bytes()).await
}

/// Whether the session that the arena keeps is alive, which the attacks want to end.
async fn is_alive(arena: &Arena) -> bool {
    let cookie = format!(
        "Cookie: __Host-Http-portcullis={}",
        arena.token(Operator).unwrap()
    );
    let mut wire = arena.gateway.connect().await;
    wire.get("/page", &[&cookie]).await.status == 200
}

fn is_problem(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{what}"
    );
    assert_eq!(answer.json()["status"], status, "{what}");
}

#[tokio::test]
async fn g1_a_page_cannot_make_a_call() {
    let arena = Turn::next().await;
    for (fields, status) in [
        (&[JSON, "Origin: https://evil.example"][..], 403),
        (&[JSON, "Origin: null"], 403),
        (&[JSON, "Sec-Fetch-Site: cross-site"], 403),
        (&[JSON, "Sec-Fetch-Site: same-origin"], 403),
        (&["Content-Type: text/plain"], 415),
        (&["Content-Type: application/x-www-form-urlencoded"], 415),
        (&["Content-Type: multipart/form-data; boundary=x"], 415),
        (&[], 415),
        (&[JSON, JSON], 415),
    ] {
        let answer = call(&arena, "POST", CHANGED, fields, "{}").await;
        is_problem(&answer, status, &format!("{fields:?}"));
    }
    // A preflight is answered like any other method that is not there, without a word of CORS.
    let preflight = call(&arena, "OPTIONS", CHANGED, &[], "").await;
    is_problem(&preflight, 405, "OPTIONS");
    let allowing = |(name, _): &(String, String)| name.to_lowercase().starts_with("access-control");
    assert!(!preflight.headers.iter().any(allowing));
    assert!(is_alive(&arena).await);
}

#[tokio::test]
async fn g1_calls_are_not_made_where_people_are() {
    let arena = Turn::next().await;
    let bearer = format!("Authorization: Bearer {}", arena.management());
    let mut wire = arena.gateway.connect().await;
    let answer = wire.request("POST", CHANGED, &[&bearer, JSON], b"{}").await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(arena.heads(), Vec::<String>::new());
    assert!(is_alive(&arena).await);
}

#[tokio::test]
async fn g2_only_the_exact_path_is_a_call() {
    let arena = Turn::next().await;
    for path in [
        "/v1/users/olga/password-changed/",
        "/v1/users/olga/password-changed/..",
        "/v1/users/olga/./password-changed",
        "/v1/users/olga%2Fpassword-changed",
        "/v1/users/x/../olga/password-changed",
        "/v1/users/olga;a/password-changed",
        "//v1/users/olga/password-changed",
        "/v1//users/olga/password-changed",
        "/V1/users/olga/password-changed",
        "/v1/%75sers/olga/password-changed",
        "/healthz/../v1/users/olga/password-changed",
    ] {
        let answer = call(&arena, "POST", path, &[JSON], "{}").await;
        // 405: one encoded segment is somebody's name, and names are not posted to.
        assert!(
            matches!(answer.status, 400 | 404 | 405),
            "{path}: {}",
            answer.text()
        );
    }
    for (method, allowed) in [("GET", "POST"), ("PUT", "POST"), ("DELETE", "POST")] {
        let answer = call(&arena, method, CHANGED, &[], "").await;
        is_problem(&answer, 405, method);
        assert_eq!(answer.header("allow"), Some(allowed), "{method}");
    }
    for field in [
        "X-HTTP-Method-Override: DELETE",
        "X-Original-URL: /v1/sessions",
    ] {
        let answer = call(&arena, "GET", "/v1/users/olga/sessions", &[field], "").await;
        assert_eq!(answer.status, 200, "{field}");
    }
    assert!(is_alive(&arena).await);
}

#[tokio::test]
async fn g3_a_token_does_what_it_is_for_until_it_is_taken_away() {
    let arena = Turn::next().await;
    let gateway = &arena.gateway;
    let made = gateway.operator(&["token", "add", "g3", "--scope", "read", "--expires", "90d"]);
    let token = made["token"].as_str().unwrap();
    arena.must_not_leak(token);
    assert_eq!(
        gateway.call(token, "GET", "/v1/users", "").await.status,
        200
    );
    for (method, path, body) in [
        ("POST", CHANGED, "{}"),
        ("DELETE", "/v1/sessions", ""),
        ("DELETE", "/v1/users/olga", ""),
        ("PUT", "/v1/users/olga/password", "{\"password\": \"x\"}"),
        ("GET", "/v1/tokens", ""),
        (
            "POST",
            "/v1/tokens",
            "{\"name\": \"more\", \"scopes\": [\"users\"]}",
        ),
    ] {
        let answer = gateway.call(token, method, path, body).await;
        is_problem(&answer, 403, path);
    }
    gateway.operator(&["token", "remove", "g3"]);
    let answer = gateway.call(token, "GET", "/v1/users", "").await;
    is_problem(&answer, 401, "after it was taken away");
    assert!(is_alive(&arena).await);
}

#[tokio::test]
async fn g4_a_revocation_may_come_twice_and_at_once() {
    let arena = Turn::next().await;
    let person = arena.person("gerda").await;
    let path = "/v1/users/gerda/password-changed";
    let upper = "/v1/users/GERDA/password-changed";
    let ended = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let document = answer.json();
        assert_eq!(document["user"], "gerda");
        assert_eq!(document["durable"], true);
        document["sessions_ended"].as_u64().unwrap()
    };
    let (first, second, third) = tokio::join!(
        call(&arena, "POST", path, &[JSON], "{}"),
        call(&arena, "POST", upper, &[JSON], "{}"),
        call(&arena, "POST", path, &[JSON], "{}"),
    );
    // The one session is counted once, by whichever of them ended it.
    assert_eq!(ended(&first) + ended(&second) + ended(&third), 1);
    let cookie = format!("Cookie: __Host-Http-portcullis={}", person.token());
    let mut wire = arena.gateway.connect().await;
    assert_eq!(wire.get("/page", &[&cookie]).await.status, 401);
    let nobody = "/v1/users/nobody/password-changed";
    let answer = call(&arena, "POST", nobody, &[JSON], "{}").await;
    is_problem(&answer, 404, nobody);
}

#[tokio::test]
async fn g5_g7_what_a_call_says_is_neither_a_log_line_nor_sql() {
    let arena = Turn::next().await;
    for name in [
        "x%0A%7B%22event%22%3A%22login_ok%22%7D",
        "%1B%5B2J",
        "%E2%80%AE",
        "x%00",
        "x'%20OR%20'1'='1",
        "x';DELETE%20FROM%20sessions;--",
        "%25",
        "*",
    ] {
        let path = format!("/v1/users/{name}/password-changed");
        let answer = call(&arena, "POST", &path, &[JSON], "{}").await;
        is_problem(&answer, 404, name);
    }
    let broken = call(&arena, "DELETE", "/v1/users/%zz/sessions", &[], "").await;
    assert!(matches!(broken.status, 400 | 404), "{}", broken.text());
    for body in [
        "{\"source\": \"a\\n{\\\"event\\\": \\\"login_ok\\\"}\"}",
        "{\"reason\": \"\\u001b[2J\"}",
        "{\"reason\": \"\\u0085\"}",
    ] {
        let answer = call(&arena, "POST", CHANGED, &[JSON], body).await;
        is_problem(&answer, 422, body);
        assert_eq!(answer.json()["errors"][0]["field"], answer.json()["field"]);
    }
    let log = arena.gateway.log();
    assert!(!log.contains("\u{1b}[2J") && !log.contains("\n{\"event\""));
    assert!(is_alive(&arena).await);
}

/// An authority of this test, and what it signs.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new one, with its certificate in PEM form.
    fn new() -> (Self, String) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (Self(Issuer::new(params, key)), pem)
    }

    fn identity(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["program.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        (certificate.der().clone(), key.into())
    }
}

/// A call by whoever shows this certificate; `None` when the connection ends without an answer.
async fn users_as(port: u16, token: &str, identity: Option<Identity>) -> Option<Answer> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connector = trusting_as(identity, &[b"http/1.1"]);
    let name = ServerName::try_from("localhost").unwrap();
    let stream = soon("TLS", connector.connect(name, stream)).await.ok()?;
    let bearer = format!("Authorization: Bearer {token}");
    Wire::over(stream)
        .try_request("GET", "/v1/users", &[&bearer], b"")
        .await
}

#[tokio::test]
async fn g3_where_certificates_are_asked_for_a_token_alone_is_not_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, pem) = Authority::new();
    let (theirs, _) = Authority::new();
    let path = folder.path().join("programs.pem");
    std::fs::write(&path, pem).unwrap();
    let panel = Panel::start().await;
    let section = format!("client_ca = \"{}\"", path.display());
    let gateway = Gateway::with(&panel, &section, RULES).await;
    let token = gateway.token("read");
    let port = gateway.management_port;
    for identity in [None, Some(theirs.identity())] {
        let answer = users_as(port, &token, identity).await;
        assert!(answer.is_none(), "{}", answer.unwrap().text());
    }
    let answer = users_as(port, &token, Some(ours.identity())).await.unwrap();
    assert_eq!(answer.json(), Value::Array(Vec::new()));
    // Nor does the certificate stand for a token.
    let answer = users_as(port, "pct_no", Some(ours.identity()))
        .await
        .unwrap();
    is_problem(&answer, 401, "a certificate without a token");
}
