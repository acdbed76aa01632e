//! Bodies in both directions: streamed as they come, with a clock on the client's, and cut when the
//! session ends.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::Held;
use super::ending::{self, Teller};
use super::upstream::{Pool, RoundTrip};
use crate::accept::{self, Received};
use crate::cancel::Cancelled;
use crate::clock::Clock;
use crate::config::Bounds;
use crate::deadline::Deadline;
use crate::session::{CutReason, Exchange, Session};

/// How a client's body ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFault {
    /// Nothing more came of it.
    Silent,
    /// It comes slower than it must.
    Slow,
    /// It broke off, or was malformed.
    Broken,
    /// It is longer than the panel takes.
    TooLarge,
}

/// What is read of a body before a place at the panel is taken, in bytes: most forms are whole then.
const GATHERED: usize = 64 * 1024;

/// How long that is waited for where the body is longer, or its length is not known: it may go on only
/// after the panel has answered.
const BRIEFLY: Duration = Duration::from_millis(250);

/// How long a body may come slowly before its rate counts.
const GRACE: Duration = Duration::from_secs(10);

/// The body of a request to a panel.
#[derive(Debug)]
pub(super) struct RequestBody(Option<Box<ClientBody>>);

#[derive(Debug)]
struct ClientBody {
    incoming: Received,
    /// Runs only while the client is waited for.
    silence: Deadline,
    patience: Duration,
    pace: Pace,
    /// What may still come, in bytes.
    left: u64,
    /// The whole length, where the head says it.
    length: Option<u64>,
    /// What was read before there was a place at the panel, and the room that it takes.
    ahead: BytesMut,
    room: Option<OwnedSemaphorePermit>,
    is_ended: bool,
    session: Option<Arc<Session>>,
    clock: Clock,
}

/// How fast a body comes while it is waited for.
#[derive(Debug)]
struct Pace {
    /// In bytes a second.
    least: u64,
    grace: Duration,
    came: u64,
    waited: Duration,
    waits_since: Option<Instant>,
}

/// An answer that is use of its session for as long as the browser takes it.
#[derive(Debug)]
pub(super) struct Taken(Clock);

/// The body of a panel's answer. Dropped before its end it takes the connection to the panel along.
#[derive(Debug)]
pub(super) struct ResponseBody {
    /// Until it is dropped.
    under_way: Option<(Box<RoundTrip>, Exchange, Held)>,
    cut: Cancelled<CutReason>,
    pool: Pool,
    taken: Option<Taken>,
    teller: Teller,
}

impl RequestBody {
    pub(super) fn of_client(
        incoming: Received,
        bounds: &Bounds,
        session: Option<&Arc<Session>>,
        clock: &Clock,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self(Some(Box::new(ClientBody {
            silence: Deadline::default(),
            patience: bounds.idle,
            pace: Pace {
                least: bounds.min_body_rate.unwrap_or(0),
                grace: bounds.idle.min(GRACE),
                came: 0,
                waited: Duration::ZERO,
                waits_since: None,
            },
            length: incoming.size_hint().exact(),
            ahead: BytesMut::new(),
            room: None,
            is_ended: false,
            left: bounds.max_body.unwrap_or(u64::MAX),
            session: session.cloned(),
            clock: clock.clone(),
            incoming,
        })))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }

    /// How long it is, in bytes; `None` where that is not known before its end.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.0 {
            Some(body) => body.length,
            None => Some(0),
        }
    }

    /// Reads the first of it, so that a client who sends slowly takes no place at the panel; nothing
    /// where there is no `room`, which bounds what all clients together may have read ahead.
    ///
    /// # Errors
    /// How the client's body ended badly.
    pub(super) async fn gather(&mut self, room: &Arc<Semaphore>) -> Result<(), ClientFault> {
        let room = room.clone().try_acquire_owned();
        let (Some(body), Ok(room)) = (&mut self.0, room) else {
            return Ok(());
        };
        body.room = Some(room);
        let is_small = body.length.is_some_and(|length| length <= GATHERED as u64);
        let gathering = poll_fn(|cx| body.poll_gather(cx));
        if is_small {
            return gathering.await;
        }
        timeout(BRIEFLY, gathering).await.unwrap_or(Ok(()))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// More of it; `None` at its end.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ClientFault>>> {
        match &mut self.0 {
            Some(body) => body.poll_data(cx),
            None => Poll::Ready(None),
        }
    }
}

impl ClientBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        if !self.ahead.is_empty() {
            self.room = None;
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.ahead).freeze())));
        }
        if self.is_ended {
            return Poll::Ready(None);
        }
        self.poll_more(cx)
    }

    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        while !self.is_ended && self.ahead.len() < GATHERED {
            match ready!(self.poll_more(cx)) {
                Some(data) => self.ahead.extend_from_slice(&data?),
                None => self.is_ended = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ClientFault>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            if !self.silence.is_set() {
                self.silence.set(self.patience);
            }
            self.pace.waits();
            ready!(self.silence.poll_passed(cx));
            return Poll::Ready(Some(Err(ClientFault::Silent)));
        };
        self.silence.clear();
        // What the client sends keeps its session alive.
        if let Some(session) = &self.session {
            session.touch(self.clock.now());
        }
        Poll::Ready(match frame.transpose() {
            // Trailers could carry fields that the head may not (RFC 9110 §6.5.1): dropped.
            Ok(frame) => frame
                .and_then(|frame| frame.into_data().ok())
                .map(|data| self.within_bounds(data)),
            Err(_) => Some(Err(ClientFault::Broken)),
        })
    }

    fn within_bounds(&mut self, data: Bytes) -> Result<Bytes, ClientFault> {
        let left = self.left.checked_sub(data.len() as u64);
        self.left = left.ok_or(ClientFault::TooLarge)?;
        self.pace.comes(data.len())?;
        Ok(data)
    }
}

impl Pace {
    fn waits(&mut self) {
        self.waits_since.get_or_insert_with(Instant::now);
    }

    /// Looked at when something comes: until then there is the clock on silence.
    fn comes(&mut self, count: usize) -> Result<(), ClientFault> {
        self.came = self.came.saturating_add(count as u64);
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
        let counted = self.waited.saturating_sub(self.grace).as_secs();
        if self.came < self.least.saturating_mul(counted) {
            return Err(ClientFault::Slow);
        }
        Ok(())
    }
}

impl ResponseBody {
    pub(super) fn new(
        trip: Box<RoundTrip>,
        exchange: Exchange,
        pool: Pool,
        held: Held,
        teller: Teller,
    ) -> Self {
        Self {
            taken: None,
            teller,
            cut: exchange.guard().is_cut(),
            under_way: Some((trip, exchange, held)),
            pool,
        }
    }
}

impl ResponseBody {
    /// Counts as use, where it does.
    pub(super) fn taken(mut self, taken: Option<Taken>) -> Self {
        self.taken = taken;
        self
    }
}

impl Taken {
    /// An answer has an end that the person waits for. A stream of events has none: like what comes on a
    /// WebSocket it is the panel's doing alone, and would keep a session alive that nobody uses.
    pub(super) fn of(head: &Parts, clock: &Clock) -> Option<Self> {
        let kind = head.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_events = kind.is_some_and(|kind| {
            let name = kind.split(|byte| *byte == b';').next().unwrap_or_default();
            name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
        });
        (!is_events).then(|| Self(clock.clone()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        // An error, not an end: a cut answer must not look complete.
        if let Poll::Ready(reason) = Pin::new(&mut self.cut).poll(cx) {
            self.teller.abandoned(Some(reason));
            return Poll::Ready(Some(Err(accept::withdrawn(reason))));
        }
        let this = &mut *self;
        let Some((trip, exchange, _)) = &mut this.under_way else {
            return Poll::Ready(None);
        };
        // Trailers of a panel are not passed on: it could set the gateway's cookie in them.
        let data = ready!(trip.poll_data(cx));
        if let Err(reason) = exchange.guard().may_carry() {
            this.teller.abandoned(Some(reason));
            return Poll::Ready(Some(Err(accept::withdrawn(reason))));
        }
        match &data {
            Some(Err(fault)) => this.teller.ended(ending::of_answer(fault, trip)),
            // What comes before has been taken.
            Some(Ok(_)) if !trip.is_over() => {
                if let (Some(Taken(clock)), Some(session)) = (&this.taken, exchange.session()) {
                    session.touch(clock.now());
                }
            }
            _ => {}
        }
        Poll::Ready(data.map(|data| data.map(Frame::data).map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.under_way
            .as_ref()
            .is_none_or(|(trip, ..)| trip.is_over())
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.under_way.as_ref().and_then(|(trip, ..)| trip.length());
        length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    /// A connection whose answer was read to its end may serve again; any other is closed.
    fn drop(&mut self) {
        if let Some((trip, exchange, held)) = self.under_way.take() {
            if !trip.is_over() {
                self.teller.abandoned(exchange.guard().why_cut());
            }
            self.pool
                .give_back(trip, exchange, held, |held| held.1.is_endless());
        }
    }
}
