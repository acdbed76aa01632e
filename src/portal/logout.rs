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
use crate::model::{Action, Actor, Event};
use crate::session::Session;
use crate::wire::{NextPath, Problem, Response};

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    // Whoever has no session any more is where this leads to.
    let Some(session) = posted.asked.visit.session.clone() else {
        return Ok(see_other(&step::to_login(
            &NextPath::home(),
            Some(Done::LoggedOut),
        )));
    };
    if !posted.fits(&desk.form_key, Binding::Session(session.token_hash()))? {
        return Err(account::out_of_date(&desk, session).await);
    }
    end(&desk, &posted, &session).await?;
    Ok(left(Done::LoggedOut))
}

/// Ends one session of the person who asks.
pub(super) async fn end(
    desk: &Desk,
    posted: &Posted,
    session: &Arc<Session>,
) -> Result<(), Problem> {
    let event = event(posted, session, Action::SessionEnded).detail(session.device());
    let ended = desk.revoker.end_session(session, event).await;
    ended
        .map(|_| ())
        .map_err(|cause| failed("ending a session", &cause))
}

/// What a person does to the own account.
pub(super) fn event(posted: &Posted, session: &Session, action: Action) -> Event {
    let name = &session.user().name;
    let actor = Actor::User {
        name: name.clone(),
        address: posted.asked.visit.client,
    };
    Event::about(actor, action, name)
}

/// To the login page, with nothing left in the browser.
pub(super) fn left(done: Done) -> Response {
    let mut response = see_other(&step::to_login(&NextPath::home(), Some(done)));
    forget_browser(response.headers_mut());
    response
}
