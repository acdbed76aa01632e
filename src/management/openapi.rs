//! `GET /v1/openapi.json`: the table of calls, told in OpenAPI 3.1. It is made from what answers, so
//! that it can't say anything else.

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer_json;
use super::calls::{Access, CALLS, Call};
use super::member::Member;
use super::shape::Shape;
use crate::wire::Response;

/// The document as an answer.
pub(super) fn document() -> Response {
    answer_json(StatusCode::OK, &describe())
}

fn describe() -> Value {
    let mut paths = Map::new();
    for call in CALLS {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(call.method.as_str().to_ascii_lowercase(), operation(call));
        }
    }
    let schemas: Map<String, Value> = Shape::ALL
        .into_iter()
        .map(|shape| (shape.name(), shape.schema()))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Portcullis management API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Ends sessions, and manages the people who have them.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": {
                "type": "http", "scheme": "bearer",
                "description": "a management token; the owner of the socket needs none",
            }},
        },
    })
}

fn operation(call: &Call) -> Value {
    let (status, shape) = call.gives;
    let mut operation = Map::new();
    let mut say = |name: &str, value: Value| operation.insert(name.to_owned(), value);
    say("summary", json!(call.says));
    say("operationId", json!(operation_id(call)));
    say("security", security(call.access));
    if let Access::Scope(scope) = call.access {
        say("x-scope", json!(scope.as_str()));
    }
    say("parameters", json!(parameters(call)));
    if !call.body.is_empty() {
        let body = json!({
            "required": call.body.iter().any(|member| member.is_needed),
            "content": { "application/json": { "schema": object(call.body) } },
        });
        say("requestBody", body);
    }
    let responses = json!({
        status.as_str(): {
            "description": "done",
            "content": { shape.media_type(): { "schema": shape.reference() } },
        },
        "default": {
            "description": "not done, and why",
            "content": { "application/problem+json": { "schema": Shape::Problem.reference() } },
        },
    });
    say("responses", responses);
    Value::Object(operation)
}

fn security(access: Access) -> Value {
    match access {
        Access::Anyone => json!([]),
        Access::Scope(_) | Access::Owner => json!([{ "token": [] }]),
    }
}

fn parameters(call: &Call) -> Vec<Value> {
    let open = call
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let schema = json!({ "type": "string", "minLength": 1 });
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        });
    let asked = call.query.iter().map(|member| {
        json!({
            "name": member.name, "in": "query", "required": member.is_needed,
            "schema": member.schema(),
        })
    });
    open.chain(asked).collect()
}

fn object(members: &[Member]) -> Value {
    let needed: Vec<&str> = members
        .iter()
        .filter(|member| member.is_needed)
        .map(|member| member.name)
        .collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|member| (member.name.to_owned(), member.schema_in_body()))
        .collect();
    json!({
        "type": "object", "properties": properties, "required": needed,
        "additionalProperties": false,
    })
}

/// Like `delete-users-user-sessions`: what scripts name their functions after.
fn operation_id(call: &Call) -> String {
    let words = call
        .path
        .split(['/', '.'])
        .filter(|word| !word.is_empty() && *word != "v1")
        .map(|word| word.trim_matches(['{', '}']));
    let method = Method::as_str(&call.method).to_ascii_lowercase();
    std::iter::once(method.as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join("-")
}
