//! Bodies in both directions: streamed as they come, with a clock on the client's, and cut when the
//! session ends.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::condition::Place;
use super::upstream::{Pool, RoundTrip};
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
    /// It broke off, or was malformed.
    Broken,
    /// It is longer than the panel takes.
    TooLarge,
}

/// The body of a request to a panel.
#[derive(Debug)]
pub(super) struct RequestBody(Option<Box<ClientBody>>);

#[derive(Debug)]
struct ClientBody {
    incoming: Incoming,
    /// Runs only while the client is waited for.
    silence: Deadline,
    patience: Duration,
    /// What may still come, in bytes.
    left: u64,
    session: Option<Arc<Session>>,
    clock: Clock,
}

/// The body of a panel's answer. Dropped before its end it takes the connection to the panel along.
#[derive(Debug)]
pub(super) struct ResponseBody {
    /// Until it is dropped.
    under_way: Option<(Box<RoundTrip>, Exchange, Place)>,
    cut: Cancelled<CutReason>,
    pool: Pool,
}

impl RequestBody {
    pub(super) fn of_client(
        incoming: Incoming,
        bounds: &Bounds,
        session: Option<&Arc<Session>>,
        clock: &Clock,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        Self(Some(Box::new(ClientBody {
            incoming,
            silence: Deadline::default(),
            patience: bounds.idle,
            left: bounds.max_body.unwrap_or(u64::MAX),
            session: session.cloned(),
            clock: clock.clone(),
        })))
    }

    pub(super) fn empty() -> Self {
        Self(None)
    }

    /// How long it is, in bytes; `None` where that is not known before its end.
    pub(super) fn length(&self) -> Option<u64> {
        match &self.0 {
            Some(body) => body.incoming.size_hint().exact(),
            None => Some(0),
        }
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
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            if !self.silence.is_set() {
                self.silence.set(self.patience);
            }
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
        Ok(data)
    }
}

impl ResponseBody {
    pub(super) fn new(trip: Box<RoundTrip>, exchange: Exchange, pool: Pool, place: Place) -> Self {
        Self {
            cut: exchange.guard().is_cut(),
            under_way: Some((trip, exchange, place)),
            pool,
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
        if let Poll::Ready(reason) = Pin::new(&mut self.cut).poll(cx) {
            return Poll::Ready(Some(Err(io::Error::other(reason))));
        }
        let Some((trip, exchange, _)) = &mut self.under_way else {
            return Poll::Ready(None);
        };
        // Trailers of a panel are not passed on: it could set the gateway's cookie in them.
        let data = ready!(trip.poll_data(cx));
        exchange.guard().may_carry().map_err(io::Error::other)?;
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
        if let Some((trip, exchange, place)) = self.under_way.take() {
            self.pool.give_back(trip, exchange, place);
        }
    }
}
