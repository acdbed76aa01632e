//~ E0451
//! A permit is not put together from its parts.

use std::sync::Arc;

use portcullis::config::Panel;
use portcullis::gate::{Permit, Target};

pub fn assembled(panel: Arc<Panel>, target: Target) -> Permit {
    Permit {
        panel,
        target,
        session: None,
    }
}
