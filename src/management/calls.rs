//! The table of calls: method, path, who may, and what is done. A call without one of these can't be
//! written down.

use std::pin::Pin;
use std::sync::Arc;

use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};

use super::order::Order;
use super::{Verbs, people, revocations, tokens};
use crate::model::Scope;
use crate::wire::{Problem, Response};

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever has a token with this scope, and the owner.
    Scope(Scope),
    /// The owner alone, at the socket.
    Owner,
    Anyone,
}

/// One call of the API.
pub(super) struct Call {
    pub(super) method: Method,
    /// `{user}` stands for one segment.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) carry_out: fn(Arc<Verbs>, Order) -> Answer,
}

/// What a call comes to.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

const CALLS: &[Call] = &[
    Call {
        method: Method::POST,
        path: "/v1/users/{user}/password-changed",
        access: Access::Scope(Scope::Revoke),
        carry_out: |verbs, order| Box::pin(revocations::password_changed(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/users/{user}/sessions",
        access: Access::Scope(Scope::Revoke),
        carry_out: |verbs, order| Box::pin(revocations::end_users_sessions(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/sessions",
        access: Access::Scope(Scope::Revoke),
        carry_out: |verbs, order| Box::pin(revocations::end_all_sessions(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/users",
        access: Access::Scope(Scope::Read),
        carry_out: |verbs, order| Box::pin(people::list(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/users",
        access: Access::Scope(Scope::Users),
        carry_out: |verbs, order| Box::pin(people::add(verbs, order)),
    },
    Call {
        method: Method::PUT,
        path: "/v1/users/{user}/password",
        access: Access::Scope(Scope::Users),
        carry_out: |verbs, order| Box::pin(people::set_password(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/users/{user}/setup-link",
        access: Access::Owner,
        carry_out: |verbs, order| Box::pin(people::renew_setup_link(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/tokens",
        access: Access::Owner,
        carry_out: |verbs, order| Box::pin(tokens::add(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/healthz",
        access: Access::Anyone,
        carry_out: |_, _| Box::pin(async { Ok(super::alive()) }),
    },
];

/// The call of a method and a path, and the user whom the path names, as written there.
///
/// Paths are compared byte for byte, segment by segment: no prefix, no repair, and what is encoded in
/// the user's segment is decoded only after the call is found (GHSA-gx7w-56w6-g48x).
///
/// # Errors
/// 404 for a path that no call has, 405 for one that other methods have.
pub(super) fn find<'p>(
    method: &Method,
    path: &'p str,
) -> Result<(&'static Call, Option<&'p str>), Problem> {
    // Answers to HEAD are those to GET without a body (RFC 9110 §9.3.2); hyper leaves it out.
    let wanted = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let mut allowed = Vec::new();
    for call in CALLS {
        let Some(user) = matches(call.path, path) else {
            continue;
        };
        if call.method == *wanted {
            return Ok((call, user));
        }
        allowed.push(call.method.as_str());
    }
    if allowed.is_empty() {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such call")
            .detail("the management API has no call with this path"));
    }
    if allowed.contains(&Method::GET.as_str()) {
        allowed.push(Method::HEAD.as_str());
    }
    let allowed = allowed.join(", ");
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
        .detail(format!("this path is for {allowed}"));
    Err(match HeaderValue::try_from(allowed) {
        Ok(allowed) => problem.header(ALLOW, allowed),
        Err(_) => problem,
    })
}

/// Whether a path is of this form; inside, the segment that stands for the user.
fn matches<'p>(form: &str, path: &'p str) -> Option<Option<&'p str>> {
    let mut user = None;
    let mut segments = path.split('/');
    for wanted in form.split('/') {
        let segment = segments.next()?;
        if wanted == "{user}" && !segment.is_empty() {
            user = Some(segment);
        } else if wanted != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "/v1/users/ada/password-changed/..",
            "/v1/users/ada%2Fsessions",
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
    fn other_methods_are_told_the_right_ones() {
        for (method, path, allowed) in [
            (Method::GET, "/v1/users/ada/password-changed", "POST"),
            (Method::DELETE, "/v1/users", "GET, POST, HEAD"),
            (Method::OPTIONS, "/v1/sessions", "DELETE"),
            (Method::POST, "/healthz", "GET, HEAD"),
        ] {
            let problem = find(&method, path).err().unwrap();
            assert_eq!(problem.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert_eq!(problem.headers()[ALLOW], allowed, "{path}");
        }
    }
}
