//! Every answer that the gateway gives itself is guarded against a browser that would make more of it
//! than it is; a panel's answer has what the panel gave it.

use std::net::Ipv4Addr;

use tokio::net::TcpStream;

use crate::support::free_port;
use crate::support::gateway::{Gateway, RULES, Written};
use crate::support::http1::{Answer, Wire};
use crate::support::panel::Panel;

const HSTS: &str = "strict-transport-security";

/// With a certificate that was not made for development.
async fn gateway(panel: &Panel, lines: &str) -> Gateway {
    let mut gateway = Gateway::laid_out(&Written {
        upstream: &format!("http://127.0.0.1:{}", panel.port),
        lines,
        sections: "",
        rules: RULES,
        address: Ipv4Addr::LOCALHOST.into(),
        external_port: None,
    });
    let config = gateway.config();
    let folder = config.parent().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("gateway.pem"), pair.cert.pem()).unwrap();
    let key = folder.join("gateway.key");
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, mode).unwrap();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("development = true", "development = false"),
    )
    .unwrap();
    gateway.start().await;
    gateway
}

fn is_guarded(answer: &Answer, hsts: bool, what: &str) {
    let policies = answer.all("content-security-policy");
    assert_eq!(policies.len(), 1, "{what}: {answer:?}");
    assert!(
        policies[0].starts_with("default-src 'none'"),
        "{what}: {policies:?}"
    );
    assert!(
        policies[0].contains("frame-ancestors 'none'"),
        "{what}: {policies:?}"
    );
    assert_eq!(answer.all("x-content-type-options"), ["nosniff"], "{what}");
    assert_eq!(
        answer.all("cross-origin-resource-policy"),
        ["same-origin"],
        "{what}"
    );
    assert_eq!(answer.all("referrer-policy").len(), 1, "{what}: {answer:?}");
    assert_eq!(answer.all("cache-control").len(), 1, "{what}: {answer:?}");
    let told = if hsts {
        vec!["max-age=31536000"]
    } else {
        Vec::new()
    };
    assert_eq!(answer.all(HSTS), told, "{what}: {answer:?}");
}

const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE",
];
const ACCEPTS: [&str; 3] = [
    "Accept: text/html",
    "Accept: application/json",
    "Accept: */*",
];

/// Every page, act and file of the portal, and what is near to them.
const TARGETS: [&str; 18] = [
    "/.portcullis/login",
    "/.portcullis/setup",
    "/.portcullis/setup?token=x",
    "/.portcullis/second-factor",
    "/.portcullis/enrol",
    "/.portcullis/logout",
    "/.portcullis/account",
    "/.portcullis/account/password",
    "/.portcullis/users",
    "/.portcullis/users/ada",
    "/.portcullis/users/ada/password",
    "/.portcullis/audit",
    "/.portcullis/health",
    "/.portcullis/nowhere",
    "/.portcullis/assets/none.css",
    "/.Portcullis/",
    "/page",
    "/../page",
];

async fn ask(mut wire: Wire, method: &str, target: &str, fields: &[&str]) -> Answer {
    let mut head = format!("{method} {target} HTTP/1.1\r\nContent-Length: 0\r\n");
    if !fields.iter().any(|field| field.starts_with("Host:")) {
        head += "Host: localhost\r\n";
    }
    for field in fields {
        head += &format!("{field}\r\n");
    }
    wire.send(head + "\r\n").await;
    wire.try_answer(method == "HEAD").await.expect("an answer")
}

#[tokio::test]
async fn pages_redirects_and_refusals_are_guarded() {
    let panel = Panel::start().await;
    let gateway = gateway(&panel, "").await;
    let ada = gateway.person("ada", "administrator").await;
    let cookie = ada.cookie();
    let opened = "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none";
    for target in TARGETS {
        for method in METHODS {
            for accept in ACCEPTS {
                for fields in [vec![accept], vec![accept, opened]] {
                    let what = format!("{method} {target} {accept}");
                    let answer = ask(gateway.connect().await, method, target, &fields).await;
                    is_guarded(&answer, true, &what);
                }
            }
        }
    }
    // Signed in: what is answered with the account, and a panel that fails.
    for (method, target, status) in [
        ("GET", "/.portcullis/account", 200),
        ("GET", "/.portcullis/users", 200),
        ("POST", "/.portcullis/logout", 415),
        ("GET", "/odd/nothing", 502),
        ("TRACE", "/page", 405),
    ] {
        for accept in ACCEPTS {
            let fields = [accept, cookie.as_str(), opened];
            let answer = ask(gateway.connect().await, method, target, &fields).await;
            assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
            is_guarded(&answer, true, target);
        }
    }
    let elsewhere = ["Host: elsewhere.test", ACCEPTS[0]];
    is_guarded(
        &ask(gateway.connect().await, "GET", "/", &elsewhere).await,
        true,
        "421",
    );
    is_guarded(
        &ask(gateway.connect().await, "OPTIONS", "*", &[]).await,
        true,
        "OPTIONS *",
    );
    let theirs = ask(gateway.connect().await, "GET", "/static/a", &[]).await;
    assert_eq!(theirs.status, 200);
    for field in [
        HSTS,
        "content-security-policy",
        "cross-origin-resource-policy",
        "cache-control",
    ] {
        assert_eq!(
            theirs.header(field),
            None,
            "a panel's answer stays as it is"
        );
    }
}

#[tokio::test]
async fn what_is_said_of_a_malformed_head_is_guarded() {
    let panel = Panel::start().await;
    let plain = free_port();
    let lines = format!("redirect_http = [\"127.0.0.1:{plain}\"]");
    let gateway = gateway(&panel, &lines).await;
    let long = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(70_000)
    );
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "\x16\x03\r\n\r\n",
        &long,
    ] {
        for over_tls in [true, false] {
            let mut wire = match over_tls {
                true => gateway.connect().await,
                false => Wire::over(TcpStream::connect(("127.0.0.1", plain)).await.unwrap()),
            };
            let _ = wire.try_send(head).await;
            let answer = wire.try_answer(false).await.expect(head);
            assert!((400..600).contains(&answer.status), "{head}");
            is_guarded(&answer, over_tls, head);
        }
    }
    for (port, what) in [(gateway.port, "plain HTTP to HTTPS"), (plain, "redirect")] {
        for method in ["GET", "POST"] {
            let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let answer = ask(Wire::over(stream), method, "/x", &[]).await;
            is_guarded(&answer, false, what);
        }
    }
}

#[tokio::test]
async fn calls_are_guarded() {
    let panel = Panel::start().await;
    let gateway = gateway(&panel, "").await;
    let token = gateway.token("read,users,revoke,metrics");
    let bearer = format!("Authorization: Bearer {token}");
    for target in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/v1/openapi.json",
        "/v1/users",
        "/v1/users/ada",
        "/v1/users/ada/password-changed",
        "/v1/sessions/x",
        "/v1/audit",
        "/v1/nodes",
        "/v1/nothing",
        "/",
    ] {
        for method in METHODS {
            for fields in [vec![], vec![bearer.as_str()], vec![ACCEPTS[0]]] {
                let wire = Wire::connect(gateway.management_port).await;
                let answer = ask(wire, method, target, &fields).await;
                is_guarded(&answer, true, &format!("{method} {target}"));
            }
        }
    }
}

#[tokio::test]
async fn browsers_are_told_of_https_alone_where_the_key_says_so() {
    let panel = Panel::start().await;
    let off = gateway(&panel, "hsts = false").await;
    let answer = ask(off.connect().await, "GET", "/page", &[]).await;
    is_guarded(&answer, false, "the key is off");
    let development = Gateway::in_front_of(&panel).await;
    let answer = ask(development.connect().await, "GET", "/page", &[]).await;
    is_guarded(&answer, false, "a development certificate");
}
