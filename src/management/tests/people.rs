//! Accounts, tokens, the audit list and the description, call by call.

use http::StatusCode;
use serde_json::{Value, json};

use super::{CALLS, LISTENER, house};

#[tokio::test]
async fn what_is_described_is_what_answers() {
    let house = house().await;
    let described = house.call("GET", "/v1/openapi.json", Value::Null).await;
    assert_eq!(described.document["openapi"], "3.1.0");
    let paths = described.document["paths"].as_object().unwrap();
    let mut told: Vec<(String, String)> = Vec::new();
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty())
            );
            told.push((method.to_ascii_uppercase(), path.clone()));
        }
    }
    for (method, path, needed) in CALLS {
        let form = |path: &str| path.replace("/nobody", "/ada");
        let found = told.iter().any(|(other, form_of)| {
            let open = form_of
                .replace("{user}", "ada")
                .replace("{id}", "x")
                .replace("{name}", "x");
            method == other && form(path) == open
        });
        assert!(found, "{method} {path} is not described");
        if needed.is_some() {
            assert!(
                told.len() > CALLS.len(),
                "those that anybody may ask are described too"
            );
        }
    }
    assert_eq!(told.len(), CALLS.len() + 3, "{told:?}");
    let text = described.document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(
            described.document["components"]["schemas"]
                .get(name)
                .is_some(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_user_is_shown_changed_and_removed() {
    let house = house().await;
    house.add("ada").await;
    let ada = "/v1/users/ada";
    let before = house.generation("ada").await;
    let changes = json!({ "role": "manager", "email": "ada@example.org" });
    let changed = house.call("PATCH", ada, changes.clone()).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.document);
    assert_eq!(changed.document["role"], "manager");
    assert_eq!(changed.document["email"], "ada@example.org");
    assert_eq!(
        house.call("GET", ada, Value::Null).await.document,
        changed.document
    );
    assert_eq!(house.generation("ada").await, before + 1);
    house.call("PATCH", ada, changes).await;
    assert_eq!(
        house.generation("ada").await,
        before + 1,
        "it was so already"
    );
    let cleared = house.call("PATCH", ada, json!({ "email": null })).await;
    assert_eq!(cleared.document["email"], Value::Null);
    for (body, field) in [
        (json!({ "role": "king" }), "role"),
        (json!({ "email": "nobody" }), "email"),
        (json!({ "disabled": "yes" }), "disabled"),
        (json!({ "name": "bob" }), "name"),
    ] {
        let refused = house.call("PATCH", ada, body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.document["field"], field);
    }
    let removed = house.call("DELETE", ada, Value::Null).await;
    assert_eq!(removed.status, StatusCode::OK, "{}", removed.document);
    for method in ["GET", "DELETE"] {
        assert_eq!(
            house.call(method, ada, Value::Null).await.status,
            StatusCode::NOT_FOUND
        );
    }
}

#[tokio::test]
async fn tokens_are_listed_without_secrets_and_taken_away() {
    let house = house().await;
    let secret = house.token(&["read"]).await;
    let listed = house.call("GET", "/v1/tokens", Value::Null).await;
    assert_eq!(listed.document[0]["name"], "t-read");
    assert_eq!(listed.document[0]["scopes"], json!(["read"]));
    assert!(listed.document[0]["expires"].as_str().is_some());
    assert!(!listed.document.to_string().contains("pct_"));
    assert_eq!(
        house.call_with(&secret, "GET", "/v1/users").await.status,
        StatusCode::OK
    );
    let removed = house.call("DELETE", "/v1/tokens/t-read", Value::Null).await;
    assert_eq!(removed.status, StatusCode::OK);
    let refused = house.call_with(&secret, "GET", "/v1/users").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let again = house.call("DELETE", "/v1/tokens/t-read", Value::Null).await;
    assert_eq!(again.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_audit_list_is_read_on_from_an_entry() {
    let house = house().await;
    for name in ["ada", "bob", "eve"] {
        house.add(name).await;
    }
    let all = house.call("GET", "/v1/audit", Value::Null).await.document;
    let subjects: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["subject"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["ada", "bob", "eve"]);
    assert_eq!(all[0]["action"], "user-added");
    assert_eq!(all[0]["actor"], "operator");
    let path = format!("/v1/audit?after={}&limit=1", all[0]["seq"]);
    let rest = house.call("GET", &path, Value::Null).await.document;
    assert_eq!(rest.as_array().unwrap().len(), 1);
    assert_eq!(rest[0], all[1]);
    for query in [
        "after=-1",
        "after=x",
        "limit=0",
        "limit=1001",
        "limit=1&limit=2",
        "before=3",
    ] {
        let refused = house
            .call("GET", &format!("/v1/audit?{query}"), Value::Null)
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(refused.document["detail"].as_str().is_some());
    }
}

#[tokio::test]
async fn it_is_alive_and_ready() {
    let house = house().await;
    for path in ["/healthz", "/readyz"] {
        let request = http::Request::builder().uri(path);
        let answer = house.send(LISTENER, request, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.document["status"], "ok");
    }
    house.store.close().await;
    // It is written once a second at the most.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let answer = house.call("GET", "/readyz", Value::Null).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
