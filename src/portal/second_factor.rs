//! The second step: a code from the app, or a recovery code.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::Desk;
use super::asked::{Asked, Posted};
use super::page::{self, see_other};
use super::refusal::{Answer, Refusal, out_of_date};
use super::step::{self, UnderWay};
use super::view::{Complaint, sign_in};
use crate::credentials::typed::folded;
use crate::login::WaitsFor;
use crate::telemetry::SignIn;
use crate::wire::{NextPath, Problem};

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let next = asked.next();
    let under_way = step::under_way(&desk, &asked, &next).await?;
    if under_way.waits_for == WaitsFor::Enrolment {
        return Ok(see_other(&step::with_next(step::ENROL, &next)));
    }
    let form = draw(&desk, &under_way, &next, None, false);
    Ok(page::answer(StatusCode::OK, form))
}

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    let next = posted.next()?;
    let under_way = step::under_way(&desk, &posted.asked, &next).await?;
    if under_way.waits_for == WaitsFor::Enrolment {
        return Ok(see_other(&step::with_next(step::ENROL, &next)));
    }
    let typed = posted.form.optional("code")?;
    let is_letter = |symbol: char| symbol.is_ascii_alphabetic();
    let tries_recovery = typed.is_some_and(|code| folded(code.expose()).contains(is_letter));
    let again = |problem: Problem| {
        let is_wrong = problem.status() == StatusCode::UNAUTHORIZED;
        Refusal::on_form(problem, |problem| {
            let complaint = Complaint::of(problem, is_wrong.then_some("code"));
            draw(&desk, &under_way, &next, Some(complaint), tries_recovery)
        })
    };
    if !posted.fits(&desk.form_key, under_way.binding())? {
        return Err(again(out_of_date()));
    }
    let code = posted.form.required("code")?.expose();
    let origin = posted.asked.origin();
    let stepped = desk.login.with_code(under_way.cookie, code, &origin).await;
    match step::counted(&desk, stepped, |_| SignIn::SignedIn) {
        Ok(session) => {
            let mut response = see_other(next.as_str());
            step::let_in(response.headers_mut(), &session);
            Ok(response)
        }
        Err(error) => Err(match step::complaint(error) {
            Some(problem) => again(problem),
            None => step::begin_again(&posted.asked, &next),
        }),
    }
}

fn draw(
    desk: &Desk,
    under_way: &UnderWay<'_>,
    next: &NextPath,
    complaint: Option<Complaint<'_>>,
    tries_recovery: bool,
) -> maud::Markup {
    sign_in::second_factor(&sign_in::SecondFactor {
        csrf: &desk.form_key.field(under_way.binding()),
        next: next.as_str(),
        user: under_way.user.as_str(),
        login: &step::to_login(next, None),
        tries_recovery,
        complaint,
    })
}
