//! One user, for administrators: what there is to see, and every act on the account.
//!
//! Nobody acts on the own account here, save to log out: a password is changed with the current one
//! as proof, and nobody takes the own role away by a slip.

use std::sync::Arc;

use axum::extract::{Path, State};
use http::StatusCode;
use maud::Markup;

use super::Desk;
use super::asked::{Asked, Posted};
use super::csrf::Binding;
use super::done::Done;
use super::form::Form;
use super::logout::{left, signed_out_here};
use super::page::{self, see_other};
use super::refusal::{self, Answer, Refusal, not_written, password_complaint};
use super::users::{administrator, email, role};
use super::view::{Complaint, sentence, user as view};
use crate::credentials::generator;
use crate::model::{Action, Actor, Event, UserName};
use crate::revoke::{Doubt, Report};
use crate::session::Session;
use crate::store::Person;
use crate::users::{Changed, Edit, SetupLink, UsersError};
use crate::wire::{Problem, Response};

/// What an administrator can do to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Password,
    LogOutAll,
    Disable,
    Enable,
    ResetSecondFactor,
    Role,
    Email,
    SetupLink,
    Remove,
}

/// What the page tells after an act.
#[derive(Default)]
pub(super) struct Said {
    notice: Option<String>,
    /// Shown this once.
    setup_url: Option<String>,
    /// A password that is offered.
    suggestion: Option<String>,
}

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Path(name): Path<String>,
    asked: Asked,
) -> Answer {
    let me = administrator(&desk, &asked)?;
    let name = read(&name)?;
    let suggestion = asked.query("suggest");
    let said = Said {
        suggestion: suggestion.map(|_| generator::password().expose().clone()),
        ..Said::default()
    };
    page(&desk, &me, &name, &said).await
}

pub(super) async fn act(
    State(desk): State<Arc<Desk>>,
    Path((name, act)): Path<(String, String)>,
    posted: Posted,
) -> Answer {
    let me = administrator(&desk, &posted.asked)?;
    let Some(act) = Act::read(&act) else {
        return Err(refusal::no_such_page().await);
    };
    let name = read(&name)?;
    let person = match desk.users.person(&name).await {
        Ok(person) => person,
        Err(UsersError::Unknown) if act == Act::Remove => {
            return removed_before(&desk, &me, &name, &posted).await;
        }
        Err(cause) => return Err(refused(cause).0.into()),
    };
    if !posted.fits(&desk.form_key, Binding::Session(me.token_hash()))? {
        return Err(complain(&desk, &me, &person, refusal::out_of_date(), None).await);
    }
    let is_me = person.user.id == me.user().id;
    if is_me && act != Act::LogOutAll {
        return Err(complain(&desk, &me, &person, yourself(), None).await);
    }
    let by = me.actor(posted.asked.visit.client.address());
    match perform(&desk, act, &person, &posted, by).await {
        Ok(_) if is_me => Ok(left(Done::LoggedOutEverywhere)),
        Ok(_) if act == Act::Remove => Ok(removed()),
        Ok(said) => Ok(page_after(&desk, &me, person, &said).await),
        // The session has ended while this was under way: it is shown nothing more.
        Err((problem, _)) if problem.status() == StatusCode::UNAUTHORIZED => {
            Err(posted.asked.sign_in_first())
        }
        // Whoever wanted to be signed out is so in this browser.
        Err((problem, _)) if is_me && problem.status().is_server_error() => {
            Err(signed_out_here(problem).into())
        }
        Err((problem, field)) => Err(complain(&desk, &me, &person, problem, field).await),
    }
}

fn removed() -> Response {
    let done = Done::UserRemoved.word();
    see_other(&format!("/.portcullis/users?done={done}"))
}

/// There is no such user, perhaps because this very form has removed it, and its answer was lost.
async fn removed_before(desk: &Desk, me: &Session, name: &UserName, posted: &Posted) -> Answer {
    if !posted.fits(&desk.form_key, Binding::Session(me.token_hash()))? {
        return Err(refusal::out_of_date().into());
    }
    let by = me.actor(posted.asked.visit.client.address());
    let again = desk.users.remove(name, by).await;
    again.tell(
        |_| Ok(removed()),
        |why| Err(refused(why).0.into()),
        |doubt| Err(unsure(&doubt).0.into()),
    )
}

type Wrong = (Problem, Option<&'static str>);

async fn perform(
    desk: &Desk,
    act: Act,
    person: &Person,
    posted: &Posted,
    by: Actor,
) -> Result<Said, Wrong> {
    let users = &desk.users;
    let name = &person.user.name;
    let edit = match act {
        Act::Password => {
            let new = posted.form.required("new_password");
            let new = new.map_err(|problem| (problem, None))?.clone();
            let set = users.set_password(name, new, by).await;
            let done = "The password is set.";
            return set.tell(
                |report| Ok(Said::ended(done, &report)),
                |why| match why {
                    why @ UsersError::Stale => Err(refused(why)),
                    why => Err(password_complaint(why, "new_password")),
                },
                |doubt| Err(unsure(&doubt)),
            );
        }
        Act::LogOutAll => {
            let event = Event::about(by, Action::SessionsEnded, name)
                .detail("log out of all devices, on the users page");
            let ended = desk.revoker.end_user(&person.user, event).await;
            let ended = ended.map_not_done(UsersError::from);
            return told_as("Logged out of all devices.", ended);
        }
        Act::ResetSecondFactor => {
            let done = "The second factor is taken away; the next sign-in sets up a new one.";
            return told_as(done, users.reset_second_factor(name, by).await);
        }
        Act::SetupLink => {
            let link = users.renew_setup_link(&person.user, by).await;
            return link.tell(
                |link| Ok(Said::link(desk, "The link is made.".to_owned(), &link)),
                |why| Err(refused(why)),
                |doubt| Err(unsure(&doubt)),
            );
        }
        Act::Remove => return told_as("The user is removed.", users.remove(name, by).await),
        Act::Disable | Act::Enable | Act::Role | Act::Email => edit(act, &posted.form)?,
    };
    let edited = users.edit(name, edit, by).await;
    edited.tell(
        |edited| {
            Ok(match edited.ended {
                Some(report) => Said::ended("The account is changed.", &report),
                None => Said {
                    notice: Some("It was so already: nothing was changed.".to_owned()),
                    ..Said::default()
                },
            })
        },
        |why| Err(refused(why)),
        |doubt| Err(unsure(&doubt)),
    )
}

/// What is to be different after an act that changes the account.
fn edit(act: Act, form: &Form) -> Result<Edit, Wrong> {
    let mut edit = Edit::default();
    match act {
        Act::Disable => edit.disabled = Some(true),
        Act::Enable => edit.disabled = Some(false),
        Act::Role => edit.role = Some(role(form)?),
        Act::Email => edit.email = Some(email(form)?),
        Act::Password | Act::LogOutAll | Act::ResetSecondFactor | Act::SetupLink | Act::Remove => {}
    }
    Ok(edit)
}

/// What became of an act that ends sessions.
fn told_as(done: &str, changed: Changed<Report>) -> Result<Said, Wrong> {
    changed.tell(
        |report| Ok(Said::ended(done, &report)),
        |why| Err(refused(why)),
        |doubt| Err(unsure(&doubt)),
    )
}

fn unsure(doubt: &Doubt) -> Wrong {
    (refusal::not_certain("changing a user", doubt), None)
}

/// The page of one user, as it is now.
async fn page(desk: &Desk, me: &Session, name: &UserName, said: &Said) -> Answer {
    let person = person(desk, name).await?;
    let sessions = desk.sessions_of(person.user.id).await?;
    let document = draw(desk, me, &person, &sessions, said, None);
    Ok(page::answer(StatusCode::OK, document))
}

/// The page after an act that is done. What the act has to tell is told in any case: where the user
/// can't be read now, the page shows what was known before.
pub(super) async fn page_after(desk: &Desk, me: &Session, known: Person, said: &Said) -> Response {
    let user = known.user.id;
    let read = desk.users.person(&known.user.name).await;
    let person = read.unwrap_or(known);
    let sessions = desk.sessions_of(user).await;
    let sessions = sessions.unwrap_or_else(|_| desk.sessions.of(user));
    let document = draw(desk, me, &person, &sessions, said, None);
    page::answer(StatusCode::OK, document)
}

async fn complain(
    desk: &Desk,
    me: &Session,
    person: &Person,
    problem: Problem,
    field: Option<&'static str>,
) -> Refusal {
    let sessions = match desk.sessions_of(person.user.id).await {
        Ok(sessions) => sessions,
        // The form can't be shown, and what is wrong is told all the same.
        Err(_) => return problem.into(),
    };
    Refusal::on_form(problem, |problem| {
        let complaint = Complaint::of(problem, field);
        draw(
            desk,
            me,
            person,
            &sessions,
            &Said::default(),
            Some(complaint),
        )
    })
}

fn draw(
    desk: &Desk,
    me: &Session,
    person: &Person,
    sessions: &[Arc<Session>],
    said: &Said,
    complaint: Option<Complaint<'_>>,
) -> Markup {
    let user = &person.user;
    let rows: Vec<view::SessionRow<'_>> = sessions
        .iter()
        .map(|session| view::SessionRow {
            device: session.device(),
            address: session.address().to_string(),
            last_seen: session.last_seen(),
            connections: session.open_exchanges(),
        })
        .collect();
    view::user(&view::User {
        csrf: &desk.form_key.field(Binding::Session(me.token_hash())),
        me: me.user().name.as_str(),
        name: user.name.as_str(),
        path: &super::step::to_user(&user.name),
        role: user.role,
        email: user.email.as_deref(),
        disabled: user.disabled,
        locked: person.locked,
        is_me: user.id == me.user().id,
        has_password: person.has_password,
        has_factor: !person.second_factors.is_empty(),
        sessions: &rows,
        place: match desk.sessions.is_shared() {
            true => " on this node",
            false => "",
        },
        min_length: desk.config.now().min_password_length(user.role),
        history: desk.config.now().password.history,
        now: desk.clock.now(),
        notice: said.notice.as_deref(),
        setup_url: said.setup_url.as_deref(),
        suggestion: said.suggestion.as_deref(),
        complaint,
    })
}

impl Said {
    fn ended(done: &str, outcome: &Report) -> Self {
        let sessions = plural(outcome.sessions_ended, "session");
        let open = plural(outcome.connections_closed, "open connection");
        Self {
            notice: Some(format!("{done} Ended: {sessions}; cut: {open}.")),
            ..Self::default()
        }
    }

    /// A one-time link, said once.
    pub(super) fn link(desk: &Desk, done: String, link: &SetupLink) -> Self {
        let path = format!("/.portcullis/setup?token={}", link.token.expose());
        Self {
            notice: Some(done),
            setup_url: Some(desk.config.now().gateway.portal_url().join(&path)),
            ..Self::default()
        }
    }
}

impl Act {
    /// Reads the last part of a path.
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "password" => Self::Password,
            "logout-all" => Self::LogOutAll,
            "disable" => Self::Disable,
            "enable" => Self::Enable,
            "reset-second-factor" => Self::ResetSecondFactor,
            "role" => Self::Role,
            "email" => Self::Email,
            "setup-link" => Self::SetupLink,
            "remove" => Self::Remove,
            _ => return None,
        })
    }
}

fn plural(count: usize, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    }
}

fn read(name: &str) -> Result<UserName, Problem> {
    // What can't be a name is nobody's.
    UserName::parse(name).map_err(|_| no_such_user())
}

async fn person(desk: &Desk, name: &UserName) -> Result<Person, Problem> {
    let found = desk.users.person(name).await;
    found.map_err(|cause| refused(cause).0)
}

fn refused(cause: UsersError) -> Wrong {
    let problem = match cause {
        UsersError::Unknown => no_such_user(),
        cause @ UsersError::LastAdministrator => {
            Problem::new(StatusCode::CONFLICT, "last administrator")
                .detail(sentence(&cause.to_string()))
        }
        UsersError::ActorEnded => refusal::session_ended(),
        cause @ UsersError::Stale => Problem::new(StatusCode::CONFLICT, "changed meanwhile")
            .detail(sentence(&cause.to_string())),
        cause => not_written("changing a user", &cause),
    };
    (problem, None)
}

fn no_such_user() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such user").detail("there is no user of this name")
}

fn yourself() -> Problem {
    Problem::new(StatusCode::CONFLICT, "your own account").detail(
        "This is your own account: change your password on the account page, and leave the rest to \
         another administrator.",
    )
}
