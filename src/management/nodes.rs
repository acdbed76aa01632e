//! The nodes that share the store.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal};
use crate::wire::{Problem, Response};

/// Every node, with what it has applied. A gateway that has its store to itself has no others.
pub(super) async fn list(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    let nodes = verbs.cluster.nodes().await.map_err(refusal::of_store)?;
    let now = verbs.clock.now();
    let head = nodes.iter().map(|(row, _)| row.applied.number()).max();
    let told = nodes.iter().map(|(row, may_serve)| {
        let behind = head.unwrap_or(0).saturating_sub(row.applied.number());
        json!({
            "id": row.id.0,
            "name": row.name,
            "version": row.version,
            "started": row.started.rfc3339(),
            "applied": row.applied.number(),
            "behind": behind,
            "lease_age_ms": u64::try_from(now.since(row.seen).as_millis()).unwrap_or(u64::MAX),
            "serving": may_serve,
        })
    });
    Ok(answer_json(StatusCode::OK, &Value::Array(told.collect())))
}
