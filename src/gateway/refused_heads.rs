//! Those who watch learn of every request head that was refused before it became a request: a number
//! for each, and lines of the access log that one address, or a large network, can't fill it with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::accept::HeadFault;
use crate::clock::Clock;
use crate::config::Rate;
use crate::login::WrongSecrets;
use crate::model::ClientAddress;
use crate::telemetry::{AccessLog, Metrics};

/// Lines for the heads of one network; beyond them the heads are counted alone.
const LINES: Rate = Rate {
    count: 20,
    window: Duration::from_secs(60),
};

/// Lines for the heads that all trusted proxies bring.
const LINES_OF_PROXIES: Rate = Rate {
    count: 600,
    window: Duration::from_secs(60),
};

/// By what these are counted: no connection comes from it.
const PROXIES: ClientAddress = ClientAddress::Known(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

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

    /// A head that `sender` sent was refused.
    pub(super) fn tell(&self, sender: ClientAddress, fault: HeadFault) {
        self.metrics.head_refused(fault.cause());
        // A head that can't be read names no client.
        let (counted, lines) = match sender {
            ClientAddress::Known(_) => (sender, LINES),
            ClientAddress::OfProxy(_) => (PROXIES, LINES_OF_PROXIES),
        };
        let counted = self.lines.count(counted, lines, self.clock.now());
        let peer = sender.address();
        if counted.wait.is_some() {
            return;
        }
        self.access
            .refused_head(self.clock.wall(), peer, fault.cause(), fault.status());
        if counted.reaches_limit {
            tracing::warn!(
                %peer,
                "{} malformed request heads within a minute: further ones of this address are counted in the metrics alone",
                lines.count
            );
        }
    }
}
