//! What a token has asked for is done only while it is good: it may be taken away, or run out, while
//! the body of its call is still on the way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};

use super::super::calls::{Access, CALLS as TABLE};
use super::{CALLS, House, LISTENER, house};
use crate::model::{Action, Actor, Event, FactorKind, SessionId, SessionRecord, UserName};
use crate::session::Token;
use crate::store::change::StartSession;
use crate::wire::{Body, Request};

/// A body that is waited for: it says when, and comes when it is let go.
struct Held {
    is_waited_for: Arc<Notify>,
    rest: oneshot::Receiver<Bytes>,
    is_over: bool,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.is_waited_for.notify_one();
        let rest = std::task::ready!(Pin::new(&mut self.rest).poll(cx));
        self.is_over = true;
        Poll::Ready(
            rest.ok()
                .filter(|rest| !rest.is_empty())
                .map(|rest| Ok(Frame::data(rest))),
        )
    }
}

/// A body with which the call would be carried out.
fn body_of(path: &str, method: &str) -> Value {
    match (method, path) {
        ("POST", "/v1/users") => json!({ "name": "eve", "role": "operator" }),
        ("PUT", _) => json!({ "password": "marble gondola seven" }),
        ("PATCH", _) => json!({ "role": "manager" }),
        ("POST", path) if path.ends_with("password-changed") => json!({ "reason": "x" }),
        _ => Value::Null,
    }
}

/// What becomes of the token while its call is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Removed,
    RunOut,
}

/// Makes a call and, once its body is waited for, lets something become of its token.
async fn held_up(
    house: &House,
    (method, path): (&str, &str),
    scopes: &[&str],
    meanwhile: Meanwhile,
) -> StatusCode {
    let made = json!({ "name": "t", "scopes": scopes, "expires": "1m" });
    let made = house.call("POST", "/v1/tokens", made).await;
    let secret = made.document["token"].as_str().unwrap().to_owned();
    let body = match body_of(path, method) {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let (is_waited_for, (let_go, rest)) = (Arc::new(Notify::new()), oneshot::channel());
    let held = Held {
        is_waited_for: is_waited_for.clone(),
        rest,
        is_over: false,
    };
    let request: Request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(AUTHORIZATION, format!("Bearer {secret}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::new(held))
        .unwrap();
    let calling = house.management.answer_at(LISTENER, request);
    let happening = async {
        is_waited_for.notified().await;
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Removed => {
                let removed = house.call("DELETE", "/v1/tokens/t", Value::Null).await;
                assert_eq!(removed.status, StatusCode::OK);
            }
            Meanwhile::RunOut => house.hand.advance(Duration::from_secs(61)),
        }
        let before = house.facts().await;
        let_go.send(Bytes::from(body)).unwrap();
        before
    };
    let (response, before) = tokio::join!(calling, happening);
    let status = response.status();
    if meanwhile != Meanwhile::Nothing {
        assert_eq!(house.facts().await, before, "{method} {path} {meanwhile:?}");
    }
    status
}

impl House {
    /// What there is, and what was told of it.
    async fn facts(&self) -> String {
        let people = self.store.people().await.unwrap();
        let audit = self.store.audit(0, 1000).await.unwrap();
        format!("{people:?} {audit:?}")
    }

    /// A session of ada, which a call can end.
    async fn session_of_ada(&self) -> String {
        let name = UserName::parse("ada").unwrap();
        let user = self.store.user(&name).await.unwrap().unwrap();
        let now = self.management.verbs.clock.now();
        let record = SessionRecord {
            token: Token::random().hash(),
            id: SessionId::random(),
            user: user.id,
            generation: user.generation,
            created: now,
            last_seen: now,
            address: "192.0.2.1".parse().unwrap(),
            device: "curl".to_owned(),
            second_factor: Some(FactorKind::Totp),
            good_until: None,
        };
        let start = StartSession {
            record: record.clone(),
            max_per_user: 10,
            replaces: None,
            sign_in: None,
            proof: None,
        };
        let event = Event::general(Actor::Gateway, Action::SessionStarted);
        self.store.commit(start, event).await.map(drop).unwrap();
        let sessions = &self.management.verbs.sessions;
        sessions.admit(&record, user).unwrap().id().to_string()
    }
}

#[tokio::test]
async fn no_call_of_a_token_that_has_ended_is_carried_out() {
    let changes = |method: &str| method != "GET";
    let mut tried = 0;
    for &(method, path, scope) in CALLS.iter().filter(|(method, ..)| changes(method)) {
        let Some(scope) = scope else { continue };
        tried += 1;
        for meanwhile in [Meanwhile::Nothing, Meanwhile::Removed, Meanwhile::RunOut] {
            let house = house().await;
            house.add("ada").await;
            house.add("nobody").await;
            let id = house.session_of_ada().await;
            let path = path.replace("/sessions/x", &format!("/sessions/{id}"));
            let status = held_up(&house, (method, &path), &[scope], meanwhile).await;
            match meanwhile {
                Meanwhile::Nothing => assert!(status.is_success(), "{method} {path}: {status}"),
                _ => assert_eq!(
                    status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} {meanwhile:?}"
                ),
            }
        }
    }
    // Every call that changes something and asks for a scope is among them.
    let all = TABLE
        .iter()
        .filter(|call| changes(call.method.as_str()) && matches!(call.access, Access::Scope(_)));
    assert_eq!(tried, all.count());
}
