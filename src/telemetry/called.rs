//! The line of a call of the management API: written when it is answered, whoever listens then.

use std::time::Instant;

use http::StatusCode;
use http::request::Parts;

use super::access::AccessLog;
use super::line::Line;
use crate::clock::Clock;
use crate::wire::RequestId;

/// A call that is under way.
#[derive(Debug)]
pub struct Called {
    log: AccessLog,
    line: Line,
    begun: Instant,
}

impl Called {
    /// A call has come in.
    pub fn begin(log: &AccessLog, id: RequestId, clock: &Clock, parts: &Parts) -> Self {
        Self {
            log: log.clone(),
            line: Line::of(id, clock.wall(), parts),
            begun: Instant::now(),
        }
    }

    /// Says something for the line.
    pub fn tell(&mut self, say: impl FnOnce(&mut Line)) {
        say(&mut self.line);
    }

    /// It is answered, with so many bytes.
    pub fn answered(mut self, status: StatusCode, bytes: u64) {
        if !self.log.is_on() {
            return;
        }
        (self.line.verdict, self.line.status) = ("call", status.as_u16());
        let text = self
            .line
            .written(self.log.format(), bytes, self.begun.elapsed());
        self.log.write(text);
    }
}
