//! Who calls: what is no single token, and what comes from a browser, is refused.

use http::StatusCode;
use http::header::AUTHORIZATION;

use super::{LISTENER, house};

#[tokio::test]
async fn two_tokens_in_one_call_are_none() {
    let house = house().await;
    let token = house.token(&["read"]).await;
    let request = http::Request::builder()
        .uri("/v1/users")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(AUTHORIZATION, format!("Bearer {token}"));
    let answer = house.send(LISTENER, request, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn browsers_are_refused_even_with_a_token() {
    let house = house().await;
    let token = house.token(&["read"]).await;
    for (name, value) in [
        ("origin", "https://localhost:9443"),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
    ] {
        let request = http::Request::builder()
            .uri("/v1/users")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(name, value);
        let answer = house.send(LISTENER, request, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
}
