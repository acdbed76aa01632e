//! Whether the gateway is there, and whether it can serve: for what watches it and what balances load.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::order::Order;
use super::{Verbs, answer_json};
use crate::wire::{Body, Problem, Response};

/// The process is there and answers.
pub(super) fn alive() -> Response {
    answer_json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// The numbers, for Prometheus.
pub(super) fn metrics(verbs: &Verbs) -> Response {
    let mut response = Response::new(Body::from(verbs.metrics.text()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, OPEN_METRICS);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Able to serve: the store can be written, which is tried once a second at the most. A panel that is down does not make the gateway unfit, which has a
/// page to say so; its state is in the body.
pub(super) async fn ready(verbs: Arc<Verbs>, _order: Order) -> Result<Response, Problem> {
    let not_ready = |why: &str| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ready")
            .detail(why)
            .field("panels", panels(&verbs))
            .field("cluster", cluster(&verbs))
    };
    if verbs.leaving.has_begun() {
        return Err(not_ready("the gateway was told to end"));
    }
    match verbs.store.takes_writes().await {
        Ok(()) if verbs.cluster.standing().is_some_and(|now| !now.is_trusted) => Err(not_ready(
            "the store was not heard from for too long; this node catches up by itself",
        )),
        Ok(()) => Ok(answer_json(
            StatusCode::OK,
            &json!({
                "status": "ok", "store": "ok",
                "panels": panels(&verbs), "cluster": cluster(&verbs),
            }),
        )),
        Err(fault) => {
            tracing::error!(%fault, "not ready");
            let why = fault.in_plain_words();
            Err(not_ready(&format!(
                "the store can't be written: {why}; the log says more"
            )))
        }
    }
}

/// Where this node stands; null for a gateway that has its store to itself.
fn cluster(verbs: &Verbs) -> Value {
    verbs.cluster.standing().map_or(Value::Null, |standing| {
        json!({
            "lag": standing.lag,
            "lease_age_ms": u64::try_from(standing.lease_age.as_millis()).unwrap_or(u64::MAX),
            "store_latency_ms": standing.store_latency.as_secs_f64() * 1000.0,
        })
    })
}

fn panels(verbs: &Verbs) -> Value {
    let states = (verbs.panels)().into_iter();
    let told = states
        .map(|state| json!({ "name": state.name, "up": state.up, "requests": state.requests }));
    told.collect()
}
