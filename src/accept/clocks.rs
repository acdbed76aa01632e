//! How long each phase of a connection may take. hyper has no clock for most of them.
//!
//! An exchange in progress (a slow panel, a stream of events) is never cut by a clock of reading;
//! the clock on a request body belongs to whoever reads it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// The limits, together, so that tests can shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// What a trusted proxy says before TLS about its client, from its first byte.
    pub introduction: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// From the start of a connection to its first byte, and over HTTP/2 to the whole preface.
    pub first_byte: Duration,
    /// From the first byte of a head to its end.
    pub head: Duration,
    /// HTTP/1.1: between two exchanges.
    pub idle: Duration,
    /// HTTP/2: without an exchange.
    pub idle_http2: Duration,
    /// A write of which the peer takes nothing.
    pub write: Duration,
    /// HTTP/2: between two pings.
    pub ping_interval: Duration,
    /// HTTP/2: until the answer to a ping.
    pub ping_answer: Duration,
    /// After the last answer, for what the peer still sends (RFC 9112 §9.6).
    pub linger: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            introduction: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(15),
            head: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            idle_http2: Duration::from_secs(120),
            write: Duration::from_secs(60),
            ping_interval: Duration::from_secs(30),
            ping_answer: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}

/// A point in time that wakes the task that polls it. Setting and clearing it costs no timer: an
/// alarm that rings too early is simply set again.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    at: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(super) fn set(&mut self, after: Duration) {
        self.at = Instant::now().checked_add(after);
    }

    pub(super) fn clear(&mut self) {
        self.at = None;
    }

    pub(super) fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready when it has passed.
    pub(super) fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if alarm.deadline() > at {
            alarm.as_mut().reset(at);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= at {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const UNIT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_deadline_that_was_moved_rings_at_the_new_time() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        deadline.set(UNIT);
        let early = poll_fn(|cx| Poll::Ready(deadline.poll_passed(cx).is_ready())).await;
        assert!(!early);
        deadline.set(UNIT * 5);
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert!(start.elapsed() >= UNIT * 5);
        deadline.set(UNIT);
        poll_fn(|cx| deadline.poll_passed(cx)).await;
        assert!(start.elapsed() >= UNIT * 6);
    }

    #[tokio::test]
    async fn a_deadline_that_was_cleared_never_rings() {
        let mut deadline = Deadline::default();
        deadline.set(UNIT);
        deadline.clear();
        let never = poll_fn(|cx| deadline.poll_passed(cx));
        assert!(tokio::time::timeout(UNIT * 5, never).await.is_err());
    }
}
