//! The line of a request head that never became a request: from where, and what was wrong with it.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;

use super::access::AccessLog;
use super::line::Line;
use crate::clock::Timestamp;
use crate::wire::RequestId;

impl AccessLog {
    /// Writes the line of a refused head. Nothing of what the client sent is in it: what could not be
    /// read has no method, host or path.
    pub fn refused_head(
        &self,
        at: Timestamp,
        peer: IpAddr,
        cause: &'static str,
        status: StatusCode,
    ) {
        if !self.is_on() {
            return;
        }
        let mut line = Line::unread(RequestId::next(), at);
        line.client = Some(peer);
        line.cause = Some(cause.to_owned());
        (line.verdict, line.status) = ("malformed", status.as_u16());
        self.write(line.written(self.format(), 0, Duration::ZERO));
    }
}
