//! How a portal page says no: one refusal, seen as a page by people and as a document by programs.

use std::fmt::Display;
use std::time::Duration;

use axum::response::IntoResponse;
use http::header::{
    ALLOW, CONTENT_SECURITY_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use maud::Markup;

use super::view::problem::{self, problem as problem_page};
use super::{page, view};
use crate::gate::{self, forget_browser};
use crate::login::SignInError;
use crate::model::EndedSession;
use crate::revoke::Doubt;
use crate::users::UsersError;
use crate::wire::{Body, Problem, Response};

/// Why a request was not done. Who reads it is not known yet, so it is drawn at the end, by [`finish`].
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    problem: Problem,
    people_see: Seen,
}

/// What a person is shown in place of the document.
#[derive(Debug, Clone)]
enum Seen {
    /// The page for problems.
    ErrorPage,
    /// The form again, with the complaint on it.
    Form(Markup),
    /// The page to go to first, by 303.
    Elsewhere(String),
}

/// What a handler comes to.
pub(super) type Answer = Result<Response, Refusal>;

impl Refusal {
    /// A problem that the form itself shows; one with a reference number has the page that explains it.
    pub(super) fn on_form(problem: Problem, form: impl FnOnce(&Problem) -> Markup) -> Self {
        let people_see = match problem.reference() {
            Some(_) => Seen::ErrorPage,
            None => Seen::Form(form(&problem)),
        };
        Self {
            problem,
            people_see,
        }
    }

    /// A problem that a person leaves by going to another page.
    pub(super) fn elsewhere(problem: Problem, path: String) -> Self {
        Self {
            problem,
            people_see: Seen::Elsewhere(path),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            people_see: Seen::ErrorPage,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(self);
        response
    }
}

/// The page for whatever went wrong, with the status and the header fields of the problem.
pub fn error_page(problem: &Problem) -> Response {
    with_headers(
        problem,
        page::answer(problem.status(), problem_page(problem)),
    )
}

/// The page for a problem, for a browser that can load nothing else from here.
pub fn error_page_alone(problem: &Problem) -> Response {
    let page = view::problem::problem_alone(problem);
    with_headers(problem, page::answer_alone(problem.status(), page))
}

/// The small page that leads out of a frame to the login page at `login`. Pages of the same origin alone
/// may show it.
pub fn out_of_frame(login: &str) -> Response {
    let mut response = page::answer(StatusCode::UNAUTHORIZED, problem::out_of_frame(login));
    let headers = response.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Portcullis"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; \
             frame-ancestors 'self'; base-uri 'none'",
        ),
    );
    response
}

/// Whether an answer refuses somebody who has no live session.
pub(super) fn asks_to_sign_in(response: &Response) -> bool {
    let refusal = response.extensions().get::<Refusal>();
    refusal.is_some_and(|refusal| refusal.problem.title() == SIGN_IN_NEEDED)
}

/// Lets the refusal that an answer carries say why the session that was shown has ended.
pub(super) fn tell_why_ended(response: &mut Response, ended: EndedSession) {
    if let Some(refusal) = response.extensions_mut().get_mut::<Refusal>() {
        refusal.problem = gate::tell_why_ended(refusal.problem.clone(), ended);
    }
}

/// Draws the refusal that an answer carries, if it is one.
pub(super) fn finish(mut response: Response, wants_page: bool) -> Response {
    let Some(Refusal {
        problem,
        people_see,
    }) = response.extensions_mut().remove()
    else {
        return response;
    };
    let mut drawn = match people_see {
        _ if !wants_page => problem.into_response(),
        Seen::ErrorPage => error_page(&problem),
        Seen::Form(form) => with_headers(&problem, page::answer(problem.status(), form)),
        Seen::Elsewhere(path) => with_headers(&problem, page::see_other(&path)),
    };
    // The router says which methods there are; what else it says is of the answer without a body.
    if let Some(allowed) = response.headers_mut().remove(ALLOW) {
        drawn.headers_mut().insert(ALLOW, allowed);
    }
    drawn
}

fn with_headers(problem: &Problem, mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in problem.headers() {
        headers.append(name, value.clone());
    }
    response
}

pub(super) async fn no_such_page() -> Refusal {
    Problem::new(StatusCode::NOT_FOUND, "no such page")
        .detail("the gateway has no page of this name")
        .into()
}

pub(super) async fn wrong_method() -> Refusal {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not possible here")
        .detail("this page does not take the method of the request")
        .into()
}

/// The form does not belong to what the browser holds now: somebody signed in or out meanwhile, or
/// the form is forged. Either way a fresh one does no harm.
pub(super) fn out_of_date() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "form out of date")
        .detail("This form was out of date, so nothing was done. Here is a fresh one.")
}

/// What was typed can't be taken. `field` names it for programs.
pub(super) fn not_acceptable(field: &'static str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not acceptable")
        .detail(detail)
        .field("field", field)
}

/// The title where there is no live session.
pub(super) const SIGN_IN_NEEDED: &str = "sign-in needed";

/// RFC 9110 §15.5.2: a 401 says how to authenticate.
pub(super) fn unauthorized(title: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, title)
        .detail(detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Portcullis"))
}

/// The session that asked for something was ended before that was done.
pub(super) fn session_ended() -> Problem {
    unauthorized(
        "session ended",
        "your session has ended meanwhile; sign in again",
    )
}

/// More sign-ins at once than the machine can check.
pub(super) fn busy(retry_after: Duration) -> Problem {
    wait(
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many at once")
            .detail("Too many people are signing in at this moment. Try again in a few seconds."),
        retry_after,
    )
}

/// A second factor is not guessed (F3).
/// The same words for a name, an address and a session, and for a name that nobody has.
pub(super) fn too_many(retry_after: Duration) -> Problem {
    let minutes = in_minutes(retry_after);
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many failed sign-ins");
    let detail = format!(
        "Too many sign-ins have failed. Wait {minutes}, then try again. If that does not help, \
         an administrator can send you a one-time link."
    );
    wait(problem.detail(detail), retry_after)
}

/// Too many links that do not work.
pub(super) fn too_many_links(retry_after: Duration) -> Problem {
    let minutes = in_minutes(retry_after);
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong links");
    let detail = format!(
        "Too many links that do not work were opened from your network. A link that works opens at once; \
         see that yours is whole, or wait {minutes} and try again."
    );
    wait(problem.detail(detail), retry_after)
}

fn in_minutes(span: Duration) -> String {
    match span.as_secs().div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes => format!("{minutes} minutes"),
    }
}

fn wait(problem: Problem, retry_after: Duration) -> Problem {
    // Rounded up: whoever comes back at the second that was said is not refused again.
    let seconds = u64::try_from(retry_after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
    problem.header(RETRY_AFTER, seconds.max(1).into())
}

/// The gateway's own fault: the cause goes to the log, the person gets the number to find it by.
pub(super) fn failed(doing: &'static str, cause: &dyn Display) -> Problem {
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the gateway could not do it",
    )
    .detail("nothing was promised; try again in a moment")
    .header(RETRY_AFTER, A_MOMENT.into())
    .referenced();
    let reference = problem.reference().unwrap_or_default();
    tracing::error!(reference, %cause, "{doing}");
    problem
}

/// A change of which nothing was written: the store failed, or a condition did not hold.
pub(super) fn not_written(doing: &'static str, cause: &UsersError) -> Problem {
    failed(doing, cause).detail(match cause {
        UsersError::Unwritten(unwritten) => format!("{unwritten}. Do it again until it succeeds"),
        cause => format!("{cause}. Nothing was changed; try again in a moment"),
    })
}

/// A change that may be done or not, or not everywhere.
pub(super) fn not_certain(doing: &'static str, doubt: &Doubt) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not done for certain")
        .detail(format!("{doubt}. Do it again until it succeeds"))
        .header(RETRY_AFTER, A_MOMENT.into())
        .referenced();
    let reference = problem.reference().unwrap_or_default();
    tracing::error!(reference, %doubt, "{doing}");
    problem
}

/// The same problem for somebody who wanted to be signed out: the browser forgets the session, whatever
/// became of it.
pub(super) fn forgetting(problem: Problem) -> Problem {
    let mut headers = HeaderMap::new();
    forget_browser(&mut headers);
    headers.iter().fold(problem, |problem, (name, value)| {
        problem.header(name.clone(), value.clone())
    })
}

/// Nobody can sign in without the store.
pub(super) fn no_store(cause: &dyn Display) -> Problem {
    failed("signing in", cause).detail(
        "The gateway can't reach its store at this moment, so nobody can sign in. Try again in a few \
         seconds.",
    )
}

/// Seconds after which it may be worth trying again.
const A_MOMENT: u64 = 5;

/// Why a password was not set, and the field to look at; `new` is the one with the new password.
pub(super) fn password_complaint(
    error: UsersError,
    new: &'static str,
) -> (Problem, Option<&'static str>) {
    match error {
        UsersError::Weak(weakness) => {
            let problem = not_acceptable(new, view::sentence(&weakness.to_string()));
            (problem, Some(new))
        }
        UsersError::WrongPassword => {
            let field = "current_password";
            let problem = not_acceptable(field, "The current password is not right.");
            (problem, Some(field))
        }
        UsersError::SamePassword => {
            let problem = not_acceptable(
                new,
                "The new password is the same as the current one. Take another one.",
            );
            (problem, Some(new))
        }
        UsersError::UsedBefore(last) => {
            let problem = not_acceptable(
                new,
                format!("This was one of the last {last} passwords. Take another one."),
            );
            (problem, Some(new))
        }
        UsersError::SignIn(SignInError::TooMany { retry_after }) => (too_many(retry_after), None),
        UsersError::ActorEnded => (session_ended(), None),
        UsersError::Busy => (busy(Duration::from_secs(5)), None),
        other => (not_written("setting a password", &other), None),
    }
}

pub(super) const DIFFER: &str = "The two passwords differ. Type the same one twice.";
