//! Deadlines that are set and cleared far more often than they pass.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A point in time that wakes the task that polls it. Setting and clearing it costs no timer: an
/// alarm that rings too early is simply set again.
#[derive(Debug, Default)]
pub struct Deadline {
    at: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Moves it to `after` from now.
    pub fn set(&mut self, after: Duration) {
        self.at = Instant::now().checked_add(after);
    }

    /// It never passes.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Whether it will pass.
    pub fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Ready when it has passed.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
