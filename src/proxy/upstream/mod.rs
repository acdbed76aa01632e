//! Connections to a panel: the newest idle one first, a new one where none serves.
//!
//! A request is repeated only where that is safe: when nothing of it was sent, or when its method is
//! safe, it has no body, and a connection that was idle turned out to be closed (RFC 9112 §9.3.1).

mod answer;
mod connect;
#[cfg(fuzzing)]
pub mod fuzzing;
mod pool;
mod request;
mod round_trip;

use std::future::poll_fn;
use std::time::Duration;

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use http::response::Parts;
use rustix::io::Errno;
use tokio::time::timeout;

pub use self::answer::AnswerFault;
pub(super) use self::connect::{Connector, Stream};
pub(super) use self::pool::Pool;
pub(super) use self::request::{Head, Outgoing};
use self::round_trip::Connection;
pub(super) use self::round_trip::RoundTrip;
use super::body::ClientFault;
use crate::config::Bounds;
use crate::shutdown::Shutdown;
use crate::wire::framing::FramingFault;

/// The way to one panel, with its idle connections.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    connector: Connector,
    pool: Pool,
    /// How long a connection may take to stand.
    connect: Duration,
    /// How long the head of an answer may take from the end of the request.
    answer: Duration,
}

/// The head of a panel's answer with what streams behind it.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) trip: Box<RoundTrip>,
}

/// Why a panel did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("{to}: {cause}")]
    Connect { to: String, cause: std::io::Error },
    #[error("{to}: no connection in time")]
    ConnectTimeout { to: String },
    #[error("no answer in time")]
    NoAnswer,
    #[error("it closed the connection before it answered")]
    Closed,
    #[error("its answer broke off: {0}")]
    Broken(#[source] std::io::Error),
    #[error(transparent)]
    Nonsense(#[from] AnswerFault),
    #[error("the body of its answer is malformed: {0}")]
    Framing(#[source] FramingFault),
    #[error("the client's body ended badly")]
    Client(ClientFault),
    #[error("upstream_ca: {0}")]
    Roots(String),
    #[error("{0:?} is not a host name that a certificate could be for")]
    ServerName(String),
}

impl UpstreamError {
    /// Whether it is this machine that has no files, ports or memory left, which says nothing about the
    /// panel.
    pub(super) fn is_of_this_machine(&self) -> bool {
        let Self::Connect { cause, .. } = self else {
            return false;
        };
        let code = cause.raw_os_error().map(Errno::from_raw_os_error);
        code.is_some_and(|code| SCARCE.contains(&code))
    }
}

const SCARCE: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::ADDRNOTAVAIL,
    Errno::NOBUFS,
    Errno::NOMEM,
];

impl Upstream {
    pub(super) fn new(connector: Connector, bounds: &Bounds, tasks: Shutdown) -> Self {
        Self {
            connector,
            connect: bounds.connect,
            answer: bounds.answer,
            pool: Pool::new(tasks),
        }
    }

    /// The idle connections.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&self, mut request: Outgoing) -> Result<Answer, UpstreamError> {
        while let Some(connection) = self.pool.take(request.is_repeatable()) {
            let mut trip = Box::new(RoundTrip::new(connection, request));
            match self.attempt(&mut trip).await {
                Ok(head) => return Ok(Answer { head, trip }),
                Err(UpstreamError::Closed) => match trip.request_again() {
                    Some(again) => request = again,
                    None => return Err(UpstreamError::Closed),
                },
                Err(fault) => return Err(fault),
            }
        }
        // Rare and large: every request would carry the room for it.
        Box::pin(self.send_alone(request)).await
    }

    /// Sends a request on a new connection.
    pub(super) async fn send_alone(&self, request: Outgoing) -> Result<Answer, UpstreamError> {
        let mut trip = Box::new(RoundTrip::new(self.connect().await?, request));
        let head = self.attempt(&mut trip).await?;
        Ok(Answer { head, trip })
    }

    async fn attempt(&self, trip: &mut RoundTrip) -> Result<Parts, UpstreamError> {
        let head = poll_fn(|cx| trip.poll_head(self.answer, cx)).await?;
        let mut challenges = head.headers.get_all(WWW_AUTHENTICATE).iter();
        if challenges.any(binds_connection) {
            trip.make_last();
        }
        Ok(head)
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        let to = || self.connector.to_string();
        let stream = timeout(self.connect, self.connector.connect())
            .await
            .map_err(|_| UpstreamError::ConnectTimeout { to: to() })?
            .map_err(|cause| UpstreamError::Connect { to: to(), cause })?;
        Ok(Connection::new(stream))
    }
}

/// Whether a panel knows people by their connection from here on, as NTLM and Negotiate do (RFC 4559
/// §6): nobody else may be served on it.
fn binds_connection(value: &HeaderValue) -> bool {
    let mut words = value.as_bytes().split(|byte| b" ,".contains(byte));
    words.any(|word| BINDING.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

const BINDING: [&[u8]; 2] = [b"NTLM", b"Negotiate"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_the_panels_fault() {
        for (code, is_of_this_machine) in [
            (Errno::MFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::CONNREFUSED, false),
            (Errno::HOSTUNREACH, false),
        ] {
            let fault = UpstreamError::Connect {
                to: "http://127.0.0.1:1".to_owned(),
                cause: std::io::Error::from(code),
            };
            assert_eq!(fault.is_of_this_machine(), is_of_this_machine, "{code:?}");
        }
    }
}
