//! Calls over a real store: who may, what is answered, and that what is refused changes nothing.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

mod authority;
mod callers;
mod paths;
mod people;
mod tokens;

use super::{Door, Management, Refusals, TokenUses, Verbs};
use crate::clock::{Clock, Hand, Timestamp};
use crate::cluster::Cluster;
use crate::config::{Config, Live};
use crate::credentials::password::Passwords;
use crate::login::Login;
use crate::model::UserName;
use crate::proxy::PanelState;
use crate::revoke::Revoker;
use crate::session::Sessions;
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::{AccessLog, Metrics};
use crate::users::Users;
use crate::wire::{Body, Request};

/// A program at the listener.
const LISTENER: Door = Door::Listener {
    client: IpAddr::V4(Ipv4Addr::LOCALHOST),
};

struct House {
    _folder: tempfile::TempDir,
    management: Management,
    store: Store,
    hand: Hand,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    document: Value,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let text = "[[panel]]\nupstream = \"http://127.0.0.1:1\"";
    let config = Live::new(Config::parse(text, Path::new("test.toml")).unwrap());
    let store = Store::open(folder.path(), clock.clone()).await.unwrap();
    let sessions = Sessions::new(config.now().session, clock.clone());
    let revoker = Revoker::new(
        store.clone(),
        sessions.clone(),
        Cluster::alone(),
        Shutdown::new(),
    );
    let passwords = Passwords::with_costs(64, 1).unwrap();
    let login = Login::new(
        store.clone(),
        sessions.clone(),
        Cluster::alone(),
        passwords.clone(),
        config.clone(),
        clock.clone(),
    );
    let users = Users::new(
        store.clone(),
        revoker.clone(),
        login,
        passwords,
        config.clone(),
        clock.clone(),
    );
    House {
        _folder: folder,
        management: Management::new(Verbs {
            cluster: Cluster::alone(),
            leaving: Shutdown::new(),
            users,
            revoker,
            store: store.clone(),
            sessions,
            config,
            clock,
            access: AccessLog::off(Metrics::default()),
            refusals: Refusals::default(),
            uses: TokenUses::default(),
            metrics: Metrics::default(),
            panels: Box::new(|| {
                let state = |name: &str, up, requests| PanelState {
                    name: name.to_owned(),
                    up,
                    requests,
                };
                vec![state("shop", true, 3), state("back", false, 0)]
            }),
        }),
        store,
        hand,
    }
}

impl House {
    async fn send(&self, door: Door, request: http::request::Builder, body: &str) -> Answer {
        let request: Request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.management.answer_at(door, request).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            // Numbers are no JSON.
            document: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    /// A call by the owner.
    async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(Door::Process, request, &body).await
    }

    /// A call by a program.
    async fn call_with(&self, token: &str, method: &str, path: &str) -> Answer {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {token}"));
        self.send(LISTENER, request, "").await
    }

    async fn token(&self, scopes: &[&str]) -> String {
        let name = format!("t-{}", scopes.join("-"));
        let body = json!({ "name": name, "scopes": scopes, "expires": "90d" });
        let made = self.call("POST", "/v1/tokens", body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.document);
        made.document["token"].as_str().unwrap().to_owned()
    }

    async fn add(&self, name: &str) -> Answer {
        let body = json!({ "name": name, "role": "operator" });
        self.call("POST", "/v1/users", body).await
    }

    async fn generation(&self, name: &str) -> i64 {
        let name = UserName::parse(name).unwrap();
        let user = self.store.user(&name).await.unwrap().unwrap();
        user.generation.number()
    }
}

/// Every call with the scope that it needs; `None` for those of the owner alone.
const CALLS: &[(&str, &str, Option<&str>)] = &[
    ("POST", "/v1/users/ada/password-changed", Some("revoke")),
    ("DELETE", "/v1/users/ada/sessions", Some("revoke")),
    ("DELETE", "/v1/sessions", Some("revoke")),
    ("GET", "/v1/users", Some("read")),
    ("POST", "/v1/users", Some("users")),
    ("PUT", "/v1/users/ada/password", Some("users")),
    ("POST", "/v1/users/ada/setup-link", Some("users")),
    ("DELETE", "/v1/sessions/x", Some("revoke")),
    ("GET", "/v1/sessions", Some("read")),
    ("GET", "/v1/users/ada/sessions", Some("read")),
    ("GET", "/v1/users/ada", Some("read")),
    ("PATCH", "/v1/users/ada", Some("users")),
    ("DELETE", "/v1/users/nobody", Some("users")),
    ("DELETE", "/v1/users/ada/second-factors", Some("users")),
    ("GET", "/v1/audit", Some("read")),
    ("GET", "/v1/nodes", Some("read")),
    ("GET", "/metrics", Some("metrics")),
    ("GET", "/v1/tokens", None),
    ("POST", "/v1/tokens", None),
    ("POST", "/v1/tokens/x/rotate", None),
    ("DELETE", "/v1/tokens/x", None),
];

#[tokio::test]
async fn each_call_asks_for_its_own_scope() {
    let house = house().await;
    house.add("ada").await;
    for held in ["revoke", "users", "read", "metrics"] {
        let token = house.token(&[held]).await;
        for &(method, path, needed) in CALLS {
            let answer = house.call_with(&token, method, path).await;
            let refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(refused, needed != Some(held), "{held} {method} {path}");
        }
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_done() {
    let house = house().await;
    house.add("ada").await;
    let before = house.generation("ada").await;
    let token = house.token(&["revoke", "users", "read"]).await;
    house.hand.advance(Duration::from_secs(91 * 24 * 3600));
    let wrong = format!("pct_{}", "A".repeat(43));
    for (number, (method, path, _)) in (0..).zip(CALLS.iter().copied()) {
        // Each from an address of its own, or they would be too many.
        let client = Ipv4Addr::from_bits(number).into();
        for field in [
            None,
            Some(format!("Bearer {token}")),
            Some(format!("Bearer {wrong}")),
            Some("Bearer".to_owned()),
            Some(format!("Basic {token}")),
        ] {
            let mut request = http::Request::builder().method(method).uri(path);
            if let Some(field) = &field {
                request = request.header(AUTHORIZATION, field);
            }
            let door = Door::Listener { client };
            let answer = house.send(door, request, "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {field:?}");
            assert!(answer.headers.contains_key(WWW_AUTHENTICATE));
            assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json");
        }
    }
    assert_eq!(house.generation("ada").await, before);
}

#[tokio::test]
async fn the_socket_is_its_owners() {
    let house = house().await;
    let own = rustix::process::geteuid().as_raw();
    for (uid, status) in [
        (own, StatusCode::OK),
        (0, StatusCode::OK),
        (own + 1, StatusCode::FORBIDDEN),
    ] {
        let request = http::Request::builder().uri("/v1/users");
        let answer = house.send(Door::Socket { uid }, request, "").await;
        assert_eq!(answer.status, status, "{uid}");
    }
}

#[tokio::test]
async fn a_revocation_answers_the_fields_of_the_contract() {
    let house = house().await;
    house.add("ada").await;
    let before = house.generation("ada").await;
    let body = json!({ "source": "panel", "reason": "forgotten", "require_new_password": false });
    let answer = house
        .call("POST", "/v1/users/ADA/password-changed", body)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let expected = json!({
        "user": "ada", "generation": before + 1, "sessions_ended": 0, "connections_closed": 0,
        "durable": true, "nodes": 1, "nodes_unreached": 0,
    });
    assert_eq!(answer.document, expected);

    let again = house
        .call("DELETE", "/v1/users/%61da/sessions", Value::Null)
        .await;
    assert_eq!(again.document["generation"], before + 2);
    let all = house.call("DELETE", "/v1/sessions", Value::Null).await;
    assert_eq!(all.status, StatusCode::OK);
    assert_eq!(all.document["user"], Value::Null);
    assert_eq!(house.generation("ada").await, before + 3);

    let told = house.store.audit(0, 100).await.unwrap();
    let told = told
        .iter()
        .find(|entry| entry.action == "password-changed-elsewhere");
    assert_eq!(told.unwrap().detail, "in panel: forgotten");
}

#[tokio::test]
async fn bad_bodies_change_nothing() {
    let house = house().await;
    house.add("ada").await;
    let before = house.generation("ada").await;
    let path = "/v1/users/ada/password-changed";
    for (kind, body, status, part) in [
        ("application/json", "{", 400, "as JSON"),
        ("application/json", "[]", 422, "JSON object"),
        ("text/plain", "{}", 415, "application/json"),
        ("application/json", "{\"because\": \"x\"}", 422, "because"),
        ("application/json", "{\"reason\": 1}", 422, "reason"),
        (
            "application/json",
            "{\"require_new_password\": true}",
            422,
            "not built yet",
        ),
        (
            "application/json",
            "{\"require_new_password\": \"yes\"}",
            422,
            "true or false",
        ),
    ] {
        let request = http::Request::builder()
            .method("POST")
            .uri(path)
            .header(CONTENT_TYPE, kind);
        let answer = house.send(Door::Process, request, body).await;
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert_eq!(answer.document["status"], status);
        let detail = answer.document["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{body}: {detail}");
    }
    assert_eq!(house.generation("ada").await, before);
}

#[tokio::test]
async fn nobodys_name_is_not_found() {
    let house = house().await;
    for name in [
        "bob", "a%2Fb", "%ff", "%", "a%20b", "%00", "%2E%2E", "%2e", "--yes",
    ] {
        for (method, path) in [
            ("POST", format!("/v1/users/{name}/password-changed")),
            ("DELETE", format!("/v1/users/{name}/sessions")),
            ("POST", format!("/v1/users/{name}/setup-link")),
        ] {
            let answer = house.call(method, &path, Value::Null).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn users_are_added_and_listed() {
    let house = house().await;
    let added = house.add("Ada").await;
    assert_eq!(added.status, StatusCode::CREATED);
    let url = added.document["setup_url"].as_str().unwrap();
    assert!(url.starts_with("https://localhost:8443/.portcullis/setup?token="));
    assert_eq!(house.add("ada").await.status, StatusCode::CONFLICT);

    let renewed = house
        .call("POST", "/v1/users/ada/setup-link", Value::Null)
        .await;
    assert_eq!(renewed.status, StatusCode::CREATED);
    assert_ne!(renewed.document["setup_url"], added.document["setup_url"]);

    let people = house.call("GET", "/v1/users", Value::Null).await;
    let ada = json!({
        "name": "ada", "role": "operator", "email": null, "disabled": false,
        "locked": false, "second_factors": [], "sessions": 0,
    });
    assert_eq!(people.document, json!([ada]));
}

#[tokio::test]
async fn what_is_wrong_about_a_new_user_is_told_by_field() {
    let house = house().await;
    let bad = json!({ "name": "a b", "role": "boss", "email": "x", "shoe": 1 });
    let answer = house.call("POST", "/v1/users", bad).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors = answer.document["errors"].as_array().unwrap();
    let fields: Vec<&str> = errors
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["name", "role", "email", "shoe"]);

    let weak = json!({ "name": "bob", "role": "operator", "password": "short" });
    let answer = house.call("POST", "/v1/users", weak).await;
    assert_eq!(answer.document["field"], "password");
    let people = house.call("GET", "/v1/users", Value::Null).await;
    assert_eq!(people.document, json!([]));
}

#[tokio::test]
async fn a_password_that_is_set_raises_the_generation() {
    let house = house().await;
    let body = json!({ "name": "ada", "role": "operator", "password": "correct horse battery" });
    let added = house.call("POST", "/v1/users", body).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.document);
    assert_eq!(added.document["setup_url"], Value::Null);
    let before = house.generation("ada").await;
    let path = "/v1/users/ada/password";

    let weak = house
        .call("PUT", path, json!({ "password": "password1234" }))
        .await;
    assert_eq!(weak.status, StatusCode::UNPROCESSABLE_ENTITY);
    let none = house.call("PUT", path, json!({})).await;
    assert_eq!(none.document["field"], "password");
    assert_eq!(house.generation("ada").await, before);

    let good = json!({ "password": "a wholly different one" });
    let answer = house.call("PUT", path, good).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.document["generation"], before + 1);
}

#[tokio::test]
async fn tokens_have_names_scopes_and_an_end() {
    let house = house().await;
    let body = json!({ "name": "ci", "scopes": ["read", "revoke", "read"], "expires": "1d" });
    let made = house.call("POST", "/v1/tokens", body.clone()).await;
    assert_eq!(made.document["scopes"], json!(["revoke", "read"]));
    assert_eq!(made.document["expires"], "2023-11-15T22:13:20Z");
    let again = house.call("POST", "/v1/tokens", body).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    for (bad, field) in [
        (json!({ "scopes": ["read"] }), "name"),
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x", "scopes": ["all"] }), "scopes"),
        (
            json!({ "name": "x", "scopes": ["read"], "expires": "soon" }),
            "expires",
        ),
    ] {
        let answer = house.call("POST", "/v1/tokens", bad).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.document["field"], field);
    }
}

#[tokio::test]
async fn whoever_asks_is_told_that_it_is_alive() {
    let house = house().await;
    let request = http::Request::builder().uri("/healthz");
    let answer = house.send(LISTENER, request, "").await;
    assert_eq!(answer.document, json!({ "status": "ok" }));
}

#[tokio::test]
async fn a_store_that_fails_is_a_revocation_that_is_not_durable() {
    let house = house().await;
    house.add("ada").await;
    let name = UserName::parse("ada").unwrap();
    let user = house.store.user(&name).await.unwrap().unwrap();
    house.store.close().await;
    let event = crate::model::Event::general(
        crate::model::Actor::Operator { uid: 0 },
        crate::model::Action::SessionsEnded,
    );
    let failed = house.management.verbs.revoker.end_user(&user, event).await;
    let failed = failed.map_not_done(crate::users::UsersError::from);
    let problem = super::revocations::answer(Some(&name), failed).unwrap_err();
    assert_eq!(problem.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = problem.into_response().into_body().collect().await.unwrap();
    let document: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
    for (field, value) in [
        ("user", json!("ada")),
        ("generation", json!(user.generation.number())),
        ("sessions_ended", json!(0)),
        ("connections_closed", json!(0)),
        ("durable", json!(false)),
        ("nodes", json!(1)),
        ("nodes_unreached", json!(0)),
    ] {
        assert_eq!(document[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_panel_that_is_down_is_told_of_and_does_not_make_the_gateway_unfit() {
    let house = house().await;
    let answer = house.call("GET", "/readyz", Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK);
    let panels = json!([
        { "name": "shop", "up": true, "requests": 3 },
        { "name": "back", "up": false, "requests": 0 },
    ]);
    assert_eq!(answer.document["panels"], panels);
}
