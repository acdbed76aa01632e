//! Connections to a panel: an idle one for plain questions, a new one for all else.
//!
//! A request that has a body or can't be repeated gets a connection of its own, which serves nobody
//! afterwards: a panel that misjudges where the body ends would take the rest for a request, and one
//! that closes an idle connection at that moment would lose it. Any other is sent once more, on a new
//! connection and on the same clock, where an idle one turned out to be closed (RFC 9110 §9.2.2).

mod answer;
mod connect;
#[cfg(fuzzing)]
pub mod fuzzing;
mod pool;
mod request;
mod round_trip;
mod trust;

use std::future::poll_fn;
use std::time::Duration;

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use http::response::Parts;
use rustix::io::Errno;
use tokio::time::{Instant, timeout};

pub use self::answer::AnswerFault;
pub(super) use self::connect::{Connector, Stream};
pub(super) use self::pool::{Person, Pool};
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
    #[error("its answer stood still")]
    Standstill,
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

    /// Sends a request of this person and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        request: Outgoing,
        person: Person,
    ) -> Result<Answer, UpstreamError> {
        let idle = request.is_repeatable().then(|| self.pool.take(&person));
        let Some(connection) = idle.flatten() else {
            // Rare and large: every request would carry the room for it.
            return Box::pin(self.send_anew(request, person, self.answer)).await;
        };
        let begun = Instant::now();
        let trip = RoundTrip::new(connection, request, person.clone(), self.answer);
        let mut trip = Box::new(trip);
        match attempt(&mut trip).await {
            Ok(head) => Ok(Answer { head, trip }),
            Err(UpstreamError::Closed) => {
                let again = trip.request_again().ok_or(UpstreamError::Closed)?;
                let left = self.answer.saturating_sub(begun.elapsed());
                let sending = Box::pin(self.send_anew(again, person, left));
                let sent = timeout(left, sending).await;
                sent.unwrap_or(Err(UpstreamError::NoAnswer))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Sends a request on a new connection, which serves no other one.
    pub(super) async fn send_alone(&self, request: Outgoing) -> Result<Answer, UpstreamError> {
        let sent = self.send_anew(request, Person::default(), self.answer);
        let mut answer = sent.await?;
        answer.trip.make_last();
        Ok(answer)
    }

    /// Sends a request on a new connection; `patience`: how long its answer may take.
    async fn send_anew(
        &self,
        request: Outgoing,
        person: Person,
        patience: Duration,
    ) -> Result<Answer, UpstreamError> {
        let connection = self.connect().await?;
        let trip = RoundTrip::new(connection, request, person, patience);
        let mut trip = Box::new(trip);
        let head = attempt(&mut trip).await?;
        Ok(Answer { head, trip })
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

async fn attempt(trip: &mut RoundTrip) -> Result<Parts, UpstreamError> {
    let head = poll_fn(|cx| trip.poll_head(cx)).await?;
    let mut challenges = head.headers.get_all(WWW_AUTHENTICATE).iter();
    if challenges.any(binds_connection) {
        trip.make_last();
    }
    Ok(head)
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
