//! A first second factor, and the recovery codes, which are seen here and never again.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use super::Desk;
use super::asked::{Asked, Posted};
use super::page::{self, see_other};
use super::refusal::{Answer, Refusal, out_of_date};
use super::step::{self, UnderWay};
use super::view::{Complaint, enrol as view};
use crate::login::{Enrolment, WaitsFor};
use crate::telemetry::SignIn;
use crate::wire::{NextPath, Problem};

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let next = asked.next();
    let under_way = step::under_way(&desk, &asked, &next).await?;
    if under_way.waits_for == WaitsFor::Code {
        return Ok(see_other(&step::with_next(step::SECOND_FACTOR, &next)));
    }
    let refused = |error| step::refused(error, &asked, &next);
    let enrolment = desk
        .login
        .enrolment(under_way.cookie)
        .await
        .map_err(refused)?;
    let form = draw(&desk, &asked, &under_way, &enrolment, &next, None);
    Ok(page::answer(StatusCode::OK, form))
}

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    let next = posted.next()?;
    let under_way = step::under_way(&desk, &posted.asked, &next).await?;
    if under_way.waits_for == WaitsFor::Code {
        // There is a factor already: it has to be shown, not replaced (F1).
        return Ok(see_other(&step::with_next(step::SECOND_FACTOR, &next)));
    }
    let refused = |error| step::refused(error, &posted.asked, &next);
    let enrolment = desk
        .login
        .enrolment(under_way.cookie)
        .await
        .map_err(refused)?;
    let again = |problem: Problem| {
        let is_wrong = problem.status() == StatusCode::UNAUTHORIZED;
        Refusal::on_form(problem, |problem| {
            let complaint = Complaint::of(problem, is_wrong.then_some("code"));
            draw(
                &desk,
                &posted.asked,
                &under_way,
                &enrolment,
                &next,
                Some(complaint),
            )
        })
    };
    if !posted.fits(&desk.form_key, under_way.binding())? {
        return Err(again(out_of_date()));
    }
    let code = posted.form.required("code")?.expose();
    let origin = posted.asked.origin();
    let stepped = desk.login.enrol(under_way.cookie, code, &origin).await;
    match step::counted(&desk, stepped, |_| SignIn::SignedIn) {
        Ok(enrolled) => {
            let codes: Vec<_> = enrolled
                .recovery_codes
                .iter()
                .map(|code| code.text())
                .collect();
            let codes = view::recovery_codes(&view::RecoveryCodes {
                codes: &codes,
                next: next.as_str(),
            });
            let mut response = page::answer(StatusCode::OK, codes);
            step::let_in(response.headers_mut(), &enrolled.session);
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
    asked: &Asked,
    under_way: &UnderWay<'_>,
    enrolment: &Enrolment,
    next: &NextPath,
    complaint: Option<Complaint<'_>>,
) -> maud::Markup {
    view::enrol(&view::Enrol {
        csrf: &desk.form_key.field(under_way.binding()),
        next: next.as_str(),
        user: under_way.user.as_str(),
        secret: enrolment.secret_text.expose(),
        minutes: enrolment.left.as_secs().div_ceil(60),
        is_another: asked.query("done").as_deref() == Some(step::ANOTHER),
        qr_svg: enrolment.qr_svg.expose(),
        complaint,
    })
}
