//! The audit list, read on from where the reader was.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::order::Order;
use super::{Verbs, answer_json, refusal};
use crate::wire::{Problem, Response};

/// How many entries are given to who asks for no number.
const USUAL: u32 = 100;

/// The entries after one, oldest first.
pub(super) async fn list(verbs: Arc<Verbs>, mut order: Order) -> Result<Response, Problem> {
    let query = &mut order.query;
    let after = query.parsed("after", |text| {
        let number = text.parse::<i64>().ok().filter(|number| *number >= 0);
        number.ok_or("this has to be the number of an entry, or 0")
    });
    let limit = query.parsed("limit", |text| {
        let number = text.parse::<u32>().ok();
        number
            .filter(|number| (1..=1000).contains(number))
            .ok_or("this has to be a number from 1 to 1000")
    });
    query.finish()?;
    let entries = verbs
        .store
        .audit(after.unwrap_or(0), limit.unwrap_or(USUAL))
        .await
        .map_err(refusal::of_store)?;
    let entries = entries.iter().map(|entry| {
        json!({
            "seq": entry.seq,
            "at": entry.at.rfc3339(),
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "detail": entry.detail,
            "request": entry.request,
        })
    });
    Ok(answer_json(
        StatusCode::OK,
        &Value::Array(entries.collect()),
    ))
}
