//! Whether the gateway is there, and whether it can serve: for what watches it and what balances load.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;

use super::order::Order;
use super::{Verbs, answer_json};
use crate::wire::{Problem, Response};

/// The process is there and answers.
pub(super) fn alive() -> Response {
    answer_json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Able to serve: the store answers.
pub(super) async fn ready(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    match verbs.store.answers().await {
        Ok(()) => Ok(answer_json(
            StatusCode::OK,
            &json!({ "status": "ok", "store": "ok" }),
        )),
        Err(fault) => {
            tracing::error!(%fault, "not ready");
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ready")
                .detail("the store does not answer; the log says more"))
        }
    }
}
