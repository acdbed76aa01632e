//~ E0624
//! Only the session room makes a session.

use portcullis::model::{SessionRecord, User};
use portcullis::session::Session;

pub fn made_up(record: SessionRecord, user: User) -> Session {
    Session::new(record, user, std::process::abort())
}
