//! A session as it is kept: one sign-in on one device.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::display::Base64Display;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{FactorKind, Generation, UserId};
use crate::clock::Timestamp;
use crate::secret::random_bytes;

/// SHA-256 of a session token: the only form in which the gateway keeps one (promise 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// The name of a session in pages and calls. Not the token, and tells nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

/// Everything about a session that outlives the process.
#[derive(Debug, Clone)]
pub struct SessionRecord {
    pub token: TokenHash,
    pub id: SessionId,
    pub user: UserId,
    /// The user's generation when the password was checked.
    pub generation: Generation,
    pub created: Timestamp,
    pub last_seen: Timestamp,
    /// From where the person signed in.
    pub address: IpAddr,
    /// Browser and system in words, from the `User-Agent` at sign-in.
    pub device: String,
    pub second_factor: Option<FactorKind>,
    /// Until when it is good, once a later session has taken its place in the browser.
    pub good_until: Option<Timestamp>,
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl SessionId {
    /// A fresh one: 128 random bits.
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// As the store or a path segment has it; `None` for a text that names no session.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// The text in pages and calls: base64 for URLs.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(&self.0, &URL_SAFE_NO_PAD).fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}
