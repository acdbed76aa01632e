//! The members that a body or a query may have, as they are declared and described.

use serde_json::{Value, json};

use crate::model::{Role, Scope, UserName};

/// One member.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) is_needed: bool,
    /// For people who read the description.
    says: &'static str,
}

/// What a member may be. The handler judges; this describes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    UserName,
    Role,
    Scopes,
    Email,
    /// The same, or `null` for none.
    EmailOrNone,
    Password,
    /// A text on one line.
    Line,
    Word,
    Duration,
    /// How long something lasts, or "never" for no end.
    Lifetime,
    Networks,
    Flag,
    /// A flag of which only this side is built.
    OnlyFalse,
    Number {
        least: u32,
        most: u32,
    },
    /// A number of the audit list.
    Seq,
}

impl Member {
    pub(super) const fn needed(name: &'static str, kind: Kind, says: &'static str) -> Self {
        Self {
            name,
            kind,
            is_needed: true,
            says,
        }
    }

    pub(super) const fn optional(name: &'static str, kind: Kind, says: &'static str) -> Self {
        Self {
            is_needed: false,
            ..Self::needed(name, kind, says)
        }
    }

    /// The same for a member of a body: one that may be left out may be null, which says the same
    /// unless its kind gives null a meaning.
    pub(super) fn schema_in_body(&self) -> Value {
        let mut schema = self.schema();
        if self.is_needed {
            return schema;
        }
        if let Some(kind) = schema.get_mut("type").filter(|kind| kind.is_string()) {
            *kind = json!([kind, "null"]);
        }
        if let Some(Value::Array(possible)) = schema.get_mut("enum") {
            possible.push(Value::Null);
        }
        schema
    }

    /// The schema of its value, in JSON Schema 2020-12 as OpenAPI 3.1 has it.
    pub(super) fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("description".to_owned(), json!(self.says));
        }
        schema
    }
}

impl Kind {
    fn schema(self) -> Value {
        let names = |all: &[&str]| json!({ "type": "string", "enum": all });
        match self {
            Self::UserName => json!({
                "type": "string", "minLength": 1, "maxLength": UserName::MAX_LENGTH,
                "pattern": "^[A-Za-z0-9._@+-]+$",
            }),
            Self::Role => names(&Role::ALL.map(Role::as_str)),
            Self::Scopes => json!({
                "type": "array", "minItems": 1, "items": names(&Scope::ALL.map(Scope::as_str)),
            }),
            Self::Email => json!({ "type": "string", "pattern": EMAIL, "maxLength": 254 }),
            Self::EmailOrNone => {
                json!({ "type": ["string", "null"], "pattern": EMAIL, "maxLength": 254 })
            }
            Self::Password => json!({ "type": "string", "format": "password", "minLength": 1 }),
            Self::Line => {
                json!({ "type": "string", "maxLength": 500, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$" })
            }
            Self::Word => {
                json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9._@-]+$" })
            }
            Self::Duration => {
                json!({ "type": "string", "pattern": "^(0s|[1-9][0-9]{0,3}[smhd])$", "examples": ["24h"] })
            }
            Self::Lifetime => {
                json!({ "type": "string", "pattern": "^([1-9][0-9]{0,3}[smhd]|never)$", "examples": ["90d"] })
            }
            Self::Networks => json!({
                "type": "array", "items": { "type": "string", "examples": ["10.0.0.0/8"] },
            }),
            Self::Flag => json!({ "type": "boolean" }),
            Self::OnlyFalse => json!({ "type": "boolean", "enum": [false] }),
            Self::Number { least, most } => {
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            Self::Seq => json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX }),
        }
    }
}

const EMAIL: &str = "^[!-?A-~]+@[!-?A-~]+$";
