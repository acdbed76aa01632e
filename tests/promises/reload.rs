//! A changed configuration and a renewed certificate, taken up while people work.

use std::fs;

use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http1::{Wire, tls};
use crate::support::panel::Panel;

/// Changes the configuration as an editor does: another file in the place of the old one.
fn edit(gateway: &Gateway, from: &str, to: &str) {
    let path = gateway.config();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    let draft = path.with_extension("draft");
    fs::write(&draft, text.replace(from, to)).unwrap();
    fs::rename(draft, path).unwrap();
}

async fn logged(gateway: &Gateway, what: &str) {
    eventually(what, async || gateway.log().contains(what).then_some(())).await;
}

#[tokio::test]
async fn a_new_rule_holds_for_the_next_request_and_nothing_open_drops() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut socket = ada.websocket().await;
    let mut kept = ada.connect().await;
    let cookie = ada.cookie();
    assert_eq!(kept.get("/echo", &[&cookie]).await.status, 200);

    let rule = "[[panel.rule]]\n  path = \"/echo\"\n  allow = [\"administrator\"]\n  [[panel.rule]]\n  path  = \"/static/\"";
    edit(&gateway, "[[panel.rule]]\n  path  = \"/static/\"", rule);
    logged(&gateway, "the configuration has changed").await;
    assert_eq!(
        kept.get("/echo", &[&cookie]).await.status,
        403,
        "on the same connection"
    );
    assert_eq!(ada.get("/page").await.status, 200, "the session lives");
    socket.check_echo().await;
}

#[tokio::test]
async fn a_faulty_configuration_changes_nothing_and_is_told() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    edit(&gateway, "workers = 2", "workers = 2\nwrokers = 3");
    logged(&gateway, "the configuration stays as it was").await;
    assert!(gateway.log().contains("wrokers"), "{}", gateway.log());
    assert_eq!(ada.get("/page").await.status, 200);

    // What is mended is taken up; what needs a restart is named.
    edit(&gateway, "wrokers = 3", "connections = 500");
    logged(&gateway, "in force only after a restart").await;
    assert_eq!(ada.get("/page").await.status, 200);
}

#[tokio::test]
async fn a_hangup_takes_up_limits_and_another_panel() {
    let (panel, other) = (Panel::start().await, Panel::start().await);
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    assert_eq!(ada.get("/page").await.status, 200);
    let [from, to] = [&panel, &other].map(|panel| format!("http://127.0.0.1:{}", panel.port));
    edit(&gateway, &from, &to);
    gateway.hang_up();
    logged(&gateway, "the configuration has changed").await;
    let before = panel.seen().len();
    assert_eq!(ada.get("/page").await.status, 200);
    assert_eq!(panel.seen().len(), before);
    assert_eq!(other.seen().len(), 1);

    edit(
        &gateway,
        "[management]",
        "[session]\nidle_timeout = \"1s\"\n[management]",
    );
    let (port, cookie) = (gateway.port, ada.cookie());
    eventually("the session to end", async || {
        // Longer than the session may be idle, or each look would keep it alive.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let answer = Wire::connect(port).await.get("/page", &[&cookie]).await;
        (answer.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sessions_without_the_factor_that_is_asked_for_now_end() {
    let panel = Panel::start().await;
    let sections = "[second_factor]\nrequired = false";
    let gateway = Gateway::with(&panel, sections, "").await;
    gateway.add_with_password("ada");
    let port = gateway.port;
    let token = crate::support::person::with_the_password_alone(port, "ada").await;
    let cookie = format!("Cookie: __Host-Http-portcullis={}", token.unwrap());
    let status = async || {
        Wire::connect(port)
            .await
            .get("/page", &[&cookie])
            .await
            .status
    };
    assert_eq!(status().await, 200);
    edit(&gateway, "required = false", "required = true");
    eventually("the session to end", async || {
        (status().await == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_renewed_certificate_serves_the_next_handshake_and_a_broken_one_does_not() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let shown = async || {
        let stream = tls(gateway.port, &[b"http/1.1"]).await.ok()?;
        let (_, connection) = stream.get_ref();
        Some(connection.peer_certificates()?.first()?.to_vec())
    };
    let first = shown().await.unwrap();
    let mut kept = gateway.connect().await;
    let [certificate, key] = ["gateway.pem", "gateway.key"].map(|name| gateway.folder().join(name));

    let good = fs::read(&key).unwrap();
    fs::write(&key, "no key at all").unwrap();
    logged(&gateway, "the certificate stays as it was").await;
    assert_eq!(shown().await.unwrap(), first);
    fs::write(&key, good).unwrap();

    let fresh = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&certificate, fresh.cert.pem()).unwrap();
    fs::write(&key, fresh.signing_key.serialize_pem()).unwrap();
    eventually("the new certificate", async || {
        shown()
            .await
            .filter(|now| *now == fresh.cert.der().to_vec())
    })
    .await;
    let page = kept.get("/.portcullis/login", &["Accept: text/html"]).await;
    assert_eq!(page.status, 200, "what was open stays open");
}
