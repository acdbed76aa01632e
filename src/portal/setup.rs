//! The page behind a one-time link: whoever holds the link chooses the password.
//!
//! The link's address is left at once for one without the token, which a cookie holds from then on: an
//! address is kept in histories, read by pages of the same origin (`navigation.entries()`), and shown to
//! whoever looks on. Opening it spends nothing.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use http::header::SET_COOKIE;

use super::asked::{Asked, Posted};
use super::csrf::Stranger;
use super::done::Done;
use super::page::see_other;
use super::refusal::{
    Answer, DIFFER, Refusal, failed, not_acceptable, not_certain, out_of_date, password_complaint,
    too_many_links,
};
use super::view::{Complaint, sign_in};
use super::{Desk, page, step};
use crate::model::{ClientAddress, User, UserName};
use crate::users::UsersError;
use crate::wire::cookie::{self, Found};
use crate::wire::{NextPath, Problem, RequestId, Response};

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    if let Some(token) = asked.query("token") {
        return Ok(match holder(&desk, &token, &asked).await? {
            Holder::SetsUp(_) => opened(&token),
            Holder::HasSetUp(_) => used(),
        });
    }
    let stranger = Stranger::of(&asked.parts);
    let token = token(&asked)?;
    let user = match holder(&desk, &token, &asked).await? {
        Holder::SetsUp(user) => user,
        Holder::HasSetUp(_) => return Ok(used()),
    };
    let form = draw(&desk, &stranger, &token, &user, None);
    Ok(stranger.remembered(page::answer(StatusCode::OK, form)))
}

pub(super) async fn post(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    let stranger = Stranger::of(&posted.asked.parts);
    let token = token(&posted.asked)?;
    let user = match holder(&desk, &token, &posted.asked).await? {
        Holder::SetsUp(user) => user,
        Holder::HasSetUp(name) => {
            let fits = posted.fits(&desk.form_key, stranger.binding_to(&token))?;
            return go_on(&desk, &posted, name, fits).await;
        }
    };
    let again = |problem: Problem, field| {
        Refusal::on_form(stranger.remembered_in(problem), |problem| {
            let complaint = Complaint::of(problem, field);
            draw(&desk, &stranger, &token, &user, Some(complaint))
        })
    };
    if !posted.fits(&desk.form_key, stranger.binding_to(&token))? {
        return Err(again(out_of_date(), None));
    }
    let password = posted.form.required("password")?;
    if password.expose() != posted.form.required("password_again")?.expose() {
        let problem = not_acceptable("password_again", DIFFER);
        return Err(again(problem, Some("password_again")));
    }
    let origin = posted.asked.origin();
    let set = desk.users.set_up(&token, password.clone(), &origin).await;
    set.tell(
        |next| match next {
            Ok(step) => {
                let next = NextPath::home();
                Ok(left(step::go_on(&posted.asked, &step, &next)))
            }
            // The password is set all the same.
            Err(_) => {
                let login = step::to_login(&NextPath::home(), Some(Done::PasswordSet));
                Ok(left(see_other(&login)))
            }
        },
        |why| match why {
            UsersError::LinkSpent => Err(no_such_link().into()),
            error => {
                let (problem, field) = password_complaint(error, "password");
                Err(again(problem, field))
            }
        },
        |doubt| Err(unsure(not_certain("setting a first password", &doubt)).into()),
    )
}

/// The link is spent or not: signing in tells.
fn unsure(problem: Problem) -> Problem {
    let detail = format!(
        "{}. Sign in with the new password; if it is not taken, open the link again",
        problem.detail_text().trim_end_matches('.')
    );
    problem.detail(detail)
}

fn draw(
    desk: &Desk,
    stranger: &Stranger,
    token: &str,
    user: &User,
    complaint: Option<Complaint<'_>>,
) -> maud::Markup {
    sign_in::setup(&sign_in::Setup {
        csrf: &desk.form_key.field(stranger.binding_to(token)),
        user: user.name.as_str(),
        min_length: desk.config.now().min_password_length(user.role),
        complaint,
    })
}

/// To the same page, which the cookie opens from now on.
fn opened(token: &str) -> Response {
    let mut response = see_other(PAGE);
    let held = cookie::set(cookie::SETUP, token);
    response.headers_mut().append(SET_COOKIE, held);
    response
}

/// The link has done its work.
fn left(mut response: Response) -> Response {
    let gone = cookie::clear(cookie::SETUP);
    response.headers_mut().append(SET_COOKIE, gone);
    response
}

/// Of the link that this browser has opened.
fn token(asked: &Asked) -> Result<String, Problem> {
    match cookie::find(&asked.parts.headers, cookie::SETUP) {
        Found::One(token) => Ok(token.to_owned()),
        Found::None | Found::Conflict => Err(no_link_opened()),
    }
}

fn no_link_opened() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no link opened").detail(
        "This page is behind a one-time link: open the link itself, in this browser, which must keep \
         cookies. If you have set your password already, sign in. Else ask an administrator of this gateway \
         for a new link; they make one on your page under Users",
    )
}

const PAGE: &str = "/.portcullis/setup";

/// Who holds a link.
enum Holder {
    SetsUp(User),
    /// The link is spent, and the answer to that may have been lost.
    HasSetUp(UserName),
}

/// Whose link it is. It is looked up first: a right link is never held up by wrong ones.
async fn holder(desk: &Desk, token: &str, asked: &Asked) -> Result<Holder, Problem> {
    let failed = |cause: UsersError| failed("reading a set-up link", &cause);
    match desk.users.setup_user(token).await {
        Ok(user) => return Ok(Holder::SetsUp(user)),
        Err(UsersError::LinkSpent) => {}
        Err(cause) => return Err(failed(cause)),
    }
    match desk.users.set_up_before(token).await.map_err(failed)? {
        Some(name) => Ok(Holder::HasSetUp(name)),
        None => Err(desk.wrong_link(asked.origin().address).await),
    }
}

/// The form again, whose first answer was lost: with the password that it set there it goes on from there.
async fn go_on(desk: &Desk, posted: &Posted, name: UserName, fits: bool) -> Answer {
    let typed = posted.form.optional("password")?.filter(|_| fits);
    let Some(password) = typed else {
        return Ok(used());
    };
    let (users, origin) = (&desk.users, posted.asked.origin());
    let step = users.go_on_after_set_up(&name, password.clone(), &origin);
    Ok(match step.await {
        Ok(step) => left(step::go_on(&posted.asked, &step, &NextPath::home())),
        Err(_) => used(),
    })
}

/// To sign in with the password that the link has set.
fn used() -> Response {
    let login = step::to_login(&NextPath::home(), Some(Done::LinkUsed));
    left(see_other(&login))
}

impl Desk {
    /// Counts a link that does not work, and tells of a run of them; what to answer.
    async fn wrong_link(&self, client: ClientAddress) -> Problem {
        self.metrics.setup_link_refused();
        let rate = self.config.now().throttle.per_address;
        let wrong = self.wrong_links.count(client, rate, self.clock.now());
        if wrong.begins_run {
            tracing::warn!(%client, request = %RequestId::current(), "a set-up link was refused");
            self.users.tell_of_refused_link(client.address()).await;
        }
        if wrong.reaches_limit {
            tracing::warn!(%client, "{} wrong set-up links: further ones of this address are answered with 429", rate.count);
        }
        match wrong.wait {
            Some(wait) => too_many_links(wait),
            None => no_such_link(),
        }
    }
}

/// One answer for a link that never was, was used, has expired or was replaced.
fn no_such_link() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "this link does not work").detail(
        "It has been used, has expired, was replaced by a newer one, or your account was changed after it was \
         made. See that it is whole. If you have set your password already, sign in. Else ask an \
         administrator of this gateway for a new link; they make one on your page under Users, or on the \
         gateway's machine with `portcullis user link NAME`",
    )
}
