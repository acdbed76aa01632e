//! Doors that are watched: what a program or a stranger tries at the management API, or with set-up
//! links, leaves a line each, a number, and one entry for a run; and it is limited by address.

use serde_json::Value;

use crate::support::gateway::Gateway;
use crate::support::http1::{Answer, Wire};
use crate::support::panel::Panel;
use crate::support::{eventually, secrets};

const ENTRY: &str = "token-refused";

async fn gateway(sections: &str) -> Gateway {
    let panel = Panel::start().await;
    let sections = format!("[log]\nformat = \"json\"\n{sections}");
    Gateway::with(&panel, &sections, "").await
}

/// The lines of calls, once there is one for each of these answers.
async fn lines(gateway: &Gateway, verdict: &str, least: usize) -> Vec<Value> {
    eventually("a line for each request", async || {
        let log = gateway.log();
        let told = log
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let told: Vec<Value> = told
            .filter(|line: &Value| line["verdict"] == verdict)
            .collect();
        (told.len() >= least).then_some(told)
    })
    .await
}

fn entries(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let mut list = gateway.audit();
    list.retain(|entry| entry["kind"] == kind || entry["action"] == kind);
    list
}

async fn with_field(wire: &mut Wire, field: &str, path: &str) -> Answer {
    wire.request("GET", path, &[field], b"").await
}

#[tokio::test]
async fn wrong_tokens_are_limited_by_address_and_a_right_one_is_never_held_up() {
    let gateway = gateway("[throttle]\nper_address = \"20/15m\"\n").await;
    let token = gateway.token("read,metrics");
    let mut wire = Wire::connect(gateway.management_port).await;
    let mut seen = Vec::new();
    for number in 0..120 {
        // Of every kind: of the right form, of no form, of another scheme, twice the same.
        let field = match number % 4 {
            0 | 1 => format!("Authorization: Bearer pct_{number:043}"),
            2 => format!("Authorization: Bearer {number}"),
            _ => "Authorization: Basic cHJvZzpzZWNyZXQ=".to_owned(),
        };
        let answer = with_field(&mut wire, &field, "/v1/users").await;
        if answer.status == 429 {
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=901).contains(&wait), "{wait}");
        }
        seen.push(answer.status);
        if number % 30 == 29 {
            let right = gateway.call(&token, "GET", "/v1/users", "").await;
            assert_eq!(
                right.status,
                200,
                "held up after {number}: {}",
                right.text()
            );
        }
    }
    let refused = |status| seen.iter().filter(|seen| **seen == status).count();
    assert_eq!((refused(401), refused(429)), (20, 100), "{seen:?}");
    // A line for each, with the number under which it would be asked for.
    let mut told = lines(&gateway, "call", 125).await;
    told.retain(|line| line["path"] == "/v1/users");
    for line in &told {
        assert_eq!(line["client"], "127.0.0.1", "{line}");
        assert_eq!(line["request"].as_str().unwrap().len(), 8, "{line}");
        assert_eq!(line["scope"], "read", "{line}");
    }
    let by = |status: u64| told.iter().filter(|line| line["status"] == status).count();
    assert_eq!((by(401), by(429), by(200)), (20, 100, 4));
    // One entry, however many there were.
    let entries = entries(&gateway, ENTRY);
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert!(entries[0]["detail"].as_str().unwrap().contains("127.0.0.1"));
    let numbers = gateway.call(&token, "GET", "/metrics", "").await.text();
    for number in [
        "portcullis_management_calls_total{result=\"WrongToken\"} 20",
        "portcullis_management_calls_total{result=\"Limited\"} 100",
    ] {
        assert!(numbers.contains(number), "no {number} in {numbers}");
    }
}

#[tokio::test]
async fn every_call_and_every_refusal_of_scope_is_told() {
    let gateway = gateway("").await;
    let made = gateway.operator(&["token", "add", "ci", "--scope", "read"]);
    let token = made["token"].as_str().unwrap();
    secrets::keep(token);
    let answer = gateway.call(token, "GET", "/v1/users", "").await;
    assert_eq!(answer.status, 200);
    for _ in 0..5 {
        let path = "/v1/users/ada/password-changed";
        assert_eq!(gateway.call(token, "POST", path, "").await.status, 403);
        assert_eq!(gateway.call(token, "GET", "/metrics", "").await.status, 403);
    }
    assert_eq!(
        gateway.call(token, "GET", "/v1/tokens", "").await.status,
        403
    );
    assert_eq!(
        gateway.call(token, "GET", "/v1/nowhere", "").await.status,
        404
    );
    let mut wire = Wire::connect(gateway.management_port).await;
    assert_eq!(
        wire.get("/v1/users", &[]).await.status,
        401,
        "no token at all"
    );
    assert_eq!(wire.get("/healthz", &[]).await.status, 200);
    // The call that made the token, over the socket, too.
    let told = lines(&gateway, "call", 16).await;
    let find = |path: &str, status: u64| {
        let found = told
            .iter()
            .find(|line| line["path"] == path && line["status"] == status);
        found.unwrap_or_else(|| panic!("{path} {status} in {told:#?}"))
    };
    assert_eq!(find("/v1/users", 200)["caller"], "token:ci");
    assert_eq!(find("/v1/users", 401)["caller"], Value::Null);
    let refused = find("/metrics", 403);
    assert_eq!(
        (&refused["caller"], &refused["scope"]),
        (&"token:ci".into(), &"metrics".into())
    );
    assert_eq!(find("/v1/tokens", 403)["scope"], "owner");
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(find("/v1/tokens", 201)["caller"], format!("uid:{own}"));
    find("/healthz", 200);
    find("/v1/nowhere", 404);
    // One entry for the run, which names the token and what it lacks.
    let entries = entries(&gateway, ENTRY);
    assert_eq!(entries.len(), 1, "{entries:?}");
    let detail = entries[0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("token:ci") && detail.contains("revoke"),
        "{detail}"
    );
}

#[tokio::test]
async fn wrong_set_up_links_are_limited_and_a_right_one_opens_at_once() {
    let gateway = gateway("[throttle]\nper_address = \"20/15m\"\n").await;
    let added = gateway.operator(&["user", "add", "ada", "--role", "operator"]);
    let url = added["setup_url"].as_str().unwrap();
    let right = &url[url.find("/.portcullis").unwrap()..];
    secrets::keep(right.split_once("token=").unwrap().1);
    let mut wire = gateway.connect().await;
    let mut seen = Vec::new();
    for number in 0..100 {
        let target = format!("/.portcullis/setup?token=wrong{number}");
        let answer = wire.get(&target, &["Accept: text/html"]).await;
        seen.push(answer.status);
    }
    let refused = |status| seen.iter().filter(|seen| **seen == status).count();
    assert_eq!((refused(404), refused(429)), (20, 80), "{seen:?}");
    let opened = wire.get(right, &["Accept: text/html"]).await;
    assert!(opened.status < 400, "{} {}", opened.status, opened.text());
    let entries = entries(&gateway, "setup-link-refused");
    assert_eq!(entries.len(), 1, "{entries:?}");
    let token = gateway.token("metrics");
    let numbers = gateway.call(&token, "GET", "/metrics", "").await.text();
    let number = "portcullis_setup_links_refused_total 100";
    assert!(numbers.contains(number), "no {number} in {numbers}");
}
