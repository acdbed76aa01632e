//! One-shot cancellation that is looked at far more often than it happens.
//!
//! Every exchange can be cut and every connection closed from elsewhere, at any moment. The token of
//! tokio-util takes a lock whenever a task that waits is polled; here a look is one atomic load.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

/// Cancelled once, for good and for one reason. Clones are of the same one.
#[derive(Debug)]
pub struct Cancel<R = ()>(Arc<State<R>>);

#[derive(Debug)]
struct State<R> {
    /// Set when it is cancelled.
    reason: OnceLock<R>,
    /// One for each task that has waited; they are few, and go with the state.
    waiting: Mutex<Vec<Waker>>,
}

/// Resolves to the reason when it is cancelled.
#[derive(Debug)]
pub struct Cancelled<R = ()> {
    state: Arc<State<R>>,
    /// Who is among `waiting` already.
    noted: Option<Waker>,
}

pin_project! {
    /// Work that a cancellation ends.
    #[derive(Debug)]
    pub struct UntilCancelled<F, R = ()> {
        cancelled: Cancelled<R>,
        #[pin]
        work: F,
    }
}

impl Cancel {
    /// Cancels, and wakes whoever waits for it.
    pub fn cancel(&self) {
        self.cancel_for(());
    }
}

impl<R: Copy> Cancel<R> {
    /// Not cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels for this reason, unless it was cancelled before, and wakes whoever waits for it.
    pub fn cancel_for(&self, reason: R) {
        // Under the lock, so that nobody can look before and be noted after.
        let waiting = {
            let mut waiting = self.0.waiting();
            // The first reason stays: it is the one that may have been acted on.
            let _ = self.0.reason.set(reason);
            std::mem::take(&mut *waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Why it was cancelled; `None` while it is not.
    pub fn reason(&self) -> Option<R> {
        self.0.reason.get().copied()
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.reason().is_some()
    }

    /// Resolves to the reason when it is cancelled.
    pub fn cancelled(&self) -> Cancelled<R> {
        Cancelled {
            state: self.0.clone(),
            noted: None,
        }
    }

    /// Runs `work` until it is cancelled.
    ///
    /// # Errors
    /// The reason, when it is cancelled before the work is done or at the same moment.
    pub fn until_cancelled<F: Future>(&self, work: F) -> UntilCancelled<F, R> {
        UntilCancelled {
            cancelled: self.cancelled(),
            work,
        }
    }
}

impl<R> Clone for Cancel<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R> Default for Cancel<R> {
    fn default() -> Self {
        Self(Arc::new(State {
            reason: OnceLock::new(),
            waiting: Mutex::default(),
        }))
    }
}

impl<R> State<R> {
    /// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: Copy> Future for Cancelled<R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        if let Some(reason) = self.state.reason.get() {
            return Poll::Ready(*reason);
        }
        let is_noted = |noted: &Waker| noted.will_wake(cx.waker());
        if self.noted.as_ref().is_some_and(is_noted) {
            return Poll::Pending;
        }
        let mut waiting = self.state.waiting();
        if let Some(reason) = self.state.reason.get() {
            return Poll::Ready(*reason);
        }
        if !waiting.iter().any(is_noted) {
            waiting.push(cx.waker().clone());
        }
        drop(waiting);
        self.noted = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<F: Future, R: Copy> Future for UntilCancelled<F, R> {
    type Output = Result<F::Output, R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<F::Output, R>> {
        let this = self.project();
        if let Poll::Ready(reason) = Pin::new(this.cancelled).poll(cx) {
            return Poll::Ready(Err(reason));
        }
        this.work.poll(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_woken_once_and_for_good() {
        let cancel: Cancel = Cancel::new();
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
        let cancel: Cancel = Cancel::new();
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
    async fn work_ends_with_it_and_learns_the_first_reason() {
        let cancel = Cancel::new();
        assert_eq!(cancel.until_cancelled(async { 1 }).await, Ok(1));
        assert_eq!(cancel.reason(), None);
        cancel.cancel_for("first");
        cancel.cancel_for("second");
        assert_eq!(cancel.until_cancelled(async { 1 }).await, Err("first"));
        assert_eq!(cancel.cancelled().await, "first");
    }
}
