//! One request and its answer on one connection to a panel.
//!
//! Whoever waits for the answer drives it: a connection has no task of its own, so that nothing has
//! to be woken on the way, and with the exchange everything of it is gone. A panel may answer before
//! it has read the request, so both directions move at every look.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use http::response::Parts;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::UpstreamError;
use super::answer::{self, AnswerFault, Length};
use super::connect::Stream;
use super::pool::Person;
use super::request::{Outgoing, SendFault};
use crate::deadline::Deadline;
use crate::wire::framing::Framing;

/// Bytes of the head of an answer.
const HEAD_LIMIT: usize = 128 * 1024;

/// Bytes of interim answers before the head.
const INTERIM_LIMIT: usize = 512 * 1024;

/// What a panel takes of a request at the least, in bytes a second.
const LEAST_TAKEN: u64 = 1024;

/// What is read at once, in bytes: a page mostly fits into the first, a download gets the last.
const FIRST_READ: usize = 8 * 1024;
const LONGEST_READ: usize = 64 * 1024;

/// A connection on which nothing is under way.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// Who was served on it last.
    person: Person,
    /// Kept with the connection: to set it anew costs nothing.
    alarm: Deadline,
}

/// A request and its answer.
#[derive(Debug)]
pub(in crate::proxy) struct RoundTrip {
    connection: Connection,
    outgoing: Outgoing,
    /// How long the panel may be waited for.
    patience: Duration,
    /// What came and was not passed on.
    read: BytesMut,
    /// How far no end of the head was found.
    scanned: usize,
    /// Bytes of interim answers so far.
    interim: usize,
    /// Bytes of the request that the panel took since the clock was set.
    taken: u64,
    next_read: usize,
    receiving: Receiving,
    /// Something of an answer has come, if only a `100`.
    is_answered: bool,
    /// The panel takes no more of the request.
    is_refused: bool,
    /// No other request may follow.
    is_last: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Receiving {
    Head,
    Body(Framing),
    UntilClose,
    Over,
}

/// What becomes of the connection after an answer.
pub(super) enum Afterwards {
    /// It serves again.
    Free(Connection),
    /// The answer came before the end of the request, which is still being sent.
    Sending(Box<RoundTrip>),
    Closed,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            person: Person::default(),
            alarm: Deadline::default(),
        }
    }

    /// Who was served on it last.
    pub(super) fn person(&self) -> &Person {
        &self.person
    }

    /// Whether it can serve: it is open, and nothing came that nobody asked for.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut self.stream)
            .poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
            .is_pending()
    }
}

impl RoundTrip {
    /// `patience`: how long the panel may be waited for before the head of its answer, and later
    /// wherever it owes more.
    pub(super) fn new(
        mut connection: Connection,
        outgoing: Outgoing,
        person: Person,
        patience: Duration,
    ) -> Self {
        connection.stream.serve(Some(outgoing.guard().clone()));
        connection.person = person;
        Self {
            connection,
            is_last: outgoing.is_last(),
            outgoing,
            patience,
            read: BytesMut::new(),
            scanned: 0,
            interim: 0,
            taken: 0,
            next_read: FIRST_READ,
            receiving: Receiving::Head,
            is_answered: false,
            is_refused: false,
        }
    }

    /// The request, for another connection, where this one was closed before it brought anything of
    /// an answer.
    pub(super) fn request_again(self) -> Option<Outgoing> {
        self.outgoing.again().filter(|_| !self.is_answered)
    }

    /// Nobody else may be served on its connection.
    pub(super) fn make_last(&mut self) {
        self.is_last = true;
    }

    /// Sends the request and reads the head of its answer.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parts, UpstreamError>> {
        if self.is_sending() {
            let written = self.poll_request(cx)?;
            self.wind(written);
        }
        loop {
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.closed(None))),
                Poll::Ready(Ok(_)) => self.is_answered = true,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(self.closed(Some(fault)))),
                Poll::Pending => {
                    ready!(self.connection.alarm.poll_passed(cx));
                    return Poll::Ready(Err(UpstreamError::NoAnswer));
                }
            }
            if let Some(head) = self.take_head()? {
                self.connection.alarm.clear();
                return Poll::Ready(Ok(head));
            }
            // What comes at full speed would never let the clock be looked at.
            if self.interim > 0 && self.connection.alarm.poll_passed(cx).is_ready() {
                return Poll::Ready(Err(UpstreamError::NoAnswer));
            }
        }
    }

    /// Sets the clock after a step of sending: within `patience` the panel takes as much as is due in
    /// that time. It stands still while the client is waited for, who has a clock of his own, and begins
    /// again at the end of the request.
    fn wind(&mut self, written: usize) {
        self.taken = self.taken.saturating_add(written as u64);
        let is_enough = self.taken >= self.patience.as_secs().saturating_mul(LEAST_TAKEN);
        let is_sent = !self.is_sending();
        let alarm = &mut self.connection.alarm;
        if self.outgoing.waits_for_client() {
            alarm.clear();
        } else if is_sent || is_enough || !alarm.is_set() {
            alarm.set(self.patience);
            self.taken = 0;
        }
    }

    /// Writes what can be written, and says how much that was. A panel that reads no more may still
    /// answer, so only the client's faults are told.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Result<usize, UpstreamError> {
        let (written, polled) = self.outgoing.poll_send(&mut self.connection.stream, cx);
        match polled {
            Poll::Ready(Err(SendFault::Client(fault))) => return Err(UpstreamError::Client(fault)),
            Poll::Ready(Err(SendFault::Panel)) => (self.is_refused, self.is_last) = (true, true),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
        Ok(written)
    }

    fn closed(&self, fault: Option<io::Error>) -> UpstreamError {
        match fault {
            Some(fault) if self.is_answered => UpstreamError::Broken(fault),
            None if self.is_answered => UpstreamError::Broken(io::ErrorKind::UnexpectedEof.into()),
            _ => UpstreamError::Closed,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.read.reserve(self.next_read);
        let stream = Pin::new(&mut self.connection.stream);
        let count = ready!(poll_read_buf(stream, cx, &mut self.read))?;
        if count >= self.next_read {
            self.next_read = LONGEST_READ;
        }
        Poll::Ready(Ok(count))
    }

    /// The head, once it is whole. Interim answers before it are not passed on (RFC 9110 §15.2): what
    /// they are about is between the panel and the gateway.
    fn take_head(&mut self) -> Result<Option<Parts>, AnswerFault> {
        if answer::is_tls(&self.read) {
            return Err(AnswerFault::Tls);
        }
        while let Some(length) = answer::head_length(&self.read, &mut self.scanned) {
            let head = self.read.split_to(length).freeze();
            self.scanned = 0;
            let head = answer::read(&head, self.outgoing.method())?;
            let is_interim = head.parts.status.is_informational();
            if is_interim && head.parts.status != StatusCode::SWITCHING_PROTOCOLS {
                self.interim += length;
                if self.interim > INTERIM_LIMIT {
                    return Err(AnswerFault::Interim);
                }
                continue;
            }
            self.is_last |= !head.keeps_alive;
            self.receiving = match head.length {
                Length::Framed(framing) if framing.is_over() => Receiving::Over,
                Length::Framed(framing) => Receiving::Body(framing),
                Length::UntilClose => Receiving::UntilClose,
            };
            return Ok(Some(head.parts));
        }
        if self.read.len() > HEAD_LIMIT {
            return Err(AnswerFault::TooLarge);
        }
        Ok(None)
    }

    /// More of the body of the answer; `None` at its end.
    pub(in crate::proxy) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, UpstreamError>>> {
        if self.is_sending() {
            self.poll_request(cx)?;
        }
        loop {
            if let Some(data) = self.take_data()? {
                return Poll::Ready(Some(Ok(data)));
            }
            if self.receiving == Receiving::Over {
                return Poll::Ready(None);
            }
            let Poll::Ready(read) = self.poll_read(cx) else {
                return self.poll_standstill(cx).map(|fault| Some(Err(fault)));
            };
            self.connection.alarm.clear();
            match read {
                Ok(0) if self.receiving == Receiving::UntilClose => {
                    self.receiving = Receiving::Over;
                }
                Ok(0) => {
                    let fault = io::ErrorKind::UnexpectedEof.into();
                    return Poll::Ready(Some(Err(UpstreamError::Broken(fault))));
                }
                Ok(_) => {}
                Err(fault) => return Poll::Ready(Some(Err(UpstreamError::Broken(fault)))),
            }
        }
    }

    /// Ready when a body of known length has stood still for too long. One without a length may be a
    /// stream of events, which comes when it comes.
    fn poll_standstill(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamError> {
        if !matches!(self.receiving, Receiving::Body(Framing::Length(_))) {
            return Poll::Pending;
        }
        if !self.connection.alarm.is_set() {
            self.connection.alarm.set(self.patience);
        }
        ready!(self.connection.alarm.poll_passed(cx));
        Poll::Ready(UpstreamError::Standstill)
    }

    fn take_data(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        let length = match &mut self.receiving {
            Receiving::Head | Receiving::Over => return Ok(None),
            Receiving::UntilClose => self.read.len(),
            Receiving::Body(framing) => {
                let part = framing.part(&self.read).map_err(UpstreamError::Framing)?;
                self.read.advance(part.framing);
                if framing.is_over() {
                    self.receiving = Receiving::Over;
                }
                part.data
            }
        };
        Ok((length > 0).then(|| self.read.split_to(length).freeze()))
    }

    /// Whether the answer has been read to its end.
    pub(in crate::proxy) fn is_over(&self) -> bool {
        self.receiving == Receiving::Over
    }

    /// Whether its body comes in chunks.
    pub(in crate::proxy) fn is_chunked(&self) -> bool {
        match &self.receiving {
            Receiving::Body(framing) => !matches!(framing, Framing::Length(_)),
            _ => false,
        }
    }

    /// What is still to come of the body, where that is known.
    pub(in crate::proxy) fn length(&self) -> Option<u64> {
        match &self.receiving {
            Receiving::Body(Framing::Length(left)) => Some(*left),
            Receiving::Over => Some(0),
            _ => None,
        }
    }

    /// Ready when the request has been sent, or can't be: the client or the panel broke off, or stood
    /// still for too long.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Ok(written) = self.poll_request(cx) else {
            return Poll::Ready(());
        };
        if !self.is_sending() {
            return Poll::Ready(());
        }
        self.wind(written);
        self.connection.alarm.poll_passed(cx)
    }

    fn is_sending(&self) -> bool {
        !self.is_refused && !self.outgoing.is_sent()
    }

    /// What becomes of the connection.
    pub(super) fn end(mut self: Box<Self>) -> Afterwards {
        if self.is_over() && self.is_sending() {
            self.connection.alarm.clear();
            Afterwards::Sending(self)
        } else if !self.is_over() || !self.read.is_empty() || self.is_last {
            // What came behind the answer was asked for by nobody.
            Afterwards::Closed
        } else {
            self.connection.alarm.clear();
            self.connection.stream.serve(None);
            Afterwards::Free(self.connection)
        }
    }

    /// The connection as a stream of bytes, after the panel has switched protocols, and what of them
    /// has come already.
    pub(in crate::proxy) fn into_tunnel(self) -> (Stream, BytesMut) {
        (self.connection.stream, self.read)
    }
}
