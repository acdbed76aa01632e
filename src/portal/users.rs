//! Everybody, for administrators: the list with its search, and somebody new.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use maud::Markup;

use super::asked::{Asked, Posted};
use super::csrf::Binding;
use super::done::Done;
use super::form::Form;
use super::page;
use super::refusal::{self, Answer, Refusal, failed, not_acceptable, not_certain, not_written};
use super::user::{self, Said};
use super::view::{Complaint, sentence, users as view};
use super::{Desk, step};
use crate::model::{Role, User, UserName};
use crate::session::Session;
use crate::store::Person;
use crate::users::{UsersError, email_address};
use crate::wire::Problem;

/// The one place where the portal asks whether somebody may manage people: for each page, and again for
/// each post. A change of role ends the sessions of its user, so the role that a session knows is the role
/// of today.
pub(super) fn administrator(desk: &Desk, asked: &Asked) -> Result<Arc<Session>, Refusal> {
    let session = asked.session(desk)?;
    if session.user().role != Role::Administrator {
        let problem = Problem::new(StatusCode::FORBIDDEN, "for administrators only");
        return Err(problem
            .detail("only an administrator can see this page or do what it offers")
            .into());
    }
    let config = desk.config.now();
    let administration = &config.gateway.administration;
    if !administration.admits(asked.visit.client) {
        let problem = Problem::new(StatusCode::FORBIDDEN, "not from this network");
        return Err(problem
            .detail(format!(
                "people are managed from the networks of administrators alone, and {} is in none of them; \
                 nothing was done. Come from one of these networks, or have the address added to \
                 administrators_from",
                asked.visit.client
            ))
            .into());
    }
    if !administration.is_recent(session.created(), desk.clock.now()) {
        return Err(asked.sign_in_first());
    }
    Ok(session)
}

/// Whether a page is one that [`administrator`] guards.
pub(super) fn is_of_administrators(path: &str) -> bool {
    const PAGES: [&str; 2] = ["/.portcullis/users", "/.portcullis/audit"];
    PAGES.iter().any(|page| {
        let below = path.strip_prefix(page);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer {
    let me = administrator(&desk, &asked)?;
    let search = asked.query("q").unwrap_or_default();
    let done = asked.query("done").and_then(|word| Done::read(&word));
    let people = everybody(&desk).await?;
    let document = draw(
        &desk,
        &me,
        &people,
        &Shown {
            search: &search,
            notice: done.map(Done::sentence),
            ..Shown::default()
        },
    );
    Ok(page::answer(StatusCode::OK, document))
}

/// Adds somebody, and shows the link to a first password, once.
pub(super) async fn add(State(desk): State<Arc<Desk>>, posted: Posted) -> Answer {
    let me = administrator(&desk, &posted.asked)?;
    if !posted.fits(&desk.form_key, Binding::Session(me.token_hash()))? {
        return Err(complain(&desk, &me, &posted.form, refusal::out_of_date(), None).await);
    }
    let (name, role, email) = match newcomer(&posted.form) {
        Ok(newcomer) => newcomer,
        Err((problem, field)) => {
            return Err(complain(&desk, &me, &posted.form, problem, field).await);
        }
    };
    let actor = me.actor(posted.asked.visit.client.address());
    let added = desk.users.add(name, role, email, actor).await;
    let refused = match added.tell(
        Ok,
        |why| Err(Ok(why)),
        |doubt| Err(Err(not_certain("adding a user", &doubt))),
    ) {
        Ok((user, link)) => {
            let said = Said::link(&desk, format!("{} is added.", user.name), &link);
            return Ok(user::page_after(&desk, &me, newly_added(user), &said).await);
        }
        Err(refused) => refused,
    };
    match refused {
        Ok(UsersError::NameTaken) => {
            let problem = not_acceptable("user", "There is a user of this name already.");
            Err(complain(&desk, &me, &posted.form, problem, Some("user")).await)
        }
        Ok(UsersError::ActorEnded) => Err(posted.asked.sign_in_first()),
        Ok(cause) => Err(not_written("adding a user", &cause).into()),
        Err(unsure) => Err(unsure.into()),
    }
}

/// What there is to show of somebody who was just added.
fn newly_added(user: User) -> Person {
    Person {
        user,
        has_password: false,
        second_factors: Vec::new(),
        recovery_codes: 0,
        sessions: 0,
        locked: false,
    }
}

type Wrong = (Problem, Option<&'static str>);

fn newcomer(form: &Form) -> Result<(UserName, Role, Option<String>), Wrong> {
    let plain = |problem: Problem| (problem, None);
    let name = form.required("user").map_err(plain)?;
    let name = UserName::parse_new(name.expose().trim()).map_err(|fault| {
        let text = sentence(&fault.to_string());
        (not_acceptable("user", text), Some("user"))
    })?;
    Ok((name, role(form)?, email(form)?))
}

/// The role of a form.
pub(super) fn role(form: &Form) -> Result<Role, Wrong> {
    let text = form.required("role").map_err(|problem| (problem, None))?;
    text.expose().parse::<Role>().map_err(|fault| {
        let text = sentence(&fault.to_string());
        (not_acceptable("role", text), Some("role"))
    })
}

/// The address of a form; an empty field is none.
pub(super) fn email(form: &Form) -> Result<Option<String>, Wrong> {
    let text = form.optional("email").map_err(|problem| (problem, None))?;
    let text = text.map(|text| text.expose().trim().to_owned());
    let given = text.filter(|text| !text.is_empty());
    given
        .map(|text| email_address(&text))
        .transpose()
        .map_err(|fault| (not_acceptable("email", sentence(fault)), Some("email")))
}

async fn complain(
    desk: &Desk,
    me: &Session,
    form: &Form,
    problem: Problem,
    field: Option<&'static str>,
) -> Refusal {
    let people = match everybody(desk).await {
        Ok(people) => people,
        Err(failure) => return failure.into(),
    };
    let typed = |name| {
        form.optional(name)
            .ok()
            .flatten()
            .map(|text| text.expose().clone())
    };
    let (user, email) = (typed("user"), typed("email"));
    Refusal::on_form(problem, |problem| {
        draw(
            desk,
            me,
            &people,
            &Shown {
                user: user.as_deref().unwrap_or_default(),
                email: email.as_deref().unwrap_or_default(),
                complaint: Some(Complaint::of(problem, field)),
                ..Shown::default()
            },
        )
    })
}

async fn everybody(desk: &Desk) -> Result<Vec<Person>, Problem> {
    let people = desk.users.list().await;
    people.map_err(|cause| failed("reading the users", &cause))
}

/// What stands on the page beside the people.
#[derive(Default)]
struct Shown<'a> {
    search: &'a str,
    user: &'a str,
    email: &'a str,
    notice: Option<&'static str>,
    complaint: Option<Complaint<'a>>,
}

fn draw(desk: &Desk, me: &Session, people: &[Person], shown: &Shown<'_>) -> Markup {
    let sought = shown.search.trim().to_lowercase();
    let found: Vec<view::Row<'_>> = people
        .iter()
        .filter(|person| is_meant(person, &sought))
        .map(|person| view::Row {
            name: person.user.name.as_str(),
            path: step::to_user(&person.user.name),
            role: person.user.role.as_str(),
            email: person.user.email.as_deref(),
            disabled: person.user.disabled,
            locked: person.locked,
            has_factor: !person.second_factors.is_empty(),
            // Those of other nodes need not be known here.
            sessions: match desk.sessions.is_shared() {
                true => person.sessions,
                false => desk.sessions.of(person.user.id).len(),
            },
        })
        .collect();
    view::users(&view::Users {
        csrf: &desk.form_key.field(Binding::Session(me.token_hash())),
        me: me.user().name.as_str(),
        search: shown.search,
        all: people.len(),
        rows: &found,
        user: shown.user,
        email: shown.email,
        notice: shown.notice,
        complaint: shown.complaint,
    })
}

/// Whether a search, in lower case, means this person.
fn is_meant(person: &Person, sought: &str) -> bool {
    let user = &person.user;
    let email = user.email.as_deref().unwrap_or_default().to_lowercase();
    user.name.as_str().contains(sought)
        || user.role.as_str().contains(sought)
        || email.contains(sought)
}
