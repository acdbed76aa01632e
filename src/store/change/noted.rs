//! What happened and changed nothing, but belongs into the audit list.

use super::{Change, Desk};
use crate::store::StoreError;

/// Changes nothing: the event that goes with it is all there is.
#[derive(Debug, Clone, Copy)]
pub struct Noted;

impl Change for Noted {
    type Outcome = ();

    async fn apply(self, _: &mut Desk<'_>) -> Result<(), StoreError> {
        Ok(())
    }
}
