//~ E0451
//! A permit is not put together from its parts.

use portcullis::gate::{Permit, Target};

pub fn assembled(target: Target) -> Permit {
    Permit {
        target,
        session: None,
    }
}
