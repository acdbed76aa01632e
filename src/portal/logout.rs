//! Leaving: ends this session, here and in the browser.

use std::sync::Arc;

use axum::extract::State;

use super::asked::Posted;
use super::csrf::Binding;
use super::done::Done;
use super::page::see_other;
use super::refusal::{Answer, failed};
use super::{Desk, account, step};
use crate::gate::forget_browser;
use crate::model::{Action, Event};
use crate::revoke::RevokeError;
use crate::session::Session;
use crate::store::StoreError;
use crate::wire::{NextPath, Problem, Response};

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    // A person who has no session any more is where this leads to, and wants nothing kept.
    let Some(session) = posted.asked.visit.session.clone() else {
        return Ok(left(Done::LoggedOut));
    };
    if !posted.fits(&desk.form_key, Binding::Session(session.token_hash()))? {
        return Err(account::out_of_date(&desk, session).await);
    }
    match end(&desk, &posted, &session, &session).await {
        // It has ended meanwhile, which is what was asked for.
        Ok(()) | Err(RevokeError::Store(StoreError::ActorEnded)) => Ok(left(Done::LoggedOut)),
        Err(cause) => Err(not_ended(&cause).into()),
    }
}

/// Ends one session of the person who asks by another of them, or by the same.
pub(super) async fn end(
    desk: &Desk,
    posted: &Posted,
    me: &Session,
    doomed: &Arc<Session>,
) -> Result<(), RevokeError> {
    let event = event(posted, me, Action::SessionEnded).detail(doomed.device());
    desk.revoker.end_session(doomed, event).await.map(drop)
}

/// It could not be ended.
pub(super) fn not_ended(cause: &RevokeError) -> Problem {
    failed("ending a session", cause)
}

/// What a person does to the own account.
pub(super) fn event(posted: &Posted, session: &Session, action: Action) -> Event {
    let actor = session.actor(posted.asked.visit.client);
    Event::about(actor, action, &session.user().name)
}

/// To the login page, with nothing left in the browser.
pub(super) fn left(done: Done) -> Response {
    let mut response = see_other(&step::to_login(&NextPath::home(), Some(done)));
    forget_browser(response.headers_mut());
    response
}
