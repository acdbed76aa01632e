//! The table of calls: method, path, who may, what it takes and gives, and what is done. A call
//! without one of these can't be written down, and the description of the API is made from this same
//! table.

use std::pin::Pin;
use std::sync::Arc;

use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};

use super::member::{Kind, Member};
use super::order::Order;
use super::shape::Shape;
use super::{Verbs, audit, nodes, openapi, people, revocations, sessions, state, tokens};
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
    /// A segment in braces stands for any one.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) says: &'static str,
    pub(super) query: &'static [Member],
    pub(super) body: &'static [Member],
    pub(super) gives: (StatusCode, Shape),
    pub(super) carry_out: fn(Arc<Verbs>, Order) -> Answer,
}

/// What a call comes to.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>>;

const READ: Access = Access::Scope(Scope::Read);
const USERS: Access = Access::Scope(Scope::Users);
pub(super) const REVOKE: Access = Access::Scope(Scope::Revoke);

/// Every call, in the order in which the description shows them.
pub(super) const CALLS: &[Call] = &[
    Call {
        method: Method::POST,
        path: "/v1/users/{user}/password-changed",
        access: REVOKE,
        says: "A password was changed, wherever: every session of the user ends",
        query: &[],
        body: &[
            Member::optional("source", Kind::Line, "where it was changed"),
            Member::optional("reason", Kind::Line, "why"),
            Member::optional(
                "require_new_password",
                Kind::OnlyFalse,
                "not built yet: false is possible",
            ),
        ],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(revocations::password_changed(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/users/{user}/sessions",
        access: REVOKE,
        says: "Ends every session of a user",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(revocations::end_users_sessions(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/sessions",
        access: REVOKE,
        says: "Ends every session of everybody",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(revocations::end_all_sessions(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/sessions/{id}",
        access: REVOKE,
        says: "Ends one session",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(revocations::end_session(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/sessions",
        access: READ,
        says: "The live sessions, the newest first",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Sessions),
        carry_out: |verbs, order| Box::pin(sessions::list(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/users/{user}/sessions",
        access: READ,
        says: "The live sessions of a user, the newest first",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Sessions),
        carry_out: |verbs, order| Box::pin(sessions::list_of_user(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/users",
        access: READ,
        says: "Everybody, by name",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Users),
        carry_out: |verbs, order| Box::pin(people::list(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/users",
        access: USERS,
        says: "Adds a user, with a password or else with a one-time link to set one",
        query: &[],
        body: &[
            Member::needed("name", Kind::UserName, "letters are lowered"),
            Member::needed("role", Kind::Role, "what the user may do"),
            Member::optional("email", Kind::Email, "an address that panels are told"),
            Member::optional(
                "password",
                Kind::Password,
                "without one a set-up link is made",
            ),
        ],
        gives: (StatusCode::CREATED, Shape::UserAdded),
        carry_out: |verbs, order| Box::pin(people::add(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/users/{user}",
        access: READ,
        says: "One user",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::User),
        carry_out: |verbs, order| Box::pin(people::show(verbs, order)),
    },
    Call {
        method: Method::PATCH,
        path: "/v1/users/{user}",
        access: USERS,
        says: "Changes what is given; a change ends every session of the user",
        query: &[],
        body: &[
            Member::optional("role", Kind::Role, "what the user may do"),
            Member::optional(
                "email",
                Kind::EmailOrNone,
                "an address that panels are told",
            ),
            Member::optional("disabled", Kind::Flag, "whether sign-in is refused"),
        ],
        gives: (StatusCode::OK, Shape::User),
        carry_out: |verbs, order| Box::pin(people::edit(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/users/{user}",
        access: USERS,
        says: "Removes a user, and ends every session",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(people::remove(verbs, order)),
    },
    Call {
        method: Method::PUT,
        path: "/v1/users/{user}/password",
        access: USERS,
        says: "Sets a password, and ends every session of the user",
        query: &[],
        body: &[Member::needed(
            "password",
            Kind::Password,
            "judged as on the pages",
        )],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(people::set_password(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/users/{user}/second-factors",
        access: USERS,
        says: "Takes every second factor away, and ends every session; the next sign-in enrols anew",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Revocation),
        carry_out: |verbs, order| Box::pin(people::reset_second_factor(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/users/{user}/setup-link",
        access: USERS,
        says: "Makes a one-time link to set a password; the one before is dead",
        query: &[],
        body: &[],
        gives: (StatusCode::CREATED, Shape::SetupLink),
        carry_out: |verbs, order| Box::pin(people::renew_setup_link(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/tokens",
        access: Access::Owner,
        says: "The management tokens, without their secrets",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Tokens),
        carry_out: |verbs, order| Box::pin(tokens::list(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/tokens",
        access: Access::Owner,
        says: "Makes a management token and shows its secret, this once",
        query: &[],
        body: &[
            Member::needed(
                "name",
                Kind::Word,
                "names it in lists and in the audit list",
            ),
            Member::needed("scopes", Kind::Scopes, "what it is for"),
            Member::optional(
                "expires",
                Kind::Lifetime,
                "how long it lasts; 90 days without",
            ),
            Member::optional(
                "from",
                Kind::Networks,
                "from where it may be used; from anywhere without",
            ),
        ],
        gives: (StatusCode::CREATED, Shape::TokenMade),
        carry_out: |verbs, order| Box::pin(tokens::add(verbs, order)),
    },
    Call {
        method: Method::POST,
        path: "/v1/tokens/{name}/rotate",
        access: Access::Owner,
        says: "Gives a management token a new secret, shown this once; the one before stays good for a while",
        query: &[],
        body: &[
            Member::optional(
                "expires",
                Kind::Lifetime,
                "how long it lasts from now; 90 days without",
            ),
            Member::optional(
                "overlap",
                Kind::Duration,
                "how long the secret before stays good; 24 hours without",
            ),
        ],
        gives: (StatusCode::OK, Shape::TokenMade),
        carry_out: |verbs, order| Box::pin(tokens::rotate(verbs, order)),
    },
    Call {
        method: Method::DELETE,
        path: "/v1/tokens/{name}",
        access: Access::Owner,
        says: "Takes a management token away",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Token),
        carry_out: |verbs, order| Box::pin(tokens::remove(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/audit",
        access: READ,
        says: "The audit list after an entry, oldest first",
        query: &[
            Member::optional(
                "after",
                Kind::Seq,
                "the number of an entry; 0 for the beginning",
            ),
            Member::optional(
                "limit",
                Kind::Number {
                    least: 1,
                    most: 1000,
                },
                "how many at the most; 100 without",
            ),
        ],
        body: &[],
        gives: (StatusCode::OK, Shape::Audit),
        carry_out: |verbs, order| Box::pin(audit::list(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/v1/nodes",
        access: READ,
        says: "The nodes that share the store; none where a gateway has it to itself",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Nodes),
        carry_out: |verbs, order| Box::pin(nodes::list(verbs, order)),
    },
    Call {
        method: Method::GET,
        path: "/metrics",
        access: Access::Scope(Scope::Metrics),
        says: "Numbers for Prometheus, in the text format of OpenMetrics",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Numbers),
        carry_out: |verbs, _| Box::pin(async move { Ok(state::metrics(&verbs)) }),
    },
    Call {
        method: Method::GET,
        path: "/v1/openapi.json",
        access: Access::Anyone,
        says: "This description",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Description),
        carry_out: |_, _| Box::pin(async { Ok(openapi::document()) }),
    },
    Call {
        method: Method::GET,
        path: "/healthz",
        access: Access::Anyone,
        says: "Whether the process is there and answers",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Health),
        carry_out: |_, _| Box::pin(async { Ok(state::alive()) }),
    },
    Call {
        method: Method::GET,
        path: "/readyz",
        access: Access::Anyone,
        says: "Whether it is able to serve, and how the panels are",
        query: &[],
        body: &[],
        gives: (StatusCode::OK, Shape::Readiness),
        carry_out: |verbs, order| Box::pin(state::ready(verbs, order)),
    },
];

/// The call of a method and a path, and the segment that it leaves open, as written there.
///
/// Paths are compared byte for byte, segment by segment: no prefix, no repair, and what is encoded in
/// the open segment is decoded only after the call is found (GHSA-gx7w-56w6-g48x).
///
/// # Errors
/// 400 for a path with dot segments, 404 for one that no call has, 405 for one that other methods have.
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
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(dot_segment());
    }
    let mut allowed = Vec::new();
    for call in CALLS {
        let Some(open) = matches(call.path, path) else {
            continue;
        };
        if call.method == *wanted {
            return Ok((call, open));
        }
        allowed.push(call.method.as_str());
    }
    if allowed.is_empty() {
        return Err(no_such_call());
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

/// Most clients and proxies remove them (RFC 3986 §5.2.4), and then another call is named.
fn dot_segment() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "dot segment in the path").detail(
        "the path has a segment that is \".\" or \"..\", which clients remove before they send it; \
         percent-encode a name that stands in a path (\"%2E%2E\")",
    )
}

fn no_such_call() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such call").detail(
        "the management API has no call with this path; /v1/openapi.json describes them all",
    )
}

/// Whether a path is of this form; inside, the segment that stands for what is in braces.
fn matches<'p>(form: &str, path: &'p str) -> Option<Option<&'p str>> {
    let mut open = None;
    let mut segments = path.split('/');
    for wanted in form.split('/') {
        let segment = segments.next()?;
        if wanted.starts_with('{') && !segment.is_empty() {
            open = Some(segment);
        } else if wanted != segment {
            return None;
        }
    }
    segments.next().is_none().then_some(open)
}
