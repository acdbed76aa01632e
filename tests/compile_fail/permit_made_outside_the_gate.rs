//~ E0624 E0616
//! Only the gate makes a permit, and nobody changes one.

use std::sync::Arc;

use portcullis::config::Panel;
use portcullis::gate::{Permit, Target};
use portcullis::model::ClientAddress;

pub fn forged(panel: Arc<Panel>, target: Target, client: ClientAddress) -> Permit {
    Permit::new(panel, target, None, client)
}

pub fn redirected(permit: &mut Permit, target: Target) {
    permit.target = target;
}

pub fn looked_at(permit: &Permit) -> &Target {
    permit.target()
}
