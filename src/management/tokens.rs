//! Management tokens: made, listed and taken away at the socket only, so that no token can make
//! another.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::order::Order;
use super::token::ApiToken;
use super::{Verbs, answer_json, refusal};
use crate::clock::Timestamp;
use crate::config::parse_duration;
use crate::model::{Action, Event, Scope};
use crate::store::StoreError;
use crate::store::change::{AddToken, RemoveToken};
use crate::wire::{Problem, Response};

/// Makes a token and shows its secret, this once.
pub(super) async fn add(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let actor = order.actor()?;
    let body = &mut order.body;
    let name = body.parsed("name", token_name);
    let name = body.needed("name", name);
    let scopes = body
        .list("scopes", str::parse::<Scope>)
        .map(without_doubles);
    if scopes.as_ref().is_some_and(Vec::is_empty) {
        body.fault::<()>("scopes", "at least one scope is needed");
    }
    let scopes = body.needed("scopes", scopes);
    let lasts: Option<Duration> = body.parsed("expires", parse_duration);
    body.finish()?;
    let (Some(name), Some(scopes)) = (name, scopes) else {
        return Err(refusal::incomplete());
    };

    let secret = ApiToken::random();
    let expires = lasts.map(|lasts| verbs.clock.now().plus(lasts));
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let event = Event::general(actor, Action::TokenAdded)
        .detail(format!("{name} for {}", names.join(", ")));
    let mut document = described(&name, &scopes, expires);
    if let Some(members) = document.as_object_mut() {
        members.insert("token".to_owned(), json!(secret.text()));
    }
    let change = AddToken {
        name,
        hash: secret.hash(),
        scopes,
        expires,
    };
    match verbs.store.commit(change, event).await {
        Ok(_) => Ok(answer_json(StatusCode::CREATED, &document)),
        Err(fault @ StoreError::TokenNameTaken) => Err(refusal::conflict("name", &fault)),
        Err(fault) => Err(refusal::of_store(fault)),
    }
}

/// Every token, by name, without its secret.
pub(super) async fn list(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    let tokens = verbs.store.tokens().await.map_err(refusal::of_store)?;
    let tokens = tokens
        .iter()
        .map(|token| described(&token.name, &token.scopes, token.expires));
    Ok(answer_json(StatusCode::OK, &Value::Array(tokens.collect())))
}

/// Takes a token away: what is shown with it from now on is refused.
pub(super) async fn remove(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let name = order.segment().unwrap_or_default();
    let tokens = verbs.store.tokens().await.map_err(refusal::of_store)?;
    let Some(token) = tokens.into_iter().find(|token| token.name == name) else {
        return Err(refusal::of_store(StoreError::NoSuchToken));
    };
    let event = Event::general(order.actor()?, Action::TokenRemoved).detail(&name);
    let removed = verbs.store.commit(RemoveToken { name }, event).await;
    removed.map_err(refusal::of_store)?;
    let document = described(&token.name, &token.scopes, token.expires);
    Ok(answer_json(StatusCode::OK, &document))
}

fn described(name: &str, scopes: &[Scope], expires: Option<Timestamp>) -> Value {
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    json!({ "name": name, "scopes": scopes, "expires": expires.map(Timestamp::rfc3339) })
}

fn token_name(text: &str) -> Result<String, &'static str> {
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if !(1..=64).contains(&text.len()) || !text.bytes().all(possible) {
        Err("the name of a token has 1 to 64 letters, digits, - _ . or @")
    } else if text.starts_with(['-', '.']) {
        Err("the name of a token does not begin with - or .")
    } else {
        Ok(text.to_owned())
    }
}

fn without_doubles(scopes: Vec<Scope>) -> Vec<Scope> {
    Scope::ALL
        .into_iter()
        .filter(|scope| scopes.contains(scope))
        .collect()
}
