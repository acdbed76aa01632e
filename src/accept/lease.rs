//! What a connection asks before it writes, once it has carried something that was let pass for a while.
//!
//! A piece of an answer is asked for when it is handed to HTTP. When the client reads slowly it waits
//! there, and a process that was stopped goes on with it: then the connection is reset.

use std::fmt::Debug;
use std::sync::Arc;

/// A right to carry that runs out by itself unless it is renewed.
pub trait Lease: Debug + Send + Sync {
    /// How often the process was found to have stood still past the end of its lease.
    fn standstills(&self) -> u64;

    /// Whether it is standing so at this moment, and has not been found yet.
    fn has_stood_still(&self) -> bool;
}

/// A lease, and how often it had been outlived when something was carried under it.
#[derive(Debug)]
pub(super) struct Carried {
    lease: Arc<dyn Lease>,
    standstills: u64,
}

impl Carried {
    pub(super) fn under(lease: Arc<dyn Lease>) -> Self {
        Self {
            standstills: lease.standstills(),
            lease,
        }
    }

    /// Whether what was carried may still go out if it waits somewhere.
    pub(super) fn may_go_out(&self) -> bool {
        self.lease.standstills() == self.standstills && !self.lease.has_stood_still()
    }
}
