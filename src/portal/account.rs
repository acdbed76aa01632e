//! One's own account: where one is signed in, ending that, and the password.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use maud::Markup;

use super::asked::{Asked, Posted};
use super::csrf::Binding;
use super::done::Done;
use super::logout::{self, Leaving, left, signed_out_here};
use super::page::{self, see_other};
use super::refusal::{
    self, Answer, Refusal, failed, not_acceptable, not_certain, not_written, password_complaint,
};
use super::view::{Complaint, account as view};
use super::{Desk, step};
use crate::model::{Action, Role, SessionId};
use crate::session::Session;
use crate::users::UsersError;
use crate::wire::{Problem, Response};

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let session = asked.session(&desk)?;
    let done = asked.query("done").and_then(|word| Done::read(&word));
    let facts = Facts::read(&desk, session).await?;
    let document = facts.draw(&desk, done.map(Done::sentence), None);
    Ok(page::answer(StatusCode::OK, document))
}

/// The start page of a host that is the portal's alone.
pub(super) async fn at_home() -> Response {
    see_other(step::ACCOUNT)
}

/// Ends one of the person's own sessions.
pub(super) async fn end_session(
    State(desk): State<Arc<Desk>>,
    Path(id): Path<String>,
    posted: Posted,
) -> Answer {
    let session = mine(&desk, &posted).await?;
    let id = SessionId::parse(&id).ok_or_else(no_such_session)?;
    // Another person's session is not found either.
    let mut own = desk.sessions_of(session.user().id).await?.into_iter();
    let doomed = own.find(|session| *session.id() == id);
    let is_mine = id == *session.id();
    let ended = match doomed {
        Some(doomed) => logout::end(&desk, &posted, &session, &doomed).await,
        None => {
            let again = logout::end_again(&desk, &posted, &session, &id).await;
            again.ok_or_else(no_such_session)?
        }
    };
    match ended {
        Ok(()) if is_mine => return Ok(left(Done::LoggedOut)),
        Ok(()) => {}
        Err(refused) if is_mine => return refused.of_this_browser(),
        Err(refused) => return Err(refused.of_another(&posted.asked)),
    }
    Ok(see_other(&format!(
        "{}?done={}",
        step::ACCOUNT,
        Done::SessionEnded.word()
    )))
}

pub(super) async fn log_out_everywhere(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    if let Some(token) = posted.asked.visit.untold {
        return logout::leave_untold(&desk, &posted, token, Leaving::AllDevices).await;
    }
    let session = mine(&desk, &posted).await?;
    let event = logout::event(&posted, &session, Action::SessionsEnded)
        .detail("log out of all devices, on the account page");
    let doing = "logging out of all devices";
    let ended = desk.revoker.end_user(session.user(), event).await;
    ended.tell(
        |_| Ok(left(Done::LoggedOutEverywhere)),
        |why| match UsersError::from(why) {
            UsersError::ActorEnded => Err(posted.asked.sign_in_first()),
            why => Err(signed_out_here(not_written(doing, &why)).into()),
        },
        |doubt| Err(signed_out_here(not_certain(doing, &doubt)).into()),
    )
}

pub(super) async fn change_password(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    let session = mine(&desk, &posted).await?;
    let current = posted.form.required("current_password")?;
    let new = posted.form.required("new_password")?;
    if new.expose() != posted.form.required("new_password_again")?.expose() {
        let field = "new_password_again";
        let problem = not_acceptable(field, refusal::DIFFER);
        return Err(complain(&desk, session, problem, Some(field)).await);
    }
    let client = posted.asked.visit.client.address();
    let changed = desk
        .users
        .change_own_password(&session, current.clone(), new.clone(), client)
        .await;
    let doing = "changing a password";
    let told: Result<Answer, UsersError> = changed.tell(
        |_| Ok(Ok(left(Done::PasswordChanged))),
        Err,
        |doubt| Ok(Err(unsure_of_password(not_certain(doing, &doubt)).into())),
    );
    let refused = match told {
        Ok(answer) => return answer,
        Err(why) => why,
    };
    match refused {
        // The session was ended, or the password changed, while this one was being hashed.
        UsersError::ActorEnded | UsersError::Stale => Err(posted.asked.sign_in_first()),
        why @ UsersError::Unwritten(_) => Err(signed_out_here(not_written(doing, &why)).into()),
        error => {
            let (problem, field) = password_complaint(error, "new_password");
            Err(complain(&desk, session, problem, field).await)
        }
    }
}

/// The session is over on this gateway, and the password is the new one or the one before.
fn unsure_of_password(problem: Problem) -> Problem {
    let detail = format!(
        "{}. Sign in with the new password; if it is not taken, sign in with the one before and change it \
         again",
        problem.detail_text().trim_end_matches('.')
    );
    refusal::forgetting(problem.detail(detail))
}

/// The session, if the form was made for it.
async fn mine(desk: &Desk, posted: &Posted) -> Result<Arc<Session>, Refusal> {
    let session = posted.asked.session(desk)?;
    if posted.fits(&desk.form_key, Binding::Session(session.token_hash()))? {
        return Ok(session);
    }
    Err(out_of_date(desk, session).await)
}

/// The account page again, with forms that fit.
pub(super) async fn out_of_date(desk: &Desk, session: Arc<Session>) -> Refusal {
    complain(desk, session, refusal::out_of_date(), None).await
}

async fn complain(
    desk: &Desk,
    session: Arc<Session>,
    problem: Problem,
    field: Option<&'static str>,
) -> Refusal {
    match Facts::read(desk, session).await {
        Ok(facts) => Refusal::on_form(problem, |problem| {
            facts.draw(desk, None, Some(Complaint::of(problem, field)))
        }),
        Err(failure) => failure.into(),
    }
}

/// What the account page is drawn from.
struct Facts {
    session: Arc<Session>,
    all: Vec<Arc<Session>>,
    factor: view::Factor,
}

impl Facts {
    async fn read(desk: &Desk, session: Arc<Session>) -> Result<Self, Problem> {
        let me = desk.users.person(&session.user().name).await;
        let me = me.map_err(|cause| failed("reading an account", &cause))?;
        let factor = if me.second_factors.is_empty() {
            view::Factor::None
        } else {
            view::Factor::App {
                recovery_codes: me.recovery_codes,
            }
        };
        Ok(Self {
            all: desk.sessions_of(session.user().id).await?,
            session,
            factor,
        })
    }

    fn draw(&self, desk: &Desk, notice: Option<&str>, complaint: Option<Complaint<'_>>) -> Markup {
        let user = self.session.user();
        let rows: Vec<_> = self.all.iter().map(|session| self.row(session)).collect();
        view::account(&view::Account {
            csrf: &desk
                .form_key
                .field(Binding::Session(self.session.token_hash())),
            user: user.name.as_str(),
            role: user.role.as_str(),
            administers: user.role == Role::Administrator,
            email: user.email.as_deref(),
            sessions: &rows,
            factor: self.factor,
            min_length: desk.config.now().min_password_length(user.role),
            now: desk.clock.now(),
            notice,
            complaint,
        })
    }

    fn row<'a>(&self, session: &'a Session) -> view::SessionRow<'a> {
        view::SessionRow {
            id: session.id().to_string(),
            device: session.device(),
            address: session.address().to_string(),
            created: session.created(),
            last_seen: session.last_seen(),
            is_this: session.id() == self.session.id(),
        }
    }
}

fn no_such_session() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such session")
        .detail("this session is not there; it may have ended already")
}
