//~ E0308 E0277
//! The cookie of a sign-in that is under way is no token: it opens no session and becomes none.

use portcullis::clock::Timestamp;
use portcullis::login::{Half, NewSession};
use portcullis::session::{Sessions, Token};

pub fn looked_up(sessions: &Sessions, half: &Half, now: Timestamp) -> bool {
    sessions.find(half, now).is_ok()
}

pub fn taken_for_whole(half: Half) -> NewSession {
    half.into()
}

pub fn with_a_token(sessions: &Sessions, token: &Token, now: Timestamp) -> bool {
    sessions.find(&token.hash(), now).is_ok()
}
