//! Users: listed, added, their passwords set, their set-up links made anew.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal, revocations};
use crate::model::{FactorKind, Role, User, UserName};
use crate::secret::Secret;
use crate::store::Person;
use crate::users::{Changed, Edit, SetupLink, email_address};
use crate::wire::{Problem, Response};

/// Everybody, by name.
pub(super) async fn list(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    let people = verbs.users.list().await.map_err(refusal::of_users)?;
    let people: Vec<Value> = people.iter().map(person).map(Value::Object).collect();
    Ok(answer_json(StatusCode::OK, &Value::Array(people)))
}

/// Adds a user, with the password of the body or else a one-time link to set one.
pub(super) async fn add(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let actor = order.actor()?;
    let body = &mut order.body;
    let name = body.parsed("name", UserName::parse_new);
    let name = body.needed("name", name);
    let role = body.parsed("role", str::parse::<Role>);
    let role = body.needed("role", role);
    let email = body.parsed("email", email_address);
    let password = body.verbatim("password").map(Secret::new);
    body.finish()?;
    let (Some(name), Some(role)) = (name, role) else {
        return Err(refusal::incomplete());
    };
    let users = &verbs.users;
    let added = match password {
        Some(password) => {
            let added = users.add_with_password(name, role, email, password, actor);
            added.await.map_done(|user| (user, None))
        }
        None => {
            let added = users.add(name, role, email, actor).await;
            added.map_done(|(user, link)| (user, Some(verbs.setup_url(&link))))
        }
    };
    told(added, |(user, setup_url)| {
        let mut document = person(&Person {
            user,
            has_password: setup_url.is_none(),
            second_factors: Vec::new(),
            recovery_codes: 0,
            sessions: 0,
            locked: false,
        });
        document.insert("setup_url".to_owned(), json!(setup_url));
        answer_json(StatusCode::CREATED, &Value::Object(document))
    })
}

/// One user.
pub(super) async fn show(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let name = verbs.user(&order).await?.name;
    verbs.person(&name).await
}

/// Changes what is given. What is so already is left as it is, and no session ends for it.
pub(super) async fn edit(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let body = &mut order.body;
    let edit = Edit {
        role: body.parsed("role", str::parse::<Role>),
        email: body.parsed_or_null("email", email_address),
        disabled: body.flag("disabled"),
    };
    body.finish()?;
    let name = order.user().ok_or_else(refusal::unknown_user)?;
    let actor = order.actor()?;
    let edited = verbs.users.edit(&name, edit, actor).await;
    edited.tell(
        |edited| {
            let document = person(&edited.person);
            Ok(answer_json(StatusCode::OK, &Value::Object(document)))
        },
        |why| Err(revocations::not_done(Some(&name), why)),
        |doubt| Err(revocations::not_certain(Some(&name), &doubt)),
    )
}

/// Removes a user.
pub(super) async fn remove(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let name = order.user().ok_or_else(refusal::unknown_user)?;
    let removed = verbs.users.remove(&name, order.actor()?).await;
    revocations::answer(Some(&name), removed)
}

/// Takes every second factor away.
pub(super) async fn reset_second_factor(
    verbs: Arc<Verbs>,
    order: Order,
) -> Result<Response, Problem> {
    let name = order.user().ok_or_else(refusal::unknown_user)?;
    let actor = order.actor()?;
    let reset = verbs.users.reset_second_factor(&name, actor).await;
    revocations::answer(Some(&name), reset)
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
    let name = order.user().ok_or_else(refusal::unknown_user)?;
    let actor = order.actor()?;
    let set = verbs.users.set_password(&name, password, actor).await;
    revocations::answer(Some(&name), set)
}

/// What became of a change that ends no sessions.
fn told<T>(changed: Changed<T>, done: impl FnOnce(T) -> Response) -> Result<Response, Problem> {
    changed.tell(
        |what| Ok(done(what)),
        |why| Err(revocations::not_done(None, why)),
        |doubt| Err(revocations::not_certain(None, &doubt)),
    )
}

/// A new one-time link; the one before is dead.
pub(super) async fn renew_setup_link(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let user: User = verbs.user(&order).await?;
    let actor = order.actor()?;
    let link = verbs.users.renew_setup_link(&user, actor).await;
    told(link, |link| {
        let document = json!({
            "name": user.name.as_str(),
            "setup_url": verbs.setup_url(&link),
        });
        answer_json(StatusCode::CREATED, &document)
    })
}

impl Verbs {
    async fn person(&self, name: &UserName) -> Result<Response, Problem> {
        let found = self.users.person(name).await.map_err(refusal::of_users)?;
        Ok(answer_json(StatusCode::OK, &Value::Object(person(&found))))
    }

    fn setup_url(&self, link: &SetupLink) -> String {
        let path = format!("/.portcullis/setup?token={}", link.token.expose());
        self.config.now().gateway.portal_url().join(&path)
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
        ("locked", json!(person.locked)),
        ("second_factors", json!(factors)),
        ("sessions", json!(person.sessions)),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
