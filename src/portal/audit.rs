//! Who did what to whom, for administrators: the newest first, a page at a time.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::Desk;
use super::asked::Asked;
use super::csrf::Binding;
use super::page;
use super::refusal::{Answer, failed};
use super::users::administrator;
use super::view::audit as view;

/// Entries on one page.
const PAGE: u32 = 50;

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let me = administrator(&desk, &asked)?;
    // What is no number begins at the newest.
    let before = asked.query("before").and_then(|text| text.parse().ok());
    let entries = desk.users.audit_before(before, PAGE).await;
    let entries = entries.map_err(|cause| failed("reading the audit list", &cause))?;
    let is_full = u32::try_from(entries.len()).is_ok_and(|count| count == PAGE);
    let older = entries.last().filter(|_| is_full).map(|entry| entry.seq);
    let document = view::audit(&view::Audit {
        csrf: &desk.form_key.field(Binding::Session(me.token_hash())),
        me: me.user().name.as_str(),
        entries: &entries,
        is_newest: before.is_none(),
        older,
        now: desk.clock.now(),
    });
    Ok(page::answer(StatusCode::OK, document))
}
