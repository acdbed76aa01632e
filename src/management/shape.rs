//! What calls answer, as the description tells it.

use serde_json::{Value, json};

use crate::model::{Role, Scope};

/// What an answer is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Revocation,
    Session,
    Sessions,
    User,
    Users,
    UserAdded,
    SetupLink,
    Token,
    Tokens,
    TokenMade,
    AuditEntry,
    Audit,
    Node,
    Nodes,
    Health,
    Readiness,
    Description,
    Numbers,
    Problem,
}

impl Shape {
    /// Those that have a name in the description.
    pub(super) const ALL: [Self; 19] = [
        Self::Revocation,
        Self::Session,
        Self::Sessions,
        Self::User,
        Self::Users,
        Self::UserAdded,
        Self::SetupLink,
        Self::Token,
        Self::Tokens,
        Self::TokenMade,
        Self::AuditEntry,
        Self::Audit,
        Self::Node,
        Self::Nodes,
        Self::Health,
        Self::Readiness,
        Self::Description,
        Self::Numbers,
        Self::Problem,
    ];

    pub(super) fn name(self) -> String {
        format!("{self:?}")
    }

    /// The type of an answer that is like this.
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Numbers => "application/openmetrics-text",
            _ => "application/json",
        }
    }

    /// A reference to it.
    pub(super) fn reference(self) -> Value {
        json!({ "$ref": format!("#/components/schemas/{self:?}") })
    }

    /// Its schema. Every member is always there, but for those of a problem.
    pub(super) fn schema(self) -> Value {
        let list = |of: Self| json!({ "type": "array", "items": of.reference() });
        match self {
            Self::Revocation => whole(&[
                ("user", text_or_null("of everybody: null")),
                ("generation", json!({ "type": ["integer", "null"] })),
                ("sessions_ended", count()),
                ("connections_closed", count()),
                ("durable", json!({ "type": "boolean" })),
                ("nodes", count()),
                ("nodes_unreached", count()),
            ]),
            Self::Session => whole(&[
                ("id", text("not the token")),
                ("user", text("a name")),
                ("created", time()),
                ("last_seen", time()),
                ("expires", time()),
                ("address", text("from where the person signed in")),
                ("device", text("browser and system in words")),
                ("second_factor", text_or_null("its kind")),
                ("connections", counted("open on the node that answers")),
            ]),
            Self::User => whole(&user()),
            Self::UserAdded => {
                let link = ("setup_url", text_or_null("null when a password was given"));
                whole(&[user().as_slice(), &[link]].concat())
            }
            Self::SetupLink => whole(&[
                ("name", text("whose it is")),
                ("setup_url", text("shown this once")),
            ]),
            Self::Token => whole(&token()),
            Self::TokenMade => {
                let secret = ("token", text("the secret, shown this once"));
                whole(&[token().as_slice(), &[secret]].concat())
            }
            Self::AuditEntry => whole(&[
                ("seq", count()),
                ("at", time()),
                ("actor", text("who did it")),
                ("action", text("what was done")),
                ("subject", text_or_null("to whom")),
                ("detail", text("in words")),
                (
                    "request",
                    text_or_null("the number of the request that did it, as in the access log"),
                ),
            ]),
            Self::Node => whole(&node()),
            Self::Health => whole(&[("status", ok())]),
            Self::Readiness => readiness(),
            Self::Description => json!({ "type": "object", "required": ["openapi", "paths"] }),
            Self::Numbers => text("one number a line"),
            Self::Problem => problem(),
            Self::Sessions => list(Self::Session),
            Self::Users => list(Self::User),
            Self::Tokens => list(Self::Token),
            Self::Audit => list(Self::AuditEntry),
            Self::Nodes => list(Self::Node),
        }
    }
}

fn ok() -> Value {
    json!({ "type": "string", "enum": ["ok"] })
}

fn readiness() -> Value {
    let panel = whole(&[
        ("name", text("as it is configured")),
        (
            "up",
            json!({ "type": "boolean", "description": "requests are sent to it" }),
        ),
        ("requests", count()),
    ]);
    let panels = json!({ "type": "array", "items": panel });
    let cluster = json!({
        "type": ["object", "null"],
        "description": "where this node stands among those that share the store",
        "properties": {
            "lag": count(), "lease_age_ms": count(), "store_latency_ms": json!({ "type": "number" }),
        },
    });
    whole(&[
        ("status", ok()),
        ("store", ok()),
        ("panels", panels),
        ("cluster", cluster),
    ])
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457",
        "properties": {
            "title": text("what kind of problem"),
            "status": { "type": "integer" },
            "detail": text("what is wrong, and what would be right"),
            "field": text("the first member that is wrong"),
            "reference": text("a number to find it by in the log"),
        },
        "required": ["title", "status"],
    })
}

fn user() -> [(&'static str, Value); 7] {
    let roles = Role::ALL.map(Role::as_str);
    [
        ("name", text("in its one spelling")),
        ("role", json!({ "type": "string", "enum": roles })),
        ("email", text_or_null("an address that panels are told")),
        ("disabled", json!({ "type": "boolean" })),
        ("locked", json!({ "type": "boolean" })),
        (
            "second_factors",
            json!({ "type": "array", "items": { "type": "string" } }),
        ),
        ("sessions", count()),
    ]
}

fn node() -> [(&'static str, Value); 8] {
    [
        ("id", text("of one process")),
        ("name", text("of the machine it runs on")),
        ("version", text("of the program")),
        ("started", time()),
        ("applied", count()),
        ("behind", count()),
        ("lease_age_ms", count()),
        ("serving", json!({ "type": "boolean" })),
    ]
}

fn token() -> [(&'static str, Value); 6] {
    let scopes = Scope::ALL.map(Scope::as_str);
    [
        ("name", text("its name")),
        (
            "scopes",
            json!({ "type": "array", "items": { "type": "string", "enum": scopes } }),
        ),
        (
            "expires",
            json!({ "type": ["string", "null"], "format": "date-time" }),
        ),
        (
            "from",
            json!({ "type": "array", "items": { "type": "string" } }),
        ),
        ("last_used", time_or_null("to some minutes")),
        (
            "former_ends",
            time_or_null("until when the secret before the last rotation is good"),
        ),
    ]
}

/// An object that has these members and no others.
fn whole(members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let members: serde_json::Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({
        "type": "object", "properties": members, "required": names, "additionalProperties": false,
    })
}

fn text(says: &str) -> Value {
    json!({ "type": "string", "description": says })
}

fn text_or_null(says: &str) -> Value {
    json!({ "type": ["string", "null"], "description": says })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A number, and what it counts.
fn counted(what: &str) -> Value {
    json!({ "type": "integer", "minimum": 0, "description": what })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn time_or_null(says: &str) -> Value {
    json!({ "type": ["string", "null"], "format": "date-time", "description": says })
}
