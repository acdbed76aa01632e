//! Management tokens: their ends, where they may be used, their rotation, and administrators out of
//! reach of the scope `users`.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::super::Door;
use super::{Answer, House, LISTENER, house};
use crate::model::UserName;

const DAY: Duration = Duration::from_secs(24 * 3600);
const READ: (&str, &str) = ("GET", "/v1/users");

impl House {
    async fn make_token(&self, members: Value) -> Answer {
        self.call("POST", "/v1/tokens", members).await
    }

    async fn status_of(&self, token: &str, client: &str) -> StatusCode {
        let client: IpAddr = client.parse().unwrap();
        let request = http::Request::builder()
            .method(READ.0)
            .uri(READ.1)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(Door::Listener { client }, request, "")
            .await
            .status
    }

    async fn told(&self, action: &str) -> usize {
        let audit = self.store.audit(0, 1000).await.unwrap();
        audit.iter().filter(|entry| entry.action == action).count()
    }
}

fn secret(answer: &Answer) -> String {
    answer.document["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_ends_after_90_days_unless_something_else_is_said() {
    let house = house().await;
    for (expires, days) in [
        (Value::Null, Some(90)),
        (json!("7d"), Some(7)),
        (json!("never"), None),
    ] {
        let name = format!("t{}", days.unwrap_or(0));
        let made = json!({ "name": name, "scopes": ["read"], "expires": expires });
        let made = house.make_token(made).await;
        let ends = made.document["expires"].as_str().map(str::to_owned);
        let now = house.management.verbs.clock.now();
        let expected = days.map(|days| now.plus(DAY * days).rfc3339());
        assert_eq!(ends, expected, "{}", made.document);
    }
    for wrong in ["", "forever", "0d", "-1d"] {
        let made = json!({ "name": "t", "scopes": ["read"], "expires": wrong });
        assert_eq!(house.make_token(made).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_token_is_good_only_from_its_networks() {
    let house = house().await;
    let from = ["10.0.0.0/8", "192.0.2.7", "fd00::/8"];
    let made = json!({ "name": "t", "scopes": ["read"], "from": from });
    let made = secret(&house.make_token(made).await);
    for (client, status) in [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("192.0.2.7", 200),
        ("fd00::1", 200),
        ("192.0.2.8", 403),
        ("11.0.0.1", 403),
        ("::1", 403),
    ] {
        assert_eq!(house.status_of(&made, client).await, status, "{client}");
    }
    for wrong in ["", "10.0.0.1/8", "localhost", "10.0.0.0/33"] {
        let made = json!({ "name": "u", "scopes": ["read"], "from": [wrong] });
        assert_eq!(house.make_token(made).await.status, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_rotated_token_is_good_under_both_secrets_for_a_while() {
    let house = house().await;
    let made = json!({ "name": "t", "scopes": ["read", "revoke"], "from": ["127.0.0.0/8"] });
    let old = secret(&house.make_token(made).await);
    let rotate = "/v1/tokens/t/rotate";
    let rotated = house.call("POST", rotate, json!({ "overlap": "1h" })).await;
    assert_eq!(rotated.status, StatusCode::OK, "{}", rotated.document);
    assert_eq!(rotated.document["scopes"], json!(["revoke", "read"]));
    let new = secret(&rotated);
    for token in [&old, &new] {
        assert_eq!(house.status_of(token, "127.0.0.1").await, 200);
        assert_eq!(house.status_of(token, "192.0.2.1").await, 403);
    }
    house.hand.advance(Duration::from_secs(3601));
    assert_eq!(house.status_of(&old, "127.0.0.1").await, 401);
    assert_eq!(house.status_of(&new, "127.0.0.1").await, 200);
    // The secret before the last one is dead at once.
    let second = secret(&house.call("POST", rotate, Value::Null).await);
    let third = secret(&house.call("POST", rotate, json!({ "overlap": "0s" })).await);
    for (token, status) in [(&new, 401), (&second, 401), (&third, 200)] {
        assert_eq!(house.status_of(token, "127.0.0.1").await, status);
    }
    assert_eq!(house.told("token-rotated").await, 3);
    house.call("DELETE", "/v1/tokens/t", Value::Null).await;
    assert_eq!(house.status_of(&third, "127.0.0.1").await, 401);
    for (path, body, status) in [
        ("/v1/tokens/nobody/rotate", Value::Null, 404),
        (rotate, json!({ "overlap": "31d" }), 422),
        (rotate, json!({ "overlap": "x" }), 422),
    ] {
        assert_eq!(house.call("POST", path, body).await.status, status);
    }
}

#[tokio::test]
async fn the_last_use_is_kept_and_an_end_is_told_of_once() {
    let house = house().await;
    let made = json!({ "name": "t", "scopes": ["read"], "expires": "90d" });
    let made = secret(&house.make_token(made).await);
    let list = async || house.call("GET", "/v1/tokens", Value::Null).await.document;
    assert_eq!(list().await[0]["last_used"], Value::Null);
    house.status_of(&made, "127.0.0.1").await;
    let used = house.management.verbs.clock.now().rfc3339();
    assert_eq!(list().await[0]["last_used"], used);
    let verbs = &house.management.verbs;
    let number = || verbs.metrics.text().contains("management_tokens_ending 1");
    for (days, told) in [(0, 0), (75, 0), (2, 1), (0, 1), (1, 1)] {
        house.hand.advance(DAY * days);
        verbs.look_at_tokens(false).await.unwrap();
        assert_eq!(house.told("token-ends-soon").await, told, "{days}");
        assert_eq!(number(), told == 1, "{days}");
    }
    house.hand.advance(DAY * 13);
    verbs.look_at_tokens(false).await.unwrap();
    assert!(!number(), "it has ended");
}

/// A call with a body, by a program.
async fn ask(house: &House, token: &str, method: &str, path: &str, body: &Value) -> StatusCode {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {token}"));
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    house.send(LISTENER, request, &body).await.status
}

#[tokio::test]
async fn users_does_not_touch_administrators() {
    let password = json!({ "password": "marble gondola seven" });
    let acts = [
        (
            "POST",
            "/v1/users",
            json!({ "name": "eve", "role": "administrator" }),
        ),
        (
            "POST",
            "/v1/users",
            json!({ "name": "eve", "role": "administrator", "password": "marble gondola seven" }),
        ),
        ("PATCH", "/v1/users/ada", json!({ "role": "administrator" })),
        ("PATCH", "/v1/users/root", json!({ "role": "operator" })),
        (
            "PATCH",
            "/v1/users/root",
            json!({ "email": "eve@example.org" }),
        ),
        ("PATCH", "/v1/users/root", json!({ "disabled": true })),
        ("PUT", "/v1/users/root/password", password),
        ("DELETE", "/v1/users/root/second-factors", Value::Null),
        ("POST", "/v1/users/root/setup-link", Value::Null),
        ("DELETE", "/v1/users/root", Value::Null),
    ];
    for (method, path, body) in acts {
        for (scopes, may) in [
            (vec!["users"], false),
            (vec!["users", "administrators"], true),
        ] {
            let house = house().await;
            house.add("ada").await;
            for name in ["root", "second"] {
                let root = json!({
                    "name": name, "role": "administrator", "password": "plum tractor elbow",
                });
                assert_eq!(house.call("POST", "/v1/users", root).await.status, 201);
            }
            let token = house.token(&scopes).await;
            let before = house.store.people().await.unwrap();
            let status = ask(&house, &token, method, path, &body).await;
            assert_eq!(status.is_success(), may, "{method} {path} {body}: {status}");
            if !may {
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} {body}");
                let after = house.store.people().await.unwrap();
                assert_eq!(format!("{after:?}"), format!("{before:?}"));
            }
        }
    }
}

#[tokio::test]
async fn users_manages_everybody_else_and_administrators_opens_nothing_alone() {
    let house = house().await;
    let token = house.token(&["users"]).await;
    let eve = json!({ "name": "eve", "role": "manager" });
    assert_eq!(ask(&house, &token, "POST", "/v1/users", &eve).await, 201);
    let link = ("POST", "/v1/users/eve/setup-link");
    assert_eq!(ask(&house, &token, link.0, link.1, &Value::Null).await, 201);
    // A link that was made before ends when its holder becomes an administrator.
    let promoted = house
        .call("PATCH", "/v1/users/eve", json!({ "role": "administrator" }))
        .await;
    assert_eq!(promoted.status, StatusCode::OK);
    let eve = UserName::parse("eve").unwrap();
    assert!(house.store.person(&eve).await.unwrap().is_some());
    assert_eq!(ask(&house, &token, link.0, link.1, &Value::Null).await, 403);
    let alone = json!({ "name": "t", "scopes": ["administrators", "read"] });
    assert_eq!(house.make_token(alone).await.status, 422);
}
