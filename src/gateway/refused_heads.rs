//! Those who watch learn of every request head that was refused before it became a request: a number
//! for each, and lines of the access log that one address, or a large network, can't fill it with.

use std::net::IpAddr;
use std::time::Duration;

use crate::accept::HeadFault;
use crate::clock::Clock;
use crate::config::Rate;
use crate::login::WrongSecrets;
use crate::telemetry::{AccessLog, Metrics};

/// Lines for the heads of one network; beyond them the heads are counted alone.
const LINES: Rate = Rate {
    count: 20,
    window: Duration::from_secs(60),
};

/// Where refused heads are told. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub(super) struct RefusedHeads {
    access: AccessLog,
    metrics: Metrics,
    clock: Clock,
    /// Counted by network as secrets that are wrong are, and as bounded in all.
    lines: WrongSecrets,
}

impl RefusedHeads {
    pub(super) fn new(access: AccessLog, metrics: Metrics, clock: Clock) -> Self {
        Self {
            access,
            metrics,
            clock,
            lines: WrongSecrets::default(),
        }
    }

    /// A head that `peer` sent was refused.
    pub(super) fn tell(&self, peer: IpAddr, fault: HeadFault) {
        self.metrics.head_refused(fault.cause());
        let counted = self.lines.count(peer, LINES, self.clock.now());
        if counted.wait.is_some() {
            return;
        }
        self.access
            .refused_head(self.clock.wall(), peer, fault.cause(), fault.status());
        if counted.reaches_limit {
            tracing::warn!(
                %peer,
                "{} malformed request heads within a minute: further ones of this address are counted in the metrics alone",
                LINES.count
            );
        }
    }
}
