//~ E0451
//! Only the store says that something is on disk.

use portcullis::store::Committed;

pub fn claimed() -> Committed<()> {
    Committed {
        outcome: (),
        told: None,
    }
}
