//! Users: listed, added, their passwords set, their set-up links made anew.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal, revocations};
use crate::model::{FactorKind, Role, User, UserName};
use crate::secret::Secret;
use crate::store::Person;
use crate::users::{SetupLink, UsersError};
use crate::wire::{Problem, Response};

/// Everybody, by name.
pub(super) async fn list(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    order.body.finish()?;
    let people = verbs.users.list().await.map_err(refusal::of_users)?;
    let people: Vec<Value> = people.iter().map(person).map(Value::Object).collect();
    Ok(answer_json(StatusCode::OK, &Value::Array(people)))
}

/// Adds a user, with the password of the body or else a one-time link to set one.
pub(super) async fn add(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let body = &mut order.body;
    let name = body.parsed("name", UserName::parse);
    let name = body.needed("name", name);
    let role = body.parsed("role", str::parse::<Role>);
    let role = body.needed("role", role);
    let email = body.parsed("email", email);
    let password = body.verbatim("password").map(Secret::new);
    body.finish()?;
    let (Some(name), Some(role)) = (name, role) else {
        return Err(refusal::incomplete());
    };
    let actor = order.caller.actor();
    let users = &verbs.users;
    let (user, setup_url) = match password {
        Some(password) => {
            let added = users.add_with_password(name, role, email, password, actor);
            (added.await.map_err(refusal::of_users)?, None)
        }
        None => {
            let added = users.add(name, role, email, actor).await;
            let (user, link) = added.map_err(refusal::of_users)?;
            (user, Some(verbs.setup_url(&link)))
        }
    };
    let mut document = person(&Person {
        user,
        has_password: setup_url.is_none(),
        second_factors: Vec::new(),
        recovery_codes: 0,
        sessions: 0,
        locked: false,
    });
    document.insert("setup_url".to_owned(), json!(setup_url));
    Ok(answer_json(StatusCode::CREATED, &Value::Object(document)))
}

/// Sets a password, and with that ends every session of the user.
pub(super) async fn set_password(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let body = &mut order.body;
    let password = body.verbatim("password").map(Secret::new);
    let password = body.needed("password", password);
    body.finish()?;
    let Some(password) = password else {
        return Err(refusal::incomplete());
    };
    let user = verbs.user(&order).await?;
    let actor = order.caller.actor();
    match verbs.users.set_password(&user.name, password, actor).await {
        Err(UsersError::Revoke(fault)) => revocations::answer(Some(&user), Err(fault)),
        Err(fault) => Err(refusal::of_users(fault)),
        Ok(outcome) => revocations::answer(Some(&user), Ok(outcome)),
    }
}

/// A new one-time link; the one before is dead.
pub(super) async fn renew_setup_link(
    verbs: Arc<Verbs>,
    mut order: Order,
) -> Result<Response, Problem> {
    order.body.finish()?;
    let user: User = verbs.user(&order).await?;
    let actor = order.caller.actor();
    let link = verbs.users.renew_setup_link(&user, actor).await;
    let link = link.map_err(refusal::of_users)?;
    let document = json!({
        "name": user.name.as_str(),
        "setup_url": verbs.setup_url(&link),
    });
    Ok(answer_json(StatusCode::CREATED, &document))
}

impl Verbs {
    fn setup_url(&self, link: &SetupLink) -> String {
        let path = format!("/.portcullis/setup?token={}", link.token.expose());
        self.config.gateway.external_url.join(&path)
    }
}

fn person(person: &Person) -> Map<String, Value> {
    let factors: Vec<&str> = person
        .second_factors
        .iter()
        .map(|kind| FactorKind::as_str(*kind))
        .collect();
    let members = [
        ("name", json!(person.user.name.as_str())),
        ("role", json!(person.user.role.as_str())),
        ("email", json!(person.user.email)),
        ("disabled", json!(person.user.disabled)),
        ("second_factors", json!(factors)),
        ("sessions", json!(person.sessions)),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// An address as it is passed on to the panel: visible ASCII, so that it fits into a header field.
fn email(text: &str) -> Result<String, &'static str> {
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let whole = text
        .split_once('@')
        .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if plain && whole && text.len() <= 254 {
        Ok(text.to_owned())
    } else {
        Err("this is no e-mail address like ada@example.org")
    }
}
