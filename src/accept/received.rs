//! The body of a request, and what becomes of the part of it that was not read.
//!
//! Over HTTP/2 a body that is dropped before its end resets the stream, and a client that is still
//! sending may take the reset for a fault and never look at the answer: curl 7.88 does. RFC 9113 §8.1
//! lets a server answer early and read on, so the rest is read for a little while behind the answer.
//! HTTP/1.1 has its own place for this, in `head_check`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pace::Pace;
use crate::cancel::Cancel;
use crate::deadline::Deadline;

/// What is read of a body behind an answer that did not need it.
const LINGER_BYTES: usize = 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// The body of a request.
#[derive(Debug)]
pub struct Received {
    /// `None` once it was given to `unread`.
    incoming: Option<Incoming>,
    /// Over HTTP/2, where there is a body.
    unread: Option<Slot>,
    /// Over HTTP/2.
    closer: Option<Cancel>,
}

/// Where a body is left that was dropped before its end.
type Slot = Arc<Mutex<Option<Incoming>>>;

/// Reads on behind an answer.
#[derive(Debug)]
pub(super) struct Linger {
    slot: Slot,
    left: usize,
    deadline: Deadline,
}

impl Received {
    /// The request with its body, and what reads on behind its answer where that is needed.
    pub(super) fn of(request: Request<Incoming>) -> (Request<Self>, Option<Linger>) {
        let may_be_left = request.version() == Version::HTTP_2 && !request.body().is_end_stream();
        let unread = may_be_left.then(Slot::default);
        let linger = unread.clone().map(|slot| Linger {
            slot,
            left: LINGER_BYTES,
            deadline: Deadline::default(),
        });
        let request = request.map(|incoming| Self {
            incoming: Some(incoming),
            unread,
            closer: Pace::current().map(|pace| pace.closer().clone()),
        });
        (request, linger)
    }

    /// Drops the stream that carries this exchange, answer and all, when cancelled. Over HTTP/1.1 there
    /// is none: the connection carries it alone.
    pub fn closer(&self) -> Option<&Cancel> {
        self.closer.as_ref()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if let (Some(slot), Some(incoming)) = (&self.unread, self.incoming.take())
            && !incoming.is_end_stream()
        {
            *lock(slot) = Some(incoming);
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Linger {
    /// Whether there is nothing to read on for.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.slot).is_none()
    }

    /// Ready when the client has sent all of its body, or as much as is waited for.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = lock(&self.slot);
        let Some(incoming) = slot.as_mut() else {
            return Poll::Ready(());
        };
        if !self.deadline.is_set() {
            self.deadline.set(LINGER_TIME);
        }
        while self.left > 0 {
            if self.deadline.poll_passed(cx).is_ready() {
                break;
            }
            let Some(Ok(frame)) = ready!(Pin::new(&mut *incoming).poll_frame(cx)) else {
                break;
            };
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.saturating_sub(length);
        }
        *slot = None;
        Poll::Ready(())
    }
}

/// A panic while holding the lock leaves the slot whole, so poisoning tells nothing.
fn lock(slot: &Slot) -> MutexGuard<'_, Option<Incoming>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
