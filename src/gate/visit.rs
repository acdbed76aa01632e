//! Who is asking.

use std::sync::Arc;

use std::net::IpAddr;

use http::HeaderMap;

use crate::clock::Timestamp;
use crate::model::TokenHash;
use crate::session::{Ended, Session, Sessions, Token};
use crate::wire::cookie::{self, Found};

/// What a request's cookies say, held against the table.
#[derive(Debug, Clone)]
pub struct Visit {
    /// From where it is asked.
    pub client: IpAddr,
    /// The live session that was shown.
    pub session: Option<Arc<Session>>,
    /// A cookie was shown that opens nothing: an ended session, a made-up token, or two at once.
    pub stale_cookie: bool,
}

/// A question that has to be answered first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// The store may know it.
    Unknown(TokenHash),
    /// Nobody can tell at this moment.
    Untold,
}

impl Visit {
    /// Who asks, and what has to be found out first.
    pub(super) fn recognise(
        client: IpAddr,
        headers: &HeaderMap,
        sessions: &Sessions,
        now: Timestamp,
    ) -> (Self, Option<Open>) {
        let shown = cookie::find(headers, cookie::SESSION);
        let token = match shown {
            Found::One(value) => Token::hash_of(value),
            Found::None | Found::Conflict => None,
        };
        let found = token.map(|token| (token, sessions.find(&token, now)));
        let (session, open) = match found {
            Some((_, Ok(session))) => (Some(session), None),
            Some((_, Err(Ended::Untold))) => (None, Some(Open::Untold)),
            Some((token, Err(Ended::Unknown))) if sessions.is_shared() => {
                (None, Some(Open::Unknown(token)))
            }
            Some((_, Err(_))) | None => (None, None),
        };
        let visit = Self {
            client,
            stale_cookie: session.is_none() && shown != Found::None,
            session,
        };
        (visit, open)
    }
}
