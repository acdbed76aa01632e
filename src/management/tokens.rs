//! Management tokens: made, listed, rotated and taken away at the socket only, so that no token can make
//! another.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::order::{Fields, Order};
use super::token::ApiToken;
use super::{Verbs, answer_json, refusal, revocations};
use crate::clock::Timestamp;
use crate::config::{parse_duration, parse_network};
use crate::model::{Action, Event, Outcome, Scope};
use crate::revoke::Doubt;
use crate::store::change::{AddToken, Change, RemoveToken, RotateToken};
use crate::store::{ManagementToken, StoreError};
use crate::wire::{Problem, Response};

/// How long a token lasts where nothing else is said.
const LASTS: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long the secret before a rotation stays good where nothing else is said.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// The longest overlap: a rotation is no second token.
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes a token and shows its secret, this once.
pub(super) async fn add(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let actor = order.actor()?;
    let body = &mut order.body;
    let name = body.parsed("name", token_name);
    let name = body.needed("name", name);
    let scopes = scopes(body);
    let lasts = lasts(body);
    let networks = body.list("from", parse_network).unwrap_or_default();
    body.finish()?;
    let (Some(name), Some(scopes)) = (name, scopes) else {
        return Err(refusal::incomplete());
    };
    let secret = ApiToken::random();
    let made = ManagementToken {
        name,
        scopes,
        expires: lasts.map(|lasts| verbs.clock.now().plus(lasts)),
        networks,
        last_used: None,
        former_ends: None,
        announced: false,
    };
    // When it ends moves on from call to call, and makes no other act.
    let content = format!("{} {:?} {:?}", made.name, made.scopes, made.networks);
    let event = Event::general(actor, Action::TokenAdded)
        .detail(in_words(&made))
        .once(&content, Some(secret.hash()));
    let change = AddToken {
        name: made.name.clone(),
        hash: secret.hash(),
        scopes: made.scopes.clone(),
        expires: made.expires,
        networks: made.networks.clone(),
        replaces: unseen(&verbs, &event).await?,
    };
    let added = commit(&verbs, change, event).await;
    told(added, || {
        answer_json(StatusCode::CREATED, &shown(&made, &secret))
    })
}

/// What became of a change of tokens.
fn told(
    changed: Outcome<(), StoreError, Doubt>,
    done: impl FnOnce() -> Response,
) -> Result<Response, Problem> {
    changed.tell(
        |()| Ok(done()),
        |fault| Err(refusal::of_store(fault)),
        |doubt| Err(revocations::not_certain(None, &doubt)),
    )
}

/// The hash of the secret that this very call made before, whose caller was not shown it.
async fn unseen(verbs: &Verbs, event: &Event) -> Result<Option<[u8; 32]>, Problem> {
    let before = verbs.store.unanswered(event).await;
    let before = before.map_err(refusal::of_store)?;
    Ok(before.and_then(|before| before.made))
}

/// Writes a change of tokens.
async fn commit<C: Change<Outcome = ()>>(
    verbs: &Verbs,
    change: C,
    event: Event,
) -> Outcome<(), StoreError, Doubt> {
    match verbs.store.commit(change, event.clone()).await {
        Ok(_) => {
            verbs.revoker.answered(&event);
            Outcome::done(())
        }
        Err(fault @ StoreError::Unanswered(_)) => Outcome::not_certain(Doubt::unanswered(fault)),
        Err(fault) => Outcome::not_done(fault),
    }
}

/// Gives a token a new secret and shows it, this once. The secret before stays good for the overlap.
pub(super) async fn rotate(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let actor = order.actor()?;
    let body = &mut order.body;
    let lasts = lasts(body);
    let overlap = body.parsed("overlap", overlap).unwrap_or(OVERLAP);
    body.finish()?;
    let token = verbs.token(&order).await?;
    let (secret, now) = (ApiToken::random(), verbs.clock.now());
    let until = now.plus(overlap);
    let event = Event::general(actor, Action::TokenRotated).once(&token.name, Some(secret.hash()));
    let replaces = unseen(&verbs, &event).await?;
    let former_ends = match replaces {
        Some(_) => token.former_ends,
        None => token.expires,
    };
    let rotated = ManagementToken {
        expires: lasts.map(|lasts| now.plus(lasts)),
        former_ends: Some(former_ends.map_or(until, |ends| ends.min(until))),
        ..token
    };
    let event = event.detail(in_words(&rotated));
    let change = RotateToken {
        name: rotated.name.clone(),
        hash: secret.hash(),
        expires: rotated.expires,
        former_ends: until,
        replaces,
    };
    let committed = commit(&verbs, change, event).await;
    told(committed, || {
        answer_json(StatusCode::OK, &shown(&rotated, &secret))
    })
}

/// Every token, by name, without its secret.
pub(super) async fn list(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    verbs.write_token_uses().await.map_err(refusal::of_store)?;
    let tokens = verbs.store.tokens().await.map_err(refusal::of_store)?;
    let tokens = tokens.iter().map(described);
    Ok(answer_json(StatusCode::OK, &Value::Array(tokens.collect())))
}

/// Takes a token away: what is shown with it from now on is refused.
pub(super) async fn remove(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let name = order.segment().unwrap_or_default();
    let event = Event::general(order.actor()?, Action::TokenRemoved)
        .detail(&name)
        .once(&name, None);
    let tokens = verbs.store.tokens().await.map_err(refusal::of_store)?;
    let Some(token) = tokens.into_iter().find(|token| token.name == name) else {
        let before = verbs.store.unanswered(&event).await;
        return match before.map_err(refusal::of_store)? {
            // This very call has removed it, and its caller got no answer.
            Some(_) => {
                verbs.revoker.answered(&event);
                Ok(answer_json(StatusCode::OK, &json!({ "name": name })))
            }
            None => Err(refusal::of_store(StoreError::NoSuchToken)),
        };
    };
    let removed = commit(&verbs, RemoveToken { name }, event).await;
    told(removed, || answer_json(StatusCode::OK, &described(&token)))
}

impl Verbs {
    /// The token that the path names.
    async fn token(&self, order: &Order) -> Result<ManagementToken, Problem> {
        let name = order.segment().unwrap_or_default();
        let tokens = self.store.tokens().await.map_err(refusal::of_store)?;
        let found = tokens.into_iter().find(|token| token.name == name);
        found.ok_or_else(|| refusal::of_store(StoreError::NoSuchToken))
    }
}

fn described(token: &ManagementToken) -> Value {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let networks: Vec<String> = token.networks.iter().map(IpNet::to_string).collect();
    json!({
        "name": token.name,
        "scopes": scopes,
        "expires": token.expires.map(Timestamp::rfc3339),
        "from": networks,
        "last_used": token.last_used.map(Timestamp::rfc3339),
        "former_ends": token.former_ends.map(Timestamp::rfc3339),
    })
}

/// With the secret.
fn shown(token: &ManagementToken, secret: &ApiToken) -> Value {
    let mut document = described(token);
    if let Some(members) = document.as_object_mut() {
        members.insert("token".to_owned(), json!(secret.text()));
    }
    document
}

fn in_words(token: &ManagementToken) -> String {
    let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let ends = token.expires.map(Timestamp::rfc3339);
    let ends = ends.map_or("without an end".to_owned(), |ends| format!("until {ends}"));
    let networks: Vec<String> = token.networks.iter().map(IpNet::to_string).collect();
    let from = match networks.is_empty() {
        true => String::new(),
        false => format!(", from {}", networks.join(", ")),
    };
    format!("{} for {} {ends}{from}", token.name, scopes.join(", "))
}

fn scopes(body: &mut Fields) -> Option<Vec<Scope>> {
    let scopes = body.list("scopes", str::parse::<Scope>);
    let scopes = body.needed("scopes", scopes).map(without_doubles)?;
    if scopes.is_empty() {
        return body.fault("scopes", "at least one scope is needed");
    }
    if scopes.contains(&Scope::Administrators) && !scopes.contains(&Scope::Users) {
        return body.fault(
            "scopes",
            "administrators widens users to administrators, and opens nothing alone: ask for users,administrators",
        );
    }
    Some(scopes)
}

/// How long a token is to last; `None` for one that was asked for without an end.
fn lasts(body: &mut Fields) -> Option<Duration> {
    let lasts = body.parsed("expires", |text| match text {
        "never" => Ok(None),
        text => parse_duration(text).map(Some),
    });
    lasts.unwrap_or(Some(LASTS))
}

fn overlap(text: &str) -> Result<Duration, String> {
    if text == "0s" {
        return Ok(Duration::ZERO);
    }
    let overlap = parse_duration(text)?;
    match overlap <= LONGEST_OVERLAP {
        true => Ok(overlap),
        false => Err("the overlap is 30 days at the most".to_owned()),
    }
}

fn token_name(text: &str) -> Result<String, &'static str> {
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(possible) {
        Ok(text.to_owned())
    } else {
        Err("the name of a token has 1 to 64 letters, digits, - _ . or @")
    }
}

fn without_doubles(scopes: Vec<Scope>) -> Vec<Scope> {
    Scope::ALL
        .into_iter()
        .filter(|scope| scopes.contains(scope))
        .collect()
}
