//! Who is asking.

use std::sync::Arc;

use http::HeaderMap;

use crate::clock::Timestamp;
use crate::model::{ClientAddress, TokenHash};
use crate::session::{Ended, Session, Sessions, Token};
use crate::wire::cookie::{self, Found};

/// What a request's cookies say, held against the table.
#[derive(Debug, Clone)]
pub struct Visit {
    /// From where it is asked.
    pub client: ClientAddress,
    /// The live session that was shown.
    pub session: Option<Arc<Session>>,
    /// What the session cookie came to.
    pub cookie: SessionCookie,
    /// The token of a sign-out whose session this node cannot judge at the moment.
    pub untold: Option<TokenHash>,
}

/// What a request shows as its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionCookie {
    /// No cookie.
    Missing,
    /// The token of a live session.
    Live,
    /// A token that opens nothing: its session has ended, or it was never given out.
    Ended(TokenHash),
    /// A text that is no token of this gateway.
    Malformed,
    /// Two cookies of the name, of which one is forged.
    Conflict,
}

/// A question that has to be answered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// The store may know it.
    Unknown(TokenHash),
    /// Nobody can tell at this moment.
    Untold(TokenHash),
}

impl Visit {
    /// Of somebody whose cookies are not looked at.
    pub(super) fn of_nobody(client: ClientAddress) -> Self {
        Self {
            client,
            session: None,
            cookie: SessionCookie::Missing,
            untold: None,
        }
    }

    /// Who asks, and what has to be found out first.
    pub(super) fn recognise(
        client: ClientAddress,
        headers: &HeaderMap,
        sessions: &Sessions,
        now: Timestamp,
    ) -> (Self, Option<Open>) {
        let shown = cookie::find(headers, cookie::SESSION);
        let (token, unopened) = match shown {
            Found::One(value) => match Token::hash_of(value) {
                Some(token) => (Some(token), SessionCookie::Ended(token)),
                None => (None, SessionCookie::Malformed),
            },
            Found::None => (None, SessionCookie::Missing),
            Found::Conflict => (None, SessionCookie::Conflict),
        };
        let found = token.map(|token| (token, sessions.find(&token, now)));
        let (session, open) = match found {
            Some((_, Ok(session))) => (Some(session), None),
            Some((token, Err(Ended::Untold))) => (None, Some(Open::Untold(token))),
            Some((token, Err(Ended::Unknown))) if sessions.is_shared() => {
                (None, Some(Open::Unknown(token)))
            }
            Some((_, Err(_))) | None => (None, None),
        };
        let visit = Self {
            client,
            cookie: match session {
                Some(_) => SessionCookie::Live,
                None => unopened,
            },
            session,
            untold: None,
        };
        (visit, open)
    }

    /// The token that was shown and opens nothing.
    pub fn ended_token(&self) -> Option<TokenHash> {
        match self.cookie {
            SessionCookie::Ended(token) => Some(token),
            _ => None,
        }
    }

    /// A cookie was shown that opens nothing.
    pub fn has_stale_cookie(&self) -> bool {
        !matches!(self.cookie, SessionCookie::Missing | SessionCookie::Live)
    }
}
