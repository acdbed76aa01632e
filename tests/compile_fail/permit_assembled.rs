//~ E0451
//! A permit is not put together from its parts.

use std::sync::Arc;

use portcullis::config::Panel;
use portcullis::gate::{Permit, Target};
use portcullis::model::ClientAddress;

pub fn assembled(panel: Arc<Panel>, target: Target, client: ClientAddress) -> Permit {
    Permit {
        panel,
        target,
        session: None,
        client,
    }
}
