//! Which call a method and a path mean, and that near ones mean none.

use http::header::ALLOW;
use http::{Method, StatusCode};

use super::super::calls::find;

#[test]
fn paths_match_whole() {
    for (method, path, user) in [
        (Method::POST, "/v1/users/ada/password-changed", Some("ada")),
        (Method::DELETE, "/v1/users/a%2Fb/sessions", Some("a%2Fb")),
        (Method::DELETE, "/v1/sessions", None),
        (Method::GET, "/v1/users", None),
        (Method::HEAD, "/healthz", None),
    ] {
        let found = find(&method, path).map(|(_, user)| user);
        assert_eq!(found.ok(), Some(user), "{method} {path}");
    }
}

#[test]
fn near_paths_are_not_found() {
    for path in [
        "/",
        "",
        "*",
        "/v1",
        "/v1/users/",
        "/v1/users//sessions",
        "//v1/users",
        "/v1//users",
        "/v1/users/ada/password-changed/",
        "/v1/users/ada/b/sessions",
        "/V1/users",
        "/v1/%75sers",
        "/healthz/",
        "/v1/sessions;x",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
            let status = find(&method, path).err().map(|problem| problem.status());
            assert_eq!(status, Some(StatusCode::NOT_FOUND), "{method} {path}");
        }
    }
}

#[test]
fn a_dot_segment_names_no_call() {
    for path in [
        "/v1/users/../sessions",
        "/v1/users/./sessions",
        "/v1/users/ada/password-changed/..",
        "/v1/users/..",
        "/../v1/users",
        "/./healthz",
        "/v1/tokens/..",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let status = find(&method, path).err().map(|problem| problem.status());
            assert_eq!(status, Some(StatusCode::BAD_REQUEST), "{method} {path}");
        }
    }
    let encoded = find(&Method::DELETE, "/v1/users/%2E%2E/sessions").map(|(_, user)| user);
    assert_eq!(encoded.ok(), Some(Some("%2E%2E")));
}

#[test]
fn other_methods_are_told_the_right_ones() {
    for (method, path, allowed) in [
        (Method::GET, "/v1/users/ada/password-changed", "POST"),
        (Method::DELETE, "/v1/users", "GET, POST, HEAD"),
        (Method::OPTIONS, "/v1/sessions", "DELETE, GET, HEAD"),
        (Method::POST, "/healthz", "GET, HEAD"),
    ] {
        let problem = find(&method, path).err().unwrap();
        assert_eq!(problem.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(problem.headers()[ALLOW], allowed, "{path}");
    }
}
