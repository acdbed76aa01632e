//! What the fields of trusted proxies say, byte for byte: one reading of client, scheme and host, along
//! the same proxies, and nothing where they contradict each other.

use crate::behind_proxies::{Behind, HTTPS, PROXY, STRANGER, TRUST};
use crate::class_b_proxies::{connect_from, tls_after};
use crate::support::free_port;
use crate::support::gateway::{Gateway, RULES, Written};
use crate::support::http1::Wire;
use crate::support::panel::Panel;

#[tokio::test]
async fn client_and_scheme_are_read_along_the_same_hops() {
    let behind = Behind::a_proxy("", "").await;
    let client = "203.0.113.9";
    for fields in [
        &["X-Forwarded-For: 203.0.113.9", HTTPS][..],
        &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: wss"],
        &["x-forwarded-for: 203.0.113.9", "x-forwarded-proto: WSS"],
        &[
            "X-Forwarded-For: 203.0.113.9, 10.0.0.7",
            "X-Forwarded-Proto: https,http",
        ],
        &[
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-For: 10.0.0.7",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Proto: http",
        ],
        &[
            "X-Forwarded-For: evil, 203.0.113.9:4711, [fd00::7]:80",
            "X-Forwarded-Proto: http, https, http",
        ],
        &["Forwarded: for=203.0.113.9;proto=https"],
        &["Forwarded: For=\"203.0.113.9:4711\"; Proto=HTTPS, for=10.0.0.7;proto=http"],
        &[
            "Forwarded: for=_x",
            "Forwarded: for=203.0.113.9;proto=wss, for=\"[fd00::7]\";proto=http",
        ],
        &["Forwarded: for=\"evil, for=203.0.113.9;proto=https"],
        &["X-Real-IP: 203.0.113.9", HTTPS],
        &["X-Real-IP: ::ffff:203.0.113.9", "X-Forwarded-Ssl: on"],
        &["X-Real-IP: 203.0.113.9", "Front-End-Https: On"],
        &["X-Real-IP: 203.0.113.9", "X-Forwarded-Scheme: https"],
        &[
            "X-Real-IP: 10.0.0.7",
            "X-Forwarded-For: 203.0.113.9, 10.0.0.7",
            HTTPS,
        ],
        // As Traefik writes it for a WebSocket.
        &[
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-Host: localhost",
            "X-Forwarded-Port: 443",
            "X-Forwarded-Proto: wss",
            "X-Forwarded-Server: d3adb33f",
            "X-Real-Ip: 203.0.113.9",
        ],
    ] {
        let (status, told) = behind.ask(fields).await;
        assert_eq!((status, told.as_deref()), (200, Some(client)), "{fields:?}");
    }
    let zone = behind.ask(&["X-Forwarded-For: fe80::1%eth0", HTTPS]).await;
    assert_eq!(zone, (200, Some("fe80::1".to_owned())));
}

/// Fields of a proxy, the status of their answer, and a word that it says.
type Contradiction = (u16, &'static [&'static str], &'static str);

const CONTRADICTIONS: [Contradiction; 11] = [
    (
        400,
        &[
            "X-Forwarded-For: 203.0.113.9",
            "Forwarded: for=1.2.3.4",
            HTTPS,
        ],
        "Forwarded",
    ),
    (
        400,
        &["X-Forwarded-For: 203.0.113.9", "X-Real-IP: 1.2.3.4", HTTPS],
        "X-Real-IP",
    ),
    (
        400,
        &[
            "X-Forwarded-For: 203.0.113.9",
            "Forwarded: for=_hidden",
            HTTPS,
        ],
        "Forwarded",
    ),
    (
        400,
        &["X-Real-IP: 203.0.113.9", "X-Real-IP: 1.2.3.4", HTTPS],
        "X-Real-IP",
    ),
    (
        403,
        &[
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-Proto: https, http",
        ],
        "X-Forwarded-Proto",
    ),
    (403, &["X-Forwarded-Proto: https,http"], "X-Forwarded-Proto"),
    (
        403,
        &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto:"],
        "X-Forwarded-Proto",
    ),
    (
        403,
        &["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: quic"],
        "X-Forwarded-Proto",
    ),
    (
        403,
        &[
            "Forwarded: for=203.0.113.9;proto=https",
            "X-Forwarded-Proto: http",
        ],
        "Forwarded",
    ),
    (
        403,
        &["Forwarded: for=203.0.113.9;proto=http", HTTPS],
        "Forwarded",
    ),
    (
        403,
        &["X-Forwarded-Ssl: on", "X-Forwarded-Proto: http"],
        "X-Forwarded-Ssl",
    ),
];

#[tokio::test]
async fn what_contradicts_itself_goes_nowhere() {
    let behind = Behind::a_proxy("", "").await;
    for (status, fields, word) in CONTRADICTIONS {
        for accept in ["Accept: text/html", "Accept: */*"] {
            let all: Vec<&str> = fields.iter().chain(&[accept]).copied().collect();
            let answer = behind.wire().await.get("/static/a", &all).await;
            assert_eq!(answer.status, status, "{all:?}");
            assert_eq!(answer.header("location"), None, "{all:?}");
            assert!(answer.text().contains(word), "{}", answer.text());
        }
    }
    assert!(behind.panel.seen().is_empty());
    assert_eq!(behind.said("name different clients").await, 1);
    assert_eq!(behind.said("does not tell whether the client").await, 1);
    assert!(behind.gateway.log().contains("refuse:two-clients"));
    // A balancer's check is answered all the same.
    let torn = ["X-Real-IP: 1.2.3.4", "X-Real-IP: 4.3.2.1"];
    let health = behind.wire().await.get("/.portcullis/health", &torn).await;
    assert_eq!(health.status, 200);
}

/// Who asks, for what, with which fields; the status, and the host that the panel is told.
type Named = (
    &'static str,
    &'static str,
    &'static [&'static str],
    u16,
    &'static str,
);

const HOSTS: [Named; 13] = [
    (
        PROXY,
        "/static/a",
        &["Host: gw:8080", "X-Forwarded-Host: localhost"],
        200,
        "localhost",
    ),
    (
        PROXY,
        "/open/a",
        &["Host: gw:8080", "X-Forwarded-Host: second.example"],
        200,
        "second.example",
    ),
    (
        PROXY,
        "/open/a",
        &["Host: gw", "X-Forwarded-Host: evil, Second.Example:444"],
        200,
        "Second.Example:444",
    ),
    (
        PROXY,
        "/open/a",
        &["Host: gw", "Forwarded: host=\"second.example\";proto=https"],
        200,
        "second.example",
    ),
    // Judged as if it had been asked for.
    (
        PROXY,
        "/open/a",
        &["Host: gw", "X-Forwarded-Host: localhost"],
        401,
        "",
    ),
    (
        PROXY,
        "/static/a",
        &["Host: gw", "X-Forwarded-Host: second.example"],
        401,
        "",
    ),
    // The Host names a panel already.
    (
        PROXY,
        "/open/a",
        &["Host: localhost", "X-Forwarded-Host: second.example"],
        401,
        "",
    ),
    (
        PROXY,
        "/static/a",
        &["Host: localhost", "X-Forwarded-Host: second.example"],
        200,
        "localhost",
    ),
    (
        PROXY,
        "/static/a",
        &["Host: gw", "X-Forwarded-Host: other.example"],
        421,
        "",
    ),
    (
        PROXY,
        "/static/a",
        &["Host: gw", "X-Forwarded-Host: local host"],
        421,
        "",
    ),
    (
        PROXY,
        "/static/a",
        &[
            "Host: gw",
            "X-Forwarded-Host: localhost",
            "Forwarded: host=second.example",
        ],
        421,
        "",
    ),
    (
        PROXY,
        "/static/a",
        &["Host: gw", "X-Forwarded-Host: localhost\u{e9}"],
        421,
        "",
    ),
    (
        STRANGER,
        "/static/a",
        &["Host: gw", "X-Forwarded-Host: localhost"],
        421,
        "",
    ),
];

#[tokio::test]
async fn a_forwarded_host_takes_the_place_of_an_unknown_one_alone() {
    let panel = Panel::start().await;
    let plain = free_port();
    let upstream = format!("http://127.0.0.1:{}", panel.port);
    let second = format!(
        "{RULES}[[panel]]\nname = \"second\"\nhost = \"second.example\"\nupstream = \"{upstream}\"\n\
         [[panel.rule]]\npath = \"/open/\"\nallow = [\"anyone\"]\n"
    );
    let mut gateway = Gateway::laid_out(&Written {
        upstream: &upstream,
        lines: &format!("{TRUST}\nlisten_plain = [\"127.0.0.1:{plain}\"]"),
        sections: "",
        rules: &second,
        address: "127.0.0.1".parse().unwrap(),
        external_port: None,
    });
    gateway.start().await;
    for (from, path, fields, status, told) in HOSTS {
        panel.forget();
        let fields: Vec<&str> = fields.iter().chain(&[HTTPS]).copied().collect();
        let answer = if from == PROXY {
            let mut wire = Wire::over(connect_from(from, plain).await);
            wire.get(path, &fields).await
        } else {
            let mut wire = tls_after(from, gateway.port, b"").await.unwrap();
            wire.get(path, &fields).await
        };
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.text());
        let seen = panel.seen();
        let hosts = seen.last().map(|seen| {
            (
                seen.all("host").concat(),
                seen.all("x-forwarded-host").concat(),
            )
        });
        let told = (!told.is_empty()).then(|| (told.to_owned(), told.to_owned()));
        assert_eq!(hosts, told, "{fields:?}");
    }
    let absolute = ["Host: gw", "X-Forwarded-Host: localhost", HTTPS];
    let mut wire = Wire::over(connect_from(PROXY, plain).await);
    let answer = wire.get("http://gw/static/a?b", &absolute).await;
    assert_eq!(answer.status, 200);
    let seen = panel.seen().pop().unwrap();
    assert_eq!(seen.request_line(), "GET /static/a?b HTTP/1.1");
    assert_eq!(seen.all("host"), ["localhost"]);
}

#[tokio::test]
async fn a_page_that_a_proxy_says_nothing_of_is_closed_with_the_field_to_set() {
    let behind = Behind::a_proxy("old_browsers = true", "").await;
    let named = "X-Forwarded-For: 203.0.113.9";
    let head = |fields: &str| {
        format!(
            "GET /.portcullis/login HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n{named}\r\n{fields}\r\n"
        )
    };
    let ask = async |fields: &str| {
        let mut wire = behind.wire().await;
        wire.send(head(fields)).await;
        wire.answer().await
    };
    let silent = ask("").await;
    assert_eq!(silent.status, 403);
    assert!(
        silent.text().contains("set X-Forwarded-Proto"),
        "{}",
        silent.text()
    );
    assert_eq!(ask("X-Forwarded-Proto: https\r\n").await.status, 200);
    let browser =
        "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";
    assert_eq!(ask(browser).await.status, 200);
    assert_eq!(
        behind
            .said("does not say whether its clients come over TLS")
            .await,
        1
    );
}
