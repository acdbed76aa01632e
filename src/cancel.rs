//! One-shot cancellation that is looked at far more often than it happens.
//!
//! Every exchange can be cut and every connection closed from elsewhere, at any moment. The token of
//! tokio-util takes a lock whenever a task that waits is polled; here a look is one atomic load.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

/// Cancelled once, for good. Clones are of the same one.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_cancelled: AtomicBool,
    /// One for each task that has waited; they are few, and go with the state.
    waiting: Mutex<Vec<Waker>>,
}

/// Resolves when it is cancelled.
#[derive(Debug)]
pub struct Cancelled {
    state: Arc<State>,
    /// Who is among `waiting` already.
    noted: Option<Waker>,
}

pin_project! {
    /// Work that a cancellation ends.
    #[derive(Debug)]
    pub struct UntilCancelled<F> {
        cancelled: Cancelled,
        #[pin]
        work: F,
    }
}

impl Cancel {
    /// Not cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels, and wakes whoever waits for it.
    pub fn cancel(&self) {
        // Under the lock, so that nobody can look before and be noted after.
        let waiting = {
            let mut waiting = self.0.waiting();
            self.0.is_cancelled.store(true, Ordering::Release);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Acquire)
    }

    /// Resolves when it is cancelled.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled {
            state: self.0.clone(),
            noted: None,
        }
    }

    /// Resolves to the outcome of `work`, or to `None` if it is cancelled first, or at the same moment.
    pub fn until_cancelled<F: Future>(&self, work: F) -> UntilCancelled<F> {
        UntilCancelled {
            cancelled: self.cancelled(),
            work,
        }
    }
}

impl State {
    /// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.state.is_cancelled.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let is_noted = |noted: &Waker| noted.will_wake(cx.waker());
        if self.noted.as_ref().is_some_and(is_noted) {
            return Poll::Pending;
        }
        let mut waiting = self.state.waiting();
        if self.state.is_cancelled.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if !waiting.iter().any(is_noted) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        self.noted = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<F: Future> Future for UntilCancelled<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        if Pin::new(this.cancelled).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        this.work.poll(cx).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_once_and_for_good() {
        let cancel = Cancel::new();
        let mut waiting = JoinSet::new();
        (0..3).for_each(|_| drop(waiting.spawn(cancel.cancelled())));
        tokio::task::yield_now().await;
        assert!(!cancel.is_cancelled());
        cancel.clone().cancel();
        let woken = tokio::time::timeout(Duration::from_secs(5), waiting.join_all());
        assert_eq!(woken.await.unwrap().len(), 3);
        cancel.cancelled().await;
        assert!(cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_wait_that_moves_to_another_task_is_woken_there() {
        let cancel = Cancel::new();
        let mut waiting = cancel.cancelled();
        let first = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut waiting).poll(cx)));
        assert!(first.await.is_pending());
        let mut elsewhere = JoinSet::new();
        elsewhere.spawn(waiting);
        tokio::task::yield_now().await;
        cancel.cancel();
        let woken = tokio::time::timeout(Duration::from_secs(5), elsewhere.join_all());
        assert_eq!(woken.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn work_ends_with_it() {
        let cancel = Cancel::new();
        assert_eq!(cancel.until_cancelled(async { 1 }).await, Some(1));
        cancel.cancel();
        assert_eq!(cancel.until_cancelled(async { 1 }).await, None);
    }
}
