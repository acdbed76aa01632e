//! A future that is polled only when it asked for it.
//!
//! The task of a connection is woken for every byte; what ends the connection (the gateway ends, it was
//! idle for too long) happens once. Polled along, each of these would take its lock every time.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Polls `inner` at first and after it was woken.
#[derive(Debug)]
pub(super) struct Seldom<F> {
    inner: Pin<Box<F>>,
    call: Arc<Call>,
    /// `call` as `inner` knows it.
    waker: Waker,
    /// Who is noted in `call`.
    noted: Option<Waker>,
}

#[derive(Debug)]
struct Call {
    was_woken: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl<F: Future> Seldom<F> {
    pub(super) fn new(inner: F) -> Self {
        let call = Arc::new(Call {
            was_woken: AtomicBool::new(true),
            task: Mutex::default(),
        });
        Self {
            inner: Box::pin(inner),
            waker: Waker::from(call.clone()),
            call,
            noted: None,
        }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let is_noted = |noted: &Waker| noted.will_wake(cx.waker());
        if !self.noted.as_ref().is_some_and(is_noted) {
            // Before the look below: who wakes in between wakes this task.
            *self.call.task() = Some(cx.waker().clone());
            self.noted = Some(cx.waker().clone());
        }
        if !self.call.was_woken.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.call.was_woken.swap(false, Ordering::AcqRel);
        let this = &mut *self;
        this.inner
            .as_mut()
            .poll(&mut Context::from_waker(&this.waker))
    }
}

impl Call {
    /// A panic while holding the lock leaves the waker whole, so poisoning tells nothing.
    fn task(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.was_woken.store(true, Ordering::Release);
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_is_polled_when_it_asked_for_it_and_at_no_other_time() {
        let (sender, mut receiver) = oneshot::channel::<u8>();
        let mut polls = 0;
        let mut seldom = Seldom::new(poll_fn(|cx| {
            polls += 1;
            Pin::new(&mut receiver).poll(cx)
        }));
        for _ in 0..10 {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut seldom).poll(cx))).await;
            assert!(polled.is_pending());
        }
        let sending = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sender.send(7).unwrap();
        };
        let patience = Duration::from_secs(5);
        let (got, ()) = tokio::join!(tokio::time::timeout(patience, &mut seldom), sending);
        assert_eq!(got, Ok(Ok(7)));
        drop(seldom);
        assert_eq!(polls, 2);
    }
}
