//! Leaving: ends this session, here and in the browser.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use http::header::SET_COOKIE;

use super::asked::{Asked, Posted};
use super::csrf::Binding;
use super::done::Done;
use super::page::see_other;
use super::refusal::{Answer, Refusal, forgetting, not_certain, not_written};
use super::{Desk, account, step};
use crate::gate::forget_browser;
use crate::model::{Action, Event, SessionId, TokenHash};
use crate::revoke::Revocation;
use crate::session::Session;
use crate::users::UsersError;
use crate::wire::{NextPath, Problem, Response, cookie};

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    // A person who has no session any more is where this leads to, and wants nothing kept.
    let forgets = posted.form.optional("forget")?.is_some();
    if let Some(token) = posted.asked.visit.untold {
        let answer = leave_untold(&desk, &posted, token, Leaving::ThisBrowser).await?;
        return Ok(forgotten(answer, forgets));
    }
    let Some(session) = posted.asked.visit.session.clone() else {
        return Ok(forgotten(left(Done::LoggedOut), forgets));
    };
    if !posted.fits(&desk.form_key, Binding::Session(session.token_hash()))? {
        return Err(account::out_of_date(&desk, session).await);
    }
    match end(&desk, &posted, &session, &session).await {
        Ok(()) => Ok(forgotten(left(Done::LoggedOut), forgets)),
        Err(refused) => refused
            .of_this_browser()
            .map(|answer| forgotten(answer, forgets)),
    }
}

/// What a person wants to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    ThisBrowser,
    AllDevices,
}

/// Signs out while this node cannot know whether the session lives: the browser forgets it, this gateway ends it, and
/// writes that as soon as the store can be written.
pub(super) async fn leave_untold(
    desk: &Desk,
    posted: &Posted,
    token: TokenHash,
    leaving: Leaving,
) -> Answer {
    if !posted.fits(&desk.form_key, Binding::Session(token))? {
        return Err(super::refusal::out_of_date().into());
    }
    let known = desk.sessions.known(&token);
    let (ended, done) = match (&known, leaving) {
        (Some(me), Leaving::ThisBrowser) => {
            let event = event(posted, me, Action::SessionEnded).detail(me.device());
            let ended = desk.revoker.end_session(me, event).await;
            (told(ended), Done::LoggedOut)
        }
        (Some(me), Leaving::AllDevices) => {
            let event = event(posted, me, Action::SessionsEnded)
                .detail("log out of all devices, on the account page");
            let ended = desk.revoker.end_user(me.user(), event).await;
            (told(ended), Done::LoggedOutEverywhere)
        }
        (None, _) => {
            let client = posted.asked.visit.client.address();
            let ended = desk.revoker.end_unknown(token, client).await;
            (told(ended), Done::LoggedOut)
        }
    };
    match ended {
        Ok(()) if known.is_none() && leaving == Leaving::AllDevices => {
            let why = "The store could not be asked whose session it was";
            Err(signed_out_here(only_this_one(why)).into())
        }
        // It was to end the others, and had no authority left to.
        Err(NotEnded::ActorEnded) if leaving == Leaving::AllDevices => {
            let why = "This session had ended before";
            Err(signed_out_here(only_this_one(why)).into())
        }
        Ok(()) | Err(NotEnded::ActorEnded) => Ok(left(done)),
        Err(NotEnded::Problem(problem)) => Err(signed_out_here(*problem).into()),
    }
}

/// The other sessions of the same user go on.
fn only_this_one(why: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not on all devices").detail(format!(
        "{why}, so your other devices are not logged out: sign in again and repeat it there"
    ))
}

/// The same answer, after which this browser is not known any more either, where that was asked for.
fn forgotten(mut answer: Response, forgets: bool) -> Response {
    if forgets {
        let gone = cookie::clear(cookie::DEVICE);
        answer.headers_mut().append(SET_COOKIE, gone);
    }
    answer
}

/// Why a session is not ended for certain.
pub(super) enum NotEnded {
    /// The session that asked for it has ended meanwhile.
    ActorEnded,
    Problem(Box<Problem>),
}

impl NotEnded {
    /// The session that the browser shows: it is forgotten there, whatever became of it.
    pub(super) fn of_this_browser(self) -> Answer {
        match self {
            // It has ended, which is what was asked for.
            Self::ActorEnded => Ok(left(Done::LoggedOut)),
            Self::Problem(problem) => Err(signed_out_here(*problem).into()),
        }
    }

    /// Another session of the same person.
    pub(super) fn of_another(self, asked: &Asked) -> Refusal {
        match self {
            Self::ActorEnded => asked.sign_in_first(),
            Self::Problem(problem) => (*problem).into(),
        }
    }
}

/// A sign-out that is not done for certain: the browser has no session any more all the same.
pub(super) fn signed_out_here(problem: Problem) -> Problem {
    let detail = format!(
        "This browser is signed out: it has forgotten the session. {}",
        super::view::sentence(problem.detail_text())
    );
    forgetting(problem.detail(detail))
}

/// Ends one session of the person who asks by another of them, or by the same.
pub(super) async fn end(
    desk: &Desk,
    posted: &Posted,
    me: &Session,
    doomed: &Arc<Session>,
) -> Result<(), NotEnded> {
    let event = event(posted, me, Action::SessionEnded)
        .detail(doomed.device())
        .once(&doomed.id().to_string(), None);
    told(desk.revoker.end_session(doomed, event).await)
}

/// The same where the session is not there: it was ended by this very form, whose answer was lost. `None`
/// for any other.
pub(super) async fn end_again(
    desk: &Desk,
    posted: &Posted,
    me: &Session,
    id: &SessionId,
) -> Option<Result<(), NotEnded>> {
    let event = event(posted, me, Action::SessionEnded).once(&id.to_string(), None);
    let whose = Some(&me.user().name);
    let ended = desk.revoker.end_session_again(id, whose, event).await;
    ended.map(told)
}

fn told(ended: Revocation) -> Result<(), NotEnded> {
    let doing = "ending a session";
    ended.tell(
        |_| Ok(()),
        |why| match UsersError::from(why) {
            UsersError::ActorEnded => Err(NotEnded::ActorEnded),
            why => Err(NotEnded::Problem(Box::new(not_written(doing, &why)))),
        },
        |doubt| Err(NotEnded::Problem(Box::new(not_certain(doing, &doubt)))),
    )
}

/// What a person does to the own account.
pub(super) fn event(posted: &Posted, session: &Session, action: Action) -> Event {
    let actor = session.actor(posted.asked.visit.client.address());
    Event::about(actor, action, &session.user().name)
}

/// To the login page, with nothing left in the browser.
pub(super) fn left(done: Done) -> Response {
    let mut response = see_other(&step::to_login(&NextPath::home(), Some(done)));
    forget_browser(response.headers_mut());
    response
}
