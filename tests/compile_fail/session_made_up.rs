//~ E0624
//! Only the session room makes a session.

use std::sync::Arc;

use portcullis::model::{SessionRecord, User};
use portcullis::session::Session;

pub fn made_up(record: &SessionRecord, user: Arc<User>, device: Arc<str>) -> Session {
    Session::new(record, user, std::process::abort(), device)
}
