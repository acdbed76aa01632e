//! The reason this product exists: calls that end sessions.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal};
use crate::model::{Action, Event, SessionId, UserName};
use crate::revoke::{Doubt, Report, Revocation};
use crate::users::{Changed, UsersError};
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
    let detail = in_words(source, reason);
    end_user(&verbs, &order, Action::PasswordChangedElsewhere, &detail).await
}

/// The same without a change of password.
pub(super) async fn end_users_sessions(
    verbs: Arc<Verbs>,
    order: Order,
) -> Result<Response, Problem> {
    end_user(&verbs, &order, Action::SessionsEnded, "").await
}

async fn end_user(
    verbs: &Verbs,
    order: &Order,
    action: Action,
    detail: &str,
) -> Result<Response, Problem> {
    let name = order.user().ok_or_else(refusal::unknown_user)?;
    let event = Event::about(order.actor()?, action, &name).detail(detail);
    answer(Some(&name), verbs.users.end_sessions(&name, event).await)
}

/// Everybody's.
pub(super) async fn end_all_sessions(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let event = Event::general(order.actor()?, Action::SessionsEnded).detail("of every user");
    let ended = verbs.revoker.end_everyone(event).await;
    answer(None, ended.map_not_done(UsersError::from))
}

/// One session.
pub(super) async fn end_session(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "unknown session")
            .detail("there is no live session of this id; it may have ended already")
    };
    let id = order.segment().and_then(|id| SessionId::parse(&id));
    let id = id.ok_or_else(unknown)?;
    // Where the store can't be asked, one that is known here is ended all the same.
    let brought = verbs.cluster.bring_id(id).await;
    let text = id.to_string();
    let event = Event::general(order.actor()?, Action::SessionEnded).detail(&text);
    // Whose it was is not known any more when it is asked for again.
    let event = event.once(&text, None);
    let Some(session) = verbs.sessions.by_id(&id) else {
        let again = verbs.revoker.end_session_again(&id, None, event).await;
        if let Some(ended) = again {
            return answer(None, ended.map_not_done(UsersError::from));
        }
        brought.map_err(refusal::unreached)?;
        return Err(unknown());
    };
    let name = session.user().name.clone();
    let event = Event {
        subject: Some(name.clone()),
        ..event
    };
    let ended: Revocation = verbs.revoker.end_session(&session, event).await;
    answer(Some(&name), ended.map_not_done(UsersError::from))
}

/// Success only when it is on disk and in force on every node; else 503 with what is known.
pub(super) fn answer(
    user: Option<&UserName>,
    outcome: Changed<Report>,
) -> Result<Response, Problem> {
    outcome.tell(
        |report| {
            let document = Value::Object(fields(user, &report));
            Ok(answer_json(StatusCode::OK, &document))
        },
        |why| Err(not_done(user, why)),
        |doubt| Err(not_certain(user, &doubt)),
    )
}

/// A revocation whose caller could not be known, because the store failed: nothing was begun. The numbers
/// of nodes are for callers that are known.
pub(super) fn not_begun(problem: Problem) -> Problem {
    if problem.status() != StatusCode::SERVICE_UNAVAILABLE {
        return problem;
    }
    problem
        .field("sessions_ended", 0)
        .field("connections_closed", 0)
        .field("durable", false)
}

/// A change of which nothing was written. What was ended in memory all the same is told.
pub(super) fn not_done(user: Option<&UserName>, why: UsersError) -> Problem {
    let UsersError::Unwritten(unwritten) = why else {
        return refusal::of_users(why);
    };
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not written")
        .detail(format!("{unwritten}; call again until it succeeds"))
        .header(RETRY_AFTER, HeaderValue::from_static("2"))
        .referenced();
    tracing::error!(reference = problem.reference(), fault = %unwritten.fault, "a change could not be written");
    match unwritten.report {
        Some(report) => with_fields(problem, user, &report),
        None => problem,
    }
}

/// A change that may be done or not, or not everywhere.
pub(super) fn not_certain(user: Option<&UserName>, doubt: &Doubt) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not done for certain")
        .detail(format!("{doubt}; call again until it succeeds"))
        .header(RETRY_AFTER, HeaderValue::from_static("2"))
        .referenced();
    tracing::error!(reference = problem.reference(), %doubt, "it is not certain whether a change was made");
    match &doubt.report {
        Some(report) => with_fields(problem, user, report),
        None => problem,
    }
}

fn fields(user: Option<&UserName>, outcome: &Report) -> Map<String, Value> {
    let members = [
        ("user", json!(user.map(UserName::as_str))),
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

fn with_fields(problem: Problem, user: Option<&UserName>, outcome: &Report) -> Problem {
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
