//! Bodies in both directions: streamed as they come, with a clock on the client's, and cut when the
//! session ends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::condition::Place;
use super::upstream::Lease;
use crate::clock::Clock;
use crate::config::Bounds;
use crate::session::Exchange;

/// What a request's body is doing, as the one who waits for the answer sees it.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<State>);

#[derive(Debug)]
struct State {
    begun: Instant,
    /// Milliseconds after `begun` at which the body last moved on or ended.
    moved: AtomicU64,
    /// More of the body is waited for, which is the client's to send.
    waits_for_client: AtomicBool,
    fault: AtomicU8,
}

/// How a client's body ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BodyFault {
    Silent = 1,
    Broken = 2,
    Cut = 3,
    TooLarge = 4,
}

/// The body of a request to a panel.
#[derive(Debug)]
pub(super) struct RequestBody(Option<ClientBody>);

#[derive(Debug)]
struct ClientBody {
    incoming: Incoming,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    idle: Pin<Box<Sleep>>,
    patience: Duration,
    /// What may still come, in bytes.
    left: u64,
    /// The clock runs only while the client is waited for.
    is_waiting: bool,
    progress: Progress,
    clock: Clock,
    /// A panel may answer before it has read everything: what is still sent is of the exchange.
    exchange: Arc<Exchange>,
}

/// The body of a panel's answer. Dropped before its end it takes the connection to the panel along.
#[derive(Debug)]
pub(super) struct ResponseBody {
    incoming: Incoming,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    lease: Option<Lease>,
    _place: Place,
    /// Seen by its end, which for a chunked body is known by nothing else.
    has_ended: bool,
    exchange: Arc<Exchange>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            begun: Instant::now(),
            moved: AtomicU64::new(0),
            waits_for_client: AtomicBool::new(false),
            fault: AtomicU8::new(0),
        }))
    }

    /// Since when the panel is waited for: the moment at which the request last moved on. `None` while
    /// it is the client that is waited for.
    pub(super) fn panel_awaited_since(&self) -> Option<Instant> {
        let moved = Duration::from_millis(self.0.moved.load(Ordering::Relaxed));
        let waits_for_client = self.0.waits_for_client.load(Ordering::Relaxed);
        (!waits_for_client).then(|| self.0.begun + moved)
    }

    pub(super) fn client_fault(&self) -> Option<BodyFault> {
        match self.0.fault.load(Ordering::Relaxed) {
            1 => Some(BodyFault::Silent),
            2 => Some(BodyFault::Broken),
            3 => Some(BodyFault::Cut),
            4 => Some(BodyFault::TooLarge),
            _ => None,
        }
    }

    fn moved_on(&self) {
        self.0.waits_for_client.store(false, Ordering::Relaxed);
        let millis = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.moved.store(millis, Ordering::Relaxed);
    }

    fn failed(&self, fault: BodyFault) -> io::Error {
        self.0.fault.store(fault as u8, Ordering::Relaxed);
        io::Error::other("the client's body ended badly")
    }
}

impl RequestBody {
    pub(super) fn of_client(
        incoming: Incoming,
        bounds: &Bounds,
        exchange: &Arc<Exchange>,
        progress: Progress,
        clock: Clock,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self(Some(ClientBody {
            incoming,
            cut: Box::pin(exchange.cut().clone().cancelled_owned()),
            idle: Box::pin(tokio::time::sleep(bounds.idle)),
            patience: bounds.idle,
            left: bounds.max_body.unwrap_or(u64::MAX),
            is_waiting: false,
            progress,
            clock,
            exchange: exchange.clone(),
        }))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }
}

impl ClientBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(self.progress.failed(BodyFault::Cut))));
        }
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_idle(cx),
        };
        self.is_waiting = false;
        self.progress.moved_on();
        // What the client sends keeps its session alive.
        if let Some(session) = self.exchange.session() {
            session.touch(self.clock.now());
        }
        Poll::Ready(match frame {
            // Trailers could carry fields that the head may not (RFC 9110 §6.5.1): dropped.
            Some(Ok(frame)) if frame.is_trailers() => None,
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Some(Ok(frame))
                    }
                    None => Some(Err(self.progress.failed(BodyFault::TooLarge))),
                }
            }
            Some(Err(_)) => Some(Err(self.progress.failed(BodyFault::Broken))),
            None => None,
        })
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.is_waiting {
            self.is_waiting = true;
            let waits = &self.progress.0.waits_for_client;
            waits.store(true, Ordering::Relaxed);
            self.idle.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.idle.as_mut().poll(cx));
        Poll::Ready(Some(Err(self.progress.failed(BodyFault::Silent))))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Some(body) => body.poll(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|body| body.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(body) => body.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl ResponseBody {
    pub(super) fn new(
        incoming: Incoming,
        exchange: Arc<Exchange>,
        lease: Lease,
        place: Place,
    ) -> Self {
        Self {
            incoming,
            cut: Box::pin(exchange.cut().clone().cancelled_owned()),
            lease: Some(lease),
            _place: place,
            has_ended: false,
            exchange,
        }
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
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(io::Error::other("the session has ended"))));
        }
        let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            // Dropped, as those of requests are: a panel could set the gateway's cookie in them.
            Some(Ok(frame)) if frame.is_trailers() => None,
            frame => frame,
        };
        self.has_ended = frame.is_none();
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for ResponseBody {
    /// A connection whose answer was read to its end serves again; any other is closed.
    fn drop(&mut self) {
        let is_whole = self.has_ended || self.incoming.is_end_stream();
        if let Some(lease) = self.lease.take().filter(|_| is_whole) {
            lease.give_back(&self.exchange);
        }
    }
}
