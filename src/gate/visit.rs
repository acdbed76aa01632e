//! Who is asking.

use std::sync::Arc;

use std::net::IpAddr;

use http::HeaderMap;

use crate::clock::Timestamp;
use crate::session::{Session, Sessions, Token};
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

impl Visit {
    pub(super) fn recognise(
        client: IpAddr,
        headers: &HeaderMap,
        sessions: &Sessions,
        now: Timestamp,
    ) -> Self {
        let shown = cookie::find(headers, cookie::SESSION);
        let session = match shown {
            Found::One(value) => {
                Token::hash_of(value).and_then(|hash| sessions.find(&hash, now).ok())
            }
            Found::None | Found::Conflict => None,
        };
        Self {
            client,
            stale_cookie: session.is_none() && shown != Found::None,
            session,
        }
    }
}
