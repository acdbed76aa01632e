//! User name and password. Also the page for signing in again, so a live session sees it too; the
//! new session takes the old one's place.

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
use crate::telemetry::SignIn;
use crate::wire::Problem;

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let stranger = Stranger::of(&asked.parts);
    let signed_in = asked.visit.session.as_ref();
    let done = asked.query("done").and_then(|word| Done::read(&word));
    let notice = done.map(Done::sentence);
    let form = sign_in::login(&sign_in::Login {
        csrf: &desk.form_key.field(stranger.binding()),
        next: asked.next().as_str(),
        site: desk.site(),
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
    let again = |problem: Problem| {
        let is_wrong = problem.status() == StatusCode::UNAUTHORIZED;
        Refusal::on_form(stranger.remembered_in(problem), |problem| {
            sign_in::login(&sign_in::Login {
                csrf: &desk.form_key.field(stranger.binding()),
                next: next.as_str(),
                site: desk.site(),
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
        Ok(step) => Ok(step::go_on(&step, &next)),
        Err(error) => Err(match step::complaint(error) {
            Some(problem) => again(problem),
            None => step::begin_again(&posted.asked, &next),
        }),
    }
}

const SIGNED_IN: &str =
    "You are signed in. What you asked for needs a fresh sign-in, to confirm that it is you.";
