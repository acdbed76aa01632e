//! Plain HTTP where TLS is spoken, and TLS where plain HTTP is: each answer says what is wrong.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::gateway::Gateway;
use crate::support::http1::{Answer, Wire, tls};
use crate::support::panel::Panel;
use crate::support::{eventually, free_port, soon};

const BROWSER: &str = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n";

/// What is answered to these bytes in the clear.
async fn ask(port: u16, text: &str) -> Answer {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut wire = Wire::over(stream);
    wire.send(text).await;
    let answer = soon("an answer", wire.try_answer(text.starts_with("HEAD "))).await;
    let answer = answer.unwrap_or_else(|| panic!("no answer to {text:?}"));
    assert!(
        wire.some().await.is_empty(),
        "the connection ends: {text:?}"
    );
    answer
}

fn check_page(answer: &Answer, link: &str) {
    let page = answer.text();
    assert_eq!(answer.status, 400, "{page}");
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        page.contains(&format!("href=\"{link}\"")),
        "{link} is not in {page}"
    );
    assert!(
        !page.contains("<script") && !page.contains("evil"),
        "{page}"
    );
    // Nothing else can be loaded from here: the page has all that it needs.
    assert!(!page.contains("/.portcullis/assets/"), "{page}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("style-src 'sha256-"), "{policy}");
    for name in ["x-content-type-options", "referrer-policy", "cache-control"] {
        assert!(answer.header(name).is_some(), "{name}");
    }
    assert_eq!(answer.header("strict-transport-security"), None);
    assert_eq!(answer.header("connection"), Some("close"));
}

#[tokio::test]
async fn a_browser_gets_a_page_that_leads_to_https_and_a_program_a_document() {
    let panel = Panel::start().await;
    let second = format!(
        "[[panel]]\nname = \"second\"\nhost = \"second.test\"\nupstream = \"http://127.0.0.1:{}\"\n",
        panel.port
    );
    let gateway = Gateway::with(&panel, "", &second).await;
    let port = gateway.port;
    let external = format!("https://localhost:{port}");
    for (host, target, version, link) in [
        (
            "localhost",
            "/a?b=1&c",
            "1.1",
            format!("{external}/a?b=1&amp;c"),
        ),
        (
            "second.test",
            "/",
            "1.1",
            format!("https://second.test:{port}/"),
        ),
        ("evil.test", "/x", "1.1", format!("{external}/x")),
        ("evil.test\"><script>", "/x", "1.1", format!("{external}/x")),
        (
            "localhost",
            "http://evil.test/y",
            "1.1",
            format!("{external}/y"),
        ),
        ("", "/old", "1.0", format!("{external}/old")),
    ] {
        let host = match host {
            "" => String::new(),
            host => format!("Host: {host}\r\n"),
        };
        let text = format!("GET {target} HTTP/{version}\r\n{host}{BROWSER}\r\n");
        let answer = ask(port, &text).await;
        check_page(&answer, &link);
    }
    assert!(panel.seen().is_empty());
}

#[tokio::test]
async fn whatever_else_comes_in_the_clear_is_told_the_same() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let port = gateway.port;
    for text in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        "GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nSec-Fetch-Mode: cors\r\n\r\n",
    ] {
        let answer = ask(port, text).await;
        assert_eq!(answer.status, 400, "{text:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let said = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains("this port speaks HTTPS"), "{said}");
    }
    let told = ask(
        port,
        &format!("HEAD / HTTP/1.1\r\nHost: localhost\r\n{BROWSER}\r\n"),
    )
    .await;
    assert_eq!((told.status, told.body.len()), (400, 0));
    // A form that was sent in the clear has been read by others.
    let form = format!(
        "POST /.portcullis/login HTTP/1.1\r\nHost: localhost\r\n{BROWSER}Content-Length: 3\r\n\r\na=b"
    );
    let page = ask(port, &form).await.text();
    assert!(page.contains("change any password or token"), "{page}");
    let line = "malformed:plain-http ";
    eventually("a line", async || {
        gateway.log().contains(line).then_some(())
    })
    .await;
    let mut management = TcpStream::connect(("127.0.0.1", gateway.management_port))
        .await
        .unwrap();
    management
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    soon("an answer", management.read_to_string(&mut text))
        .await
        .unwrap();
    assert!(
        text.starts_with("HTTP/1.1 400 ") && text.contains("this port speaks HTTPS"),
        "{text}"
    );
}

#[tokio::test]
async fn tls_where_plain_http_is_spoken_ends_with_a_line_that_says_so() {
    let panel = Panel::start().await;
    let (plain, redirect) = (free_port(), free_port());
    let lines = format!(
        "listen_plain = [\"127.0.0.1:{plain}\"]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         redirect_http = [\"127.0.0.1:{redirect}\"]"
    );
    let gateway = Gateway::with_lines(&panel, &lines).await;
    for (count, port) in [(1, plain), (2, redirect)] {
        let shaken = soon("the end", tls(port, &[b"h2"])).await;
        assert!(shaken.is_err());
        eventually("a line", async || {
            let log = gateway.log();
            let lines = log.lines().filter(|line| line.contains("malformed:tls "));
            (lines.count() >= count).then_some(())
        })
        .await;
    }
}
