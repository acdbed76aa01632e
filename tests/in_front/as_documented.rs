//! The blocks of `docs/behind-a-proxy.md`, as they stand there save ports and places of files.

use std::process::Command;

use crate::behind::{Behind, HOST};
use crate::document::{PROXIES, block, blocks, put};
use crate::proxy::{Proxy, folder};
use crate::support::free_port;
use crate::visitor::{Visitor, guesses_stop_one, is_served};

const ONE: &str = "127.0.0.3";
const OTHER: &str = "127.0.0.4";

/// Each costs a password hash; `nginx_variants` has as many as are the default.
const FEW: usize = 5;

/// A gateway as the document has it for proxies that write header fields.
async fn behind_fields() -> (Behind, u16) {
    let port = free_port();
    let section = block(PROXIES, "toml", "listen_plain");
    let section = put(&section, "127.0.0.1:8080", &format!("127.0.0.1:{port}"), 1);
    (Behind::start(&section, port, FEW).await, port)
}

fn with_certificate(text: &str, folder: &tempfile::TempDir) -> String {
    let path = folder.path().display();
    let text = put(
        text,
        "/etc/ssl/panel.example.org.pem",
        &format!("{path}/pem"),
        1,
    );
    put(
        &text,
        "/etc/ssl/panel.example.org.key",
        &format!("{path}/key"),
        1,
    )
}

/// Who speaks HTTP/2 to the proxy is served too: curl does.
async fn is_served_over_http2(port: u16) {
    let to = format!("{HOST}:443:127.0.0.1:{port}");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--http2", "--connect-to", &to]);
    curl.args(["--output", "/dev/null"]);
    curl.args(["--write-out", "%{http_version} %{http_code}"]);
    curl.arg(format!("https://{HOST}/static/a"));
    let running = tokio::task::spawn_blocking(move || curl.output().unwrap());
    let curl = running.await.unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout), "2 200");
}

#[tokio::test]
async fn nginx_as_documented() {
    let (behind, gateway) = behind_fields().await;
    let (http, https) = (free_port(), free_port());
    let folder = folder();
    let text = with_certificate(&block(PROXIES, "nginx", "server_name"), &folder);
    let text = put(&text, "listen 80;", &format!("listen {http};"), 1);
    let text = put(&text, "listen 443 ", &format!("listen {https} "), 1);
    let text = put(&text, "127.0.0.1:8080", &format!("127.0.0.1:{gateway}"), 1);
    let _nginx = Proxy::nginx(folder, &text, https).await;
    let plain = Visitor::plain(ONE, http).get("/echo?a=b", &[]).await;
    assert_eq!(plain.status, 308);
    assert_eq!(
        plain.header("location"),
        Some("https://panel.example.org/echo?a=b")
    );
    is_served(Visitor::at(ONE, https), &behind).await;
    assert!(!behind.log().contains("WARN"), "{}", behind.log());
    is_served_over_http2(https).await;
    guesses_stop_one(FEW, Visitor::at(ONE, https), Visitor::at(OTHER, https)).await;
}

#[tokio::test]
async fn caddy_as_documented() {
    let (behind, gateway) = behind_fields().await;
    let (http, https) = (free_port(), free_port());
    let folder = folder();
    let text = with_certificate(&block(PROXIES, "caddyfile", "reverse_proxy"), &folder);
    let text = put(&text, "127.0.0.1:8080", &format!("127.0.0.1:{gateway}"), 1);
    let _caddy = Proxy::caddy(folder, &text, (http, https)).await;
    let plain = Visitor::plain(ONE, http).get("/echo?a=b", &[]).await;
    assert_eq!(plain.status, 308);
    is_served(Visitor::at(ONE, https), &behind).await;
    assert!(!behind.log().contains("WARN"), "{}", behind.log());
    is_served_over_http2(https).await;
    guesses_stop_one(FEW, Visitor::at(ONE, https), Visitor::at(OTHER, https)).await;
}

#[tokio::test]
async fn haproxy_and_the_proxy_protocol_as_documented() {
    let (gateway, https) = (free_port(), free_port());
    let section = block(PROXIES, "toml", "proxy_protocol  = \"required\"");
    let section = put(
        &section,
        "127.0.0.1:8443",
        &format!("127.0.0.1:{gateway}"),
        1,
    );
    let behind = Behind::start(&section, gateway, FEW).await;
    let text = block(PROXIES, "haproxy", "send-proxy-v2");
    let text = put(&text, "bind :443", &format!("bind 127.0.0.1:{https}"), 1);
    let text = put(&text, "127.0.0.1:8443", &format!("127.0.0.1:{gateway}"), 1);
    let _haproxy = Proxy::haproxy(folder(), &text, https).await;
    is_served(Visitor::at(ONE, https), &behind).await;
    is_served_over_http2(https).await;
    guesses_stop_one(FEW, Visitor::at(ONE, https), Visitor::at(OTHER, https)).await;
}

#[test]
fn every_block_of_the_document_is_run() {
    let known = ["toml", "nginx", "caddyfile", "haproxy"];
    let counts = known.map(|language| blocks(PROXIES, language).len());
    // Two of the gateway and two of Traefik; see `traefik`.
    assert_eq!(counts, [4, 1, 1, 1]);
    assert_eq!(
        PROXIES.matches("\n```").count(),
        2 * counts.iter().sum::<usize>()
    );
}
