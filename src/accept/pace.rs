//! The clock on what a client of HTTP/2 takes of one answer.
//!
//! Over HTTP/1.1 the clock is on the writes of the socket. Over HTTP/2 a client can leave one stream
//! unread and keep the connection busy: with a window of nothing it would hold what answers it, down
//! to a place at the panel, for ever. Only the stream that stands still is reset.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::cancel::{Cancel, Cancelled};
use crate::deadline::Deadline;

tokio::task_local! {
    static CURRENT: Pace;
}

/// How a client takes one answer. Clones are of the same one.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    limit: Duration,
    deadline: Arc<Mutex<Deadline>>,
    closer: Cancel,
}

pin_project! {
    /// A stream, until it has ended, its client takes nothing for too long, or it is closed.
    pub(super) struct Paced<F> {
        pace: Pace,
        closed: Cancelled,
        #[pin]
        stream: F,
    }
}

impl Pace {
    /// Of a client that may stand still for `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            deadline: Arc::default(),
            closer: Cancel::new(),
        }
    }

    /// That of the stream that is running; none over HTTP/1.1.
    pub(super) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Drops the stream when cancelled, at once and with what was not yet sent; the others of its
    /// connection go on.
    pub(super) fn closer(&self) -> &Cancel {
        &self.closer
    }

    /// Something was handed out: the client is waited for.
    pub(super) fn waits_for_client(&self) {
        self.deadline().set(self.limit);
    }

    /// Nothing is there that the client could take.
    pub(super) fn waits_for_answer(&self) {
        self.deadline().clear();
    }

    /// Runs a stream at this pace.
    pub(super) fn of<F>(self, stream: F) -> Paced<F> {
        Paced {
            closed: self.closer.cancelled(),
            pace: self,
            stream,
        }
    }

    /// A panic while holding the lock leaves the deadline whole, so poisoning tells nothing.
    fn deadline(&self) -> MutexGuard<'_, Deadline> {
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output = ()>> Future for Paced<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let pace = this.pace.clone();
        if CURRENT.sync_scope(pace, || this.stream.poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        if Pin::new(this.closed).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        ready!(this.pace.deadline().poll_passed(cx));
        // Dropped with its stream, which resets it.
        tracing::debug!("a client takes nothing of an answer: its stream is reset");
        Poll::Ready(())
    }
}
