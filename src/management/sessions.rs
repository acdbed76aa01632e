//! Who is signed in.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal};
use crate::session::Session;
use crate::wire::{Problem, Response};

/// Everybody's live sessions, the newest first.
pub(super) async fn list(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    let brought = verbs.cluster.bring_all().await;
    brought.map_err(refusal::unreached)?;
    Ok(verbs.told(&verbs.sessions.all()))
}

/// A user's.
pub(super) async fn list_of_user(verbs: Arc<Verbs>, order: Order) -> Result<Response, Problem> {
    let user = verbs.user(&order).await?;
    let brought = verbs.cluster.bring_user(user.id).await;
    brought.map_err(refusal::unreached)?;
    Ok(verbs.told(&verbs.sessions.of(user.id)))
}

impl Verbs {
    fn told(&self, sessions: &[Arc<Session>]) -> Response {
        let limits = self.sessions.limits();
        let sessions = sessions.iter().map(|session| {
            json!({
                "id": session.id().to_string(),
                "user": session.user().name.as_str(),
                "created": session.created().rfc3339(),
                "last_seen": session.last_seen().rfc3339(),
                "expires": session.expires(&limits).rfc3339(),
                "address": session.address().to_string(),
                "device": session.device(),
                "second_factor": session.second_factor().map(|kind| kind.as_str()),
                "connections": session.open_exchanges(),
            })
        });
        answer_json(StatusCode::OK, &Value::Array(sessions.collect()))
    }
}
