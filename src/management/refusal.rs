//! What a program is told when the rooms below say no.

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use super::caller;
use super::calls::Access;
use crate::cluster::Unreached;
use crate::credentials::policy::Weakness;
use crate::store::StoreError;
use crate::users::UsersError;
use crate::wire::Problem;

/// Nobody has this name.
pub(super) fn unknown_user() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown user").detail("there is no user of this name")
}

/// Something of this name is there already.
pub(super) fn conflict(field: &str, why: &impl ToString) -> Problem {
    Problem::new(StatusCode::CONFLICT, "there already")
        .detail(why.to_string())
        .field("field", field)
}

/// A needed field is absent, which `Fields::finish` has refused by name before.
pub(super) fn incomplete() -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "incomplete")
        .detail("a field that is needed is missing")
}

/// Nothing can be said without the store.
pub(super) fn unreached(fault: Unreached) -> Problem {
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store can't be asked")
        .detail(format!("{fault}; try again in a moment"))
        .header(
            http::header::RETRY_AFTER,
            http::HeaderValue::from_static("2"),
        )
        .referenced();
    tracing::error!(reference = problem.reference(), %fault, "a call could not be answered");
    problem
}

/// The store could not be read, or refused a change: nothing was changed.
pub(super) fn of_store(fault: StoreError) -> Problem {
    match fault {
        StoreError::NoSuchUser => unknown_user(),
        StoreError::NameTaken | StoreError::TokenNameTaken => conflict("name", &fault),
        StoreError::LastAdministrator => last_administrator(&fault),
        StoreError::TokenEnded => caller::wrong_token(
            "this management token was removed or has expired before the call was carried out; \
             nothing was changed",
        ),
        StoreError::NeedsScope(scope) => {
            caller::not_enough(Access::Scope(scope)).detail(fault.to_string())
        }
        StoreError::NoSuchToken => {
            Problem::new(StatusCode::NOT_FOUND, "unknown token").detail(fault.to_string())
        }
        StoreError::Stale => Problem::new(StatusCode::CONFLICT, "changed meanwhile")
            .detail(format!("{fault}; look at it again")),
        fault => {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store failed")
                .detail(format!("{fault}. Nothing was changed"))
                .header(RETRY_AFTER, HeaderValue::from_static("2"))
                .referenced();
            tracing::error!(reference = problem.reference(), %fault, "a call failed");
            problem
        }
    }
}

/// A user could not be changed.
pub(super) fn of_users(fault: UsersError) -> Problem {
    match fault {
        UsersError::Weak(weakness) => weak(weakness),
        UsersError::UsedBefore(_) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not this password")
                .detail(format!("password: {fault}"))
                .field("field", "password")
        }
        UsersError::LastAdministrator => last_administrator(&fault),
        UsersError::Unknown => unknown_user(),
        UsersError::NameTaken => conflict("name", &fault),
        UsersError::Store(fault) => of_store(fault),
        UsersError::Stale => of_store(StoreError::Stale),
        UsersError::Busy => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy")
            .detail(fault.to_string())
            .header(RETRY_AFTER, HeaderValue::from_static("2")),
        fault => {
            let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "it failed")
                .detail("the log says more under the reference number")
                .referenced();
            tracing::error!(reference = problem.reference(), %fault, "a change of a user failed");
            problem
        }
    }
}

/// Nobody could manage users afterwards.
fn last_administrator(why: &impl ToString) -> Problem {
    Problem::new(StatusCode::CONFLICT, "the last administrator").detail(why.to_string())
}

/// A password is too easy to guess.
pub(super) fn weak(weakness: Weakness) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not this password")
        .detail(format!("password: {weakness}"))
        .field("field", "password")
}
