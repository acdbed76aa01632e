//! The check of load balancers on the listeners for people.

use rustix::process::Signal;

use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::http1::Wire;
use crate::support::panel::Panel;
use crate::support::{eventually, soon};

const PATH: &str = "/.portcullis/health";

#[tokio::test]
async fn a_load_balancer_asks_with_any_host_or_none() {
    let panel = Panel::start().await;
    let plain = free_port();
    let lines = format!("redirect_http = [\"127.0.0.1:{plain}\"]");
    let gateway = Gateway::with_lines(&panel, &lines).await;
    for head in [
        format!("GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        format!("GET {PATH} HTTP/1.1\r\nHost: 10.0.0.9:8443\r\n\r\n"),
        format!("GET {PATH} HTTP/1.1\r\nHost: other.example\r\n\r\n"),
        format!("GET {PATH}?from=balancer HTTP/1.1\r\nHost:\r\n\r\n"),
        format!("GET {PATH} HTTP/1.0\r\n\r\n"),
        format!("OPTIONS {PATH} HTTP/1.0\r\n\r\n"),
        format!("OPTIONS {PATH} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("HEAD {PATH} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET https://x{PATH} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let is_head = head.starts_with("HEAD");
        let in_the_clear = tokio::net::TcpStream::connect(("127.0.0.1", plain));
        let in_the_clear = Wire::over(soon("a connection", in_the_clear).await.unwrap());
        for mut wire in [Wire::connect(gateway.port).await, in_the_clear] {
            wire.send(&head).await;
            let answer = wire.try_answer(is_head).await.expect("an answer");
            assert_eq!(answer.status, 200, "{head}");
            assert_eq!(answer.text(), if is_head { "" } else { "ok\n" }, "{head}");
            // Nothing that tells more than that.
            for field in ["set-cookie", "server", "location", "via"] {
                assert_eq!(answer.header(field), None, "{head}");
            }
        }
    }
    assert!(panel.seen_with(PATH).is_empty());
}

#[tokio::test]
async fn what_only_looks_like_a_check_is_judged_as_any_request() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    for (method, target, status) in [
        ("POST", PATH, 405),
        ("PUT", PATH, 405),
        ("GET", "/.portcullis/health/", 404),
        ("GET", "/.portcullis/Health", 404),
        ("GET", "/.portcullis//health", 404),
        ("GET", "/.portcullis/%68ealth", 404),
        ("GET", "/.portcullis/./health", 400),
    ] {
        let mut wire = Wire::connect(gateway.port).await;
        let answer = wire.request(method, target, &[], b"").await;
        assert_eq!(answer.status, status, "{method} {target}");
    }
    assert!(panel.seen_with("health").is_empty());
}

#[tokio::test]
async fn a_gateway_that_is_about_to_end_is_not_able_to_serve() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::with_lines(&panel, "drain = \"10s\"\ndrain_notice = \"8s\"").await;
    let mut wire = Wire::connect(gateway.port).await;
    assert_eq!(wire.get(PATH, &[]).await.status, 200);
    gateway.signal(Signal::TERM);
    eventually(
        "the check to fail while connections are still taken",
        || async {
            let answer = Wire::connect(gateway.port).await.get(PATH, &[]).await;
            (answer.status == 503).then_some(())
        },
    )
    .await;
    assert_eq!(gateway.ended().await, 0);
}
