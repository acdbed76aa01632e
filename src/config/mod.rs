//! What the operator wants.

use std::time::Duration;

/// What sessions are held to.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// A session that is not used for so long ends.
    pub idle_timeout: Duration,
    /// The greatest age of a session, used or not.
    pub lifetime: Duration,
    /// With more than these the oldest of a user end.
    pub max_per_user: usize,
}
