//! User name and password. A person who is signed in goes straight on, unless the very address that is
//! asked for needs a fresh sign-in; the new session takes the old one's place.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::asked::{Asked, Posted};
use super::csrf::Stranger;
use super::done::Done;
use super::refusal::{Answer, Refusal, out_of_date};
use super::view::{Complaint, sign_in};
use super::{Desk, page, step};
use crate::login::Next;
use crate::model::{EndedSession, UserName};
use crate::secret::Secret;
use crate::session::Session;
use crate::telemetry::SignIn;
use crate::wire::Problem;

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let next = asked.next();
    let signed_in = asked.session(&desk).ok();
    if let Some(session) = &signed_in
        && asked.goes_straight_on(&desk, &next, session)
    {
        return Ok(page::see_other(next.as_str()));
    }
    let stranger = Stranger::of(&asked.parts);
    let signed_in = signed_in.as_ref();
    let destination = asked.destination(&desk);
    let done = asked.query("done").and_then(|word| Done::read(&word));
    let ended = match asked.visit.ended_token().filter(|_| done.is_none()) {
        Some(token) => desk.why_ended.of(&token).await.map(EndedSession::sentence),
        None => None,
    };
    let notice = done.map(Done::sentence).or(ended.as_deref());
    let form = sign_in::login(&sign_in::Login {
        csrf: &desk.form_key.field(stranger.binding()),
        next: next.as_str(),
        panel: destination.panel(),
        host: destination.host(),
        user: signed_in.map_or("", |session| session.user().name.as_str()),
        notice: notice.or(signed_in.map(|_| SIGNED_IN)),
        complaint: None,
    });
    Ok(stranger.remembered(page::answer(StatusCode::OK, form)))
}

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    let stranger = Stranger::of(&posted.asked.parts);
    let next = posted.next()?;
    let typed = posted.form.optional("user")?;
    if let Some(session) = is_signed_in_already(&desk, &posted, typed)
        && posted.asked.goes_straight_on(&desk, &next, &session)
    {
        return Ok(page::see_other(next.as_str()));
    }
    let destination = posted.asked.destination(&desk);
    let again = |problem: Problem| {
        let is_wrong = problem.status() == StatusCode::UNAUTHORIZED;
        Refusal::on_form(stranger.remembered_in(problem), |problem| {
            sign_in::login(&sign_in::Login {
                csrf: &desk.form_key.field(stranger.binding()),
                next: next.as_str(),
                panel: destination.panel(),
                host: destination.host(),
                user: typed.map_or("", |user| user.expose()),
                notice: None,
                complaint: Some(Complaint::of(problem, is_wrong.then_some("password"))),
            })
        })
    };
    if !posted.fits(&desk.form_key, stranger.binding())? {
        return Err(again(out_of_date()));
    }
    let user = posted.form.required("user")?.expose();
    let password = posted.form.required("password")?.clone();
    let origin = posted.asked.origin();
    let stepped = desk.login.with_password(user, password, &origin).await;
    let stepped = step::counted(&desk, stepped, |step| match step {
        Next::SignedIn(_) => SignIn::SignedIn,
        Next::SecondFactor(_) | Next::Enrol(_) => SignIn::HalfWay,
    });
    match stepped {
        Ok(step) => Ok(step::go_on(&posted.asked, &step, &next)),
        Err(error) => Err(match step::complaint(error) {
            Some(problem) => again(problem),
            None => step::begin_again(&posted.asked, &next),
        }),
    }
}

/// The session of the person whose name was typed: the form was open in another tab while they signed in.
fn is_signed_in_already(
    desk: &Desk,
    posted: &Posted,
    typed: Option<&Secret<String>>,
) -> Option<Arc<Session>> {
    let session = posted.asked.session(desk).ok()?;
    let name = UserName::typed(typed?.expose()).ok()?;
    (session.user().name == name).then_some(session)
}

const SIGNED_IN: &str =
    "You are signed in. What you asked for needs a fresh sign-in, to confirm that it is you.";
