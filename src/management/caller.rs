//! Who calls: a program with a token, or the owner of the gateway at its socket.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::calls::Access;
use super::refusal;
use super::token::ApiToken;
use crate::clock::Timestamp;
use crate::model::{Actor, Scope};
use crate::store::{ManagementToken, Store};
use crate::wire::Problem;

/// By which way a call came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The HTTPS listener, and the address of whoever is at its other end: a token is asked for.
    Listener { client: IpAddr },
    /// The management socket, and the user who is at its other end.
    Socket { uid: u32 },
    /// This very process, on behalf of whoever started it and could open the store.
    Process,
}

/// Whose call it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The user of the operating system at the other end of the socket, or of this process.
    Owner { uid: u32 },
    Token {
        name: String,
        /// SHA-256 of the token.
        hash: [u8; 32],
        scopes: Vec<Scope>,
    },
    /// Calls that ask nobody who it is.
    Anyone,
}

/// Why a caller is not let in.
#[derive(Debug)]
pub(super) enum Refused {
    /// Nothing says who it is.
    NoToken(Problem),
    /// What it shows is no token of this gateway, or, by its name, one that has expired.
    WrongToken {
        expired: Option<String>,
        problem: Problem,
    },
    /// It is known, and may not do this.
    NotAllowed { who: String, problem: Problem },
    /// Who it is can't be found out.
    Failed(Problem),
}

impl Caller {
    /// The name in the log; `None` for who is not asked.
    pub(super) fn name(&self, door: Door) -> Option<String> {
        match (self, door) {
            (Self::Token { name, .. }, _) => Some(format!("token:{name}")),
            (Self::Owner { .. }, Door::Socket { uid }) => Some(format!("uid:{uid}")),
            (Self::Owner { .. } | Self::Anyone, _) => None,
        }
    }

    /// The caller as somebody who does what a call with this access does; `None` where no one was asked
    /// who it is, and nothing is done for anyone.
    pub(super) fn actor(&self, access: Access) -> Option<Actor> {
        match (self, access) {
            (Self::Owner { uid }, _) => Some(Actor::Operator { uid: *uid }),
            (Self::Token { name, hash, .. }, Access::Scope(scope)) => Some(Actor::Token {
                name: name.clone(),
                hash: *hash,
                scope,
            }),
            (Self::Token { .. } | Self::Anyone, _) => None,
        }
    }

    fn may(&self, access: Access) -> bool {
        match (self, access) {
            (_, Access::Anyone) | (Self::Owner { .. }, _) => true,
            (Self::Token { scopes, .. }, Access::Scope(scope)) => scopes.contains(&scope),
            (Self::Token { .. }, Access::Owner) | (Self::Anyone, _) => false,
        }
    }
}

/// A browser has no business at the listener: it would be a page of another site that sends it
/// (CVE-2026-27589).
pub(super) fn refuse_browsers(door: Door, headers: &HeaderMap) -> Result<(), Problem> {
    let from_browser = headers.contains_key(ORIGIN) || headers.contains_key("sec-fetch-site");
    if matches!(door, Door::Listener { .. }) && from_browser {
        return Err(
            Problem::new(StatusCode::FORBIDDEN, "not for browsers").detail(
                "the management API answers programs; a request with Origin or Sec-Fetch-Site is refused",
            ),
        );
    }
    Ok(())
}

/// The caller, if it may do what the call does.
pub(super) async fn admit(
    door: Door,
    access: Access,
    headers: &HeaderMap,
    store: &Store,
    now: Timestamp,
) -> Result<Caller, Refused> {
    if access == Access::Anyone {
        return Ok(Caller::Anyone);
    }
    let caller = match door {
        Door::Process => Caller::Owner {
            uid: rustix::process::getuid().as_raw(),
        },
        Door::Socket { uid } => at_socket(uid)?,
        Door::Listener { client } => with_token(headers, client, store, now).await?,
    };
    if caller.may(access) {
        Ok(caller)
    } else {
        Err(Refused::NotAllowed {
            who: caller.name(door).unwrap_or_default(),
            problem: not_enough(access),
        })
    }
}

fn at_socket(uid: u32) -> Result<Caller, Refused> {
    let own = rustix::process::geteuid().as_raw();
    if uid == own || uid == 0 {
        return Ok(Caller::Owner { uid });
    }
    Err(Refused::NotAllowed {
        who: format!("uid:{uid}"),
        problem: Problem::new(StatusCode::FORBIDDEN, "not the owner")
            .detail("only the user whom the gateway runs as, and root, may use its socket"),
    })
}

async fn with_token(
    headers: &HeaderMap,
    client: IpAddr,
    store: &Store,
    now: Timestamp,
) -> Result<Caller, Refused> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(Refused::NoToken(unauthorized(
            "send one Authorization field: \"Bearer\", a space and a management token",
            "Bearer realm=\"portcullis\"",
        )));
    };
    let hash = field
        .to_str()
        .ok()
        .and_then(bearer)
        .and_then(ApiToken::hash_of);
    let token = match hash {
        Some(hash) => store
            .token(&hash)
            .await
            .map(|token| token.map(|token| (hash, token))),
        None => Ok(None),
    };
    match token.map_err(|fault| Refused::Failed(refusal::of_store(fault)))? {
        Some((_, token)) if is_elsewhere(&token, client) => Err(Refused::NotAllowed {
            who: format!("token:{}", token.name),
            problem: Problem::new(StatusCode::FORBIDDEN, "not from here").detail(
                "this management token may not be used from the address that the call came from",
            ),
        }),
        Some((hash, token)) if token.expires.is_none_or(|expires| now < expires) => {
            Ok(Caller::Token {
                name: token.name,
                hash,
                scopes: token.scopes,
            })
        }
        Some((_, token)) => Err(Refused::WrongToken {
            expired: Some(token.name),
            problem: wrong_token("this management token has expired"),
        }),
        None => Err(Refused::WrongToken {
            expired: None,
            problem: wrong_token("this is no management token of this gateway"),
        }),
    }
}

/// Whether a token is used where it may not be.
fn is_elsewhere(token: &ManagementToken, client: IpAddr) -> bool {
    let client = client.to_canonical();
    let mut networks = token.networks.iter();
    !token.networks.is_empty() && !networks.any(|network| network.contains(&client))
}

/// The token of `Bearer TOKEN`; the scheme in any letter case (RFC 9110 §11.1).
fn bearer(field: &str) -> Option<&str> {
    let (scheme, token) = field.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

pub(super) fn wrong_token(detail: &'static str) -> Problem {
    unauthorized(
        detail,
        "Bearer realm=\"portcullis\", error=\"invalid_token\"",
    )
}

fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "who is calling?")
        .detail(detail)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

pub(super) fn not_enough(access: Access) -> Problem {
    let problem = Problem::new(StatusCode::FORBIDDEN, "not with this token");
    match access {
        Access::Scope(scope) => {
            let challenge = format!(
                "Bearer realm=\"portcullis\", error=\"insufficient_scope\", scope=\"{scope}\""
            );
            let problem = problem
                .detail(format!("this call needs a token with the scope {scope}"))
                .field("scope", scope.as_str());
            match HeaderValue::try_from(challenge) {
                Ok(challenge) => problem.header(WWW_AUTHENTICATE, challenge),
                Err(_) => problem,
            }
        }
        Access::Owner | Access::Anyone => problem.detail(
            "this call is possible only over the management socket, which the command line uses",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bEARER  abc "), Some("abc"));
        for other in ["", "Bearer", "Basic abc", "Bearerabc", "abc"] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }

    #[test]
    fn no_scope_stands_for_another() {
        for held in Scope::ALL {
            let caller = Caller::Token {
                name: "t".into(),
                hash: [0; 32],
                scopes: vec![held],
            };
            for needed in Scope::ALL {
                assert_eq!(caller.may(Access::Scope(needed)), held == needed);
            }
            assert!(!caller.may(Access::Owner));
        }
        assert!(!Caller::Anyone.may(Access::Scope(Scope::Read)));
    }
}
