//! The reason this product exists: calls that end sessions.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal};
use crate::model::{Action, Event, SessionId, User};
use crate::revoke::{Outcome, RevokeError};
use crate::store::StoreError;
use crate::wire::{Problem, Response};

/// Whoever changed a password, wherever, tells the gateway.
pub(super) async fn password_changed(
    verbs: Arc<Verbs>,
    mut order: Order,
) -> Result<Response, Problem> {
    const DEMAND: &str = "require_new_password";
    let body = &mut order.body;
    let source = body.text("source", LONGEST_TEXT);
    let reason = body.text("reason", LONGEST_TEXT);
    if body.flag(DEMAND) == Some(true) {
        body.fault::<()>(
            DEMAND,
            "demanding a new password is not built yet; leave it out, or send false",
        );
    }
    body.finish()?;
    let user = verbs.user(&order).await?;
    let event = Event::about(order.actor()?, Action::PasswordChangedElsewhere, &user.name)
        .detail(in_words(source, reason));
    let outcome = verbs.revoker.end_user(&user, event).await;
    answer(Some(&user), outcome)
}

/// The same without a change of password.
pub(super) async fn end_users_sessions(
    verbs: Arc<Verbs>,
    order: Order,
) -> Result<Response, Problem> {
    let user = verbs.user(&order).await?;
    let event = Event::about(order.actor()?, Action::SessionsEnded, &user.name);
    let outcome = verbs.revoker.end_user(&user, event).await;
    answer(Some(&user), outcome)
}

/// Everybody's.
pub(super) async fn end_all_sessions(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let event = Event::general(order.actor()?, Action::SessionsEnded).detail("of every user");
    answer(None, verbs.revoker.end_everyone(event).await)
}

/// One session.
pub(super) async fn end_session(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "unknown session")
            .detail("there is no live session of this id; it may have ended already")
    };
    let id = order.segment().and_then(|id| SessionId::parse(&id));
    let id = id.ok_or_else(unknown)?;
    let brought = verbs.cluster.bring_id(id).await;
    brought.map_err(refusal::unreached)?;
    let session = verbs.sessions.by_id(&id).ok_or_else(unknown)?;
    let user = session.user();
    let event = Event::about(order.actor()?, Action::SessionEnded, &user.name);
    let outcome = verbs.revoker.end_session(&session, event).await;
    answer(Some(user), outcome)
}

/// Success only when it is on disk and in force on every node; else 503 with what is known.
pub(super) fn answer(
    user: Option<&User>,
    outcome: Result<Outcome, RevokeError>,
) -> Result<Response, Problem> {
    match outcome {
        Ok(outcome) if outcome.durable && outcome.nodes_unreached == 0 => Ok(answer_json(
            StatusCode::OK,
            &Value::Object(fields(user, &outcome)),
        )),
        Ok(outcome) => Err(with_fields(
            unfinished("not every node has confirmed it"),
            user,
            &outcome,
        )),
        Err(fault) => Err(unanswered(user, fault)),
    }
}

/// A revocation of which nothing can be promised.
pub(super) fn unanswered(user: Option<&User>, fault: RevokeError) -> Problem {
    if let RevokeError::Store(StoreError::NoSuchUser) = fault {
        return refusal::unknown_user();
    }
    if let RevokeError::Store(fault @ (StoreError::TokenEnded | StoreError::NeedsScope(_))) = fault
    {
        return refusal::of_store(fault);
    }
    let problem = unfinished(&fault.to_string()).referenced();
    tracing::error!(reference = problem.reference(), %fault, "a revocation failed");
    with_fields(problem, user, &nothing_done(user))
}

fn unfinished(why: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ended for certain").detail(format!(
        "{why}; sessions may still be alive, so call again until it succeeds"
    ))
}

/// What is known to be true when the store gave an error.
fn nothing_done(user: Option<&User>) -> Outcome {
    Outcome {
        generation: user.map(|user| user.generation),
        sessions_ended: 0,
        connections_closed: 0,
        durable: false,
        nodes: 1,
        nodes_unreached: 0,
    }
}

fn fields(user: Option<&User>, outcome: &Outcome) -> Map<String, Value> {
    let members = [
        ("user", json!(user.map(|user| user.name.as_str()))),
        (
            "generation",
            json!(outcome.generation.map(crate::model::Generation::number)),
        ),
        ("sessions_ended", json!(outcome.sessions_ended)),
        ("connections_closed", json!(outcome.connections_closed)),
        ("durable", json!(outcome.durable)),
        ("nodes", json!(outcome.nodes)),
        ("nodes_unreached", json!(outcome.nodes_unreached)),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn with_fields(problem: Problem, user: Option<&User>, outcome: &Outcome) -> Problem {
    fields(user, outcome)
        .into_iter()
        .fold(problem, |problem, (name, value)| {
            problem.field(&name, value)
        })
}

fn in_words(source: Option<String>, reason: Option<String>) -> String {
    match (source, reason) {
        (None, None) => String::new(),
        (Some(source), None) => format!("in {source}"),
        (None, Some(reason)) => reason,
        (Some(source), Some(reason)) => format!("in {source}: {reason}"),
    }
}

const LONGEST_TEXT: usize = 500;
