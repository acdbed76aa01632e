//! Traefik is not in Debian, so it is not run here: whether it takes its blocks is not tried, save that they
//! are TOML with the names of its reference. What it sends is tried, byte for byte as its documentation
//! has it (X-Forwarded-For, -Host, -Port, -Proto, -Server and X-Real-Ip; `wss` for a WebSocket).

use crate::behind::Behind;
use crate::document::{PROXIES, block, put};
use crate::support::free_port;
use crate::support::http1::Wire;
use crate::support::websocket::WebSocket;
use crate::visitor::Visitor;

fn parsed(words: &str) -> toml::Value {
    toml::from_str(&block(PROXIES, "toml", words)).unwrap()
}

#[test]
fn its_blocks_name_what_they_mean() {
    let at = |value: &toml::Value, path: &str| {
        let place = path
            .split('/')
            .try_fold(value, |value, key| match key.parse::<usize>() {
                Ok(index) => value.get(index),
                Err(_) => value.get(key),
            });
        place.unwrap_or_else(|| panic!("no {path}")).clone()
    };
    let fixed = parsed("# traefik.toml");
    assert_eq!(at(&fixed, "entryPoints/web/address").as_str(), Some(":80"));
    let to = at(&fixed, "entryPoints/web/http/redirections/entryPoint/to");
    assert!(fixed["entryPoints"].get(to.as_str().unwrap()).is_some());
    at(
        &fixed,
        "entryPoints/websecure/transport/respondingTimeouts/readTimeout",
    );
    let dynamic = parsed("# panel.toml");
    let router = at(&dynamic, "http/routers/panel");
    assert!(
        router["rule"]
            .as_str()
            .unwrap()
            .contains("`panel.example.org`")
    );
    assert!(router.get("tls").is_some());
    for entry in router["entryPoints"].as_array().unwrap() {
        assert!(fixed["entryPoints"].get(entry.as_str().unwrap()).is_some());
    }
    for middleware in router["middlewares"].as_array().unwrap() {
        let name = middleware.as_str().unwrap();
        let fields = at(
            &dynamic,
            &format!("http/middlewares/{name}/headers/customRequestHeaders"),
        );
        let removed = fields.as_table().unwrap();
        assert!(
            removed.contains_key("Forwarded")
                && removed.values().all(|text| text.as_str() == Some(""))
        );
    }
    let service = router["service"].as_str().unwrap();
    let server = at(
        &dynamic,
        &format!("http/services/{service}/loadBalancer/servers/0/url"),
    );
    assert_eq!(server.as_str(), Some("http://127.0.0.1:8080"));
}

#[tokio::test]
async fn what_it_sends_is_read() {
    let port = free_port();
    let section = block(PROXIES, "toml", "listen_plain");
    let section = put(&section, "127.0.0.1:8080", &format!("127.0.0.1:{port}"), 1);
    let behind = Behind::start(&section, port, 30).await;
    let traefik = Visitor::plain("127.0.0.1", port);
    let sent = |proto: &'static str| {
        [
            "Host: panel.example.org",
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-Host: panel.example.org",
            "X-Forwarded-Port: 443",
            proto,
            "X-Forwarded-Server: 5f2d1c0b9a8e",
            "X-Real-Ip: 203.0.113.9",
        ]
    };
    let ask = async |fields: &[&str]| {
        let mut wire: Wire = traefik.connect().await;
        wire.get("/static/a", fields).await.status
    };
    assert_eq!(ask(&sent("X-Forwarded-Proto: https")).await, 200);
    assert_eq!(behind.told("x-forwarded-for"), "203.0.113.9");
    // Behind another Traefik that it trusts.
    let mut two = sent("X-Forwarded-Proto: https").to_vec();
    two[1] = "X-Forwarded-For: 203.0.113.9, 127.0.0.1";
    assert_eq!(ask(&two).await, 200);
    assert_eq!(behind.told("x-forwarded-for"), "203.0.113.9");
    let mut socket = sent("X-Forwarded-Proto: wss").to_vec();
    socket.push("Origin: https://panel.example.org");
    let refused = WebSocket::open(traefik.connect().await, "/static/ws", &socket).await;
    // Whether the panel has one there or not: it was not led to what it asked for.
    if let Err(answer) = refused {
        assert_ne!(answer.status, 308, "{}", answer.text());
    }
    let clear = sent("X-Forwarded-Proto: http");
    assert_eq!(ask(&clear).await, 308);
    assert!(!behind.log().contains("WARN"), "{}", behind.log());
}
