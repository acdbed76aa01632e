//! From one step of signing in to the next: paths, cookies, and what refusals of a step mean.
//!
//! The session cookie is given at the last step only; the cookies of the way there go with it.

use http::HeaderMap;
use http::header::SET_COOKIE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Desk;
use super::asked::Asked;
use super::csrf::Binding;
use super::done::Done;
use super::page::see_other;
use super::refusal::{Refusal, busy, failed, no_store, too_many, unauthorized};
use crate::login::{AnotherTime, DEVICE_LIFETIME, Half, NewSession, Next, SignInError, WaitsFor};
use crate::model::UserName;
use crate::store::StoreError;
use crate::telemetry::SignIn;
use crate::wire::{NextPath, Problem, Response, cookie};

pub(super) const ACCOUNT: &str = "/.portcullis/account";
pub(super) const ENROL: &str = "/.portcullis/enrol";
pub(super) const SECOND_FACTOR: &str = "/.portcullis/second-factor";
/// Tells the page of an enrolment that this browser may have been shown another secret before.
pub(super) const ANOTHER: &str = "another-secret";
/// The page of one user.
pub(super) fn to_user(name: &UserName) -> String {
    let name = utf8_percent_encode(name.as_str(), NON_ALPHANUMERIC);
    format!("/.portcullis/users/{name}")
}

const LOGIN: &str = "/.portcullis/login";

/// The session may be there, and this browser has no token of it; nor has anyone else.
const NOT_CERTAIN: &str = "The store did not confirm it, so it is not certain what was done. You are not \
    signed in, and no one is in your place. Begin again on the login page, with a new code: the one that \
    you gave may count as used";

/// A sign-in that waits for its next step.
pub(super) struct UnderWay<'a> {
    pub(super) cookie: &'a str,
    pub(super) user: UserName,
    pub(super) waits_for: WaitsFor,
}

impl UnderWay<'_> {
    /// What the forms of this sign-in are bound to.
    pub(super) fn binding(&self) -> Binding<'_> {
        Binding::SignIn(self.cookie)
    }
}

/// The sign-in that is under way in this browser; without one the person begins again.
pub(super) async fn under_way<'a>(
    desk: &Desk,
    asked: &'a Asked,
    next: &NextPath,
) -> Result<UnderWay<'a>, Refusal> {
    let Some(cookie) = asked.sign_in_cookie() else {
        return Err(begin_again(asked, next));
    };
    let pending = desk.login.pending(cookie).await;
    match pending.map_err(|error| refused(error, asked, next))? {
        Some(pending) => Ok(UnderWay {
            cookie,
            user: pending.user,
            waits_for: pending.waits_for,
        }),
        None => Err(begin_again(asked, next)),
    }
}

/// To the step that a right password leads to.
pub(super) fn go_on(asked: &Asked, step: &Next, next: &NextPath) -> Response {
    match step {
        Next::SecondFactor(half) => half_way(with_next(SECOND_FACTOR, next), half),
        Next::Enrol(half) => {
            let path = with_next(ENROL, next);
            let shown = asked.sign_in_cookie();
            let is_another = shown.is_some_and(|shown| shown != half.cookie_value());
            let path = match is_another {
                true => with_word(path, ANOTHER),
                false => path,
            };
            half_way(path, half)
        }
        Next::SignedIn(new) => {
            let mut response = see_other(next.as_str());
            let_in(response.headers_mut(), new);
            response
        }
    }
}

fn half_way(path: String, half: &Half) -> Response {
    let mut response = see_other(&path);
    response.headers_mut().append(
        SET_COOKIE,
        cookie::set(cookie::SIGN_IN, half.cookie_value()),
    );
    response
}

/// Gives the browser its session, and takes what it needed on the way.
pub(super) fn let_in(headers: &mut HeaderMap, new: &NewSession) {
    headers.append(
        SET_COOKIE,
        cookie::set(cookie::SESSION, new.token.cookie_value()),
    );
    headers.append(
        SET_COOKIE,
        cookie::keep(cookie::DEVICE, new.device.expose(), DEVICE_LIFETIME),
    );
    headers.append(SET_COOKIE, cookie::clear(cookie::SIGN_IN));
    headers.append(SET_COOKIE, cookie::clear(cookie::FORM));
}

/// A path of the portal that leads on to `next`.
pub(super) fn with_next(path: &str, next: &NextPath) -> String {
    if *next == NextPath::home() {
        return path.to_owned();
    }
    format!("{path}?next={}", next.in_query())
}

/// The login page, which says what has happened and leads on to `next`.
pub(super) fn to_login(next: &NextPath, done: Option<Done>) -> String {
    let path = with_next(LOGIN, next);
    match done {
        Some(done) => with_word(path, done.word()),
        None => path,
    }
}

/// The same path with a word that tells the page what has happened.
fn with_word(path: String, word: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}done={word}")
}

/// There is no sign-in under way. A person who has finished it goes on, others begin again.
pub(super) fn begin_again(asked: &Asked, next: &NextPath) -> Refusal {
    let problem = unauthorized("no sign-in under way", "begin again on the login page");
    if asked.visit.session.is_some() {
        return Refusal::elsewhere(problem, next.to_string());
    }
    let was_shown = asked.sign_in_cookie().is_some();
    let over = match asked.parts.uri.path() {
        ENROL => Done::EnrolmentOver,
        _ => Done::StartAgain,
    };
    let done = was_shown.then_some(over);
    Refusal::elsewhere(
        problem.header(SET_COOKIE, cookie::clear(cookie::SIGN_IN)),
        to_login(next, done),
    )
}

/// Counts how a step ended.
pub(super) fn counted<T>(
    desk: &Desk,
    ended: Result<T, SignInError>,
    success: impl FnOnce(&T) -> SignIn,
) -> Result<T, SignInError> {
    desk.metrics.sign_in(match &ended {
        Ok(done) => success(done),
        Err(SignInError::Refused) => SignIn::Refused,
        Err(SignInError::WrongCode | SignInError::CodeOfAnotherTime(_)) => SignIn::WrongCode,
        Err(SignInError::TooMany { .. }) => SignIn::Throttled,
        Err(SignInError::Busy { .. }) => SignIn::Busy,
        Err(_) => SignIn::Failed,
    });
    ended
}

/// What a refused step means to the person; `None`: begin again.
pub(super) fn complaint(error: SignInError) -> Option<Problem> {
    match error {
        // One sentence for an unknown name, a wrong password and a disabled account (F6).
        SignInError::Refused => Some(unauthorized(
            "not signed in",
            "The user name or the password is not right.",
        )),
        SignInError::WrongCode => Some(unauthorized(
            "code not right",
            "This code is not right, or it has been used already. Try another one.",
        )),
        SignInError::CodeOfAnotherTime(time) => Some(of_another_time(time)),
        SignInError::TooMany { retry_after } => Some(too_many(retry_after)),
        SignInError::Busy { retry_after } => Some(busy(retry_after)),
        SignInError::Expired => None,
        cause @ (SignInError::Password(_) | SignInError::Totp(_)) => {
            Some(failed("signing in", &cause))
        }
        cause @ SignInError::Store(StoreError::Unanswered(_)) => {
            Some(failed("signing in", &cause).detail(NOT_CERTAIN))
        }
        cause @ (SignInError::Store(_) | SignInError::Cluster(_)) => Some(no_store(&cause)),
    }
}

/// Which clock is wrong the gateway can't tell, so it says what its own shows.
fn of_another_time(time: AnotherTime) -> Problem {
    let clock = time.gateway.rfc3339();
    let clock = clock.get(11..16).unwrap_or_default();
    let problem = unauthorized("code not right", "");
    problem.detail(format!(
        "This code is not right now: {time}. If it is the newest that your app shows, a clock is wrong. The \
         gateway's clock says {clock} UTC. Is your phone's another, minutes apart? Let the phone set its time \
         by itself and type the next code. If the phone is right, tell an administrator that the gateway's \
         clock is wrong."
    ))
}

/// A step that was refused before there was a form to complain on.
pub(super) fn refused(error: SignInError, asked: &Asked, next: &NextPath) -> Refusal {
    match complaint(error) {
        Some(problem) => problem.into(),
        None => begin_again(asked, next),
    }
}
