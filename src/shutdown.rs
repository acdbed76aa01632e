//! Owners of tasks: who runs, and how it ends.
//!
//! Every task is spawned here, so that at the end somebody can wait for it.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A group of tasks with one signal to end. Clones share the group.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    given_up: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A group without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` on the current runtime, counted in this group until it returns.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// The same on another runtime.
    pub fn spawn_on<F>(&self, task: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn_on(task, runtime)
    }

    /// Tells every task of the group to end.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// Lets nobody wait for the tasks any longer: what still runs is dropped with its runtime.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Whether [`Shutdown::begin`] was called.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Resolves when the group is to end.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits until every task has returned; `false` when some still ran after `grace`, or when they were
    /// given up.
    pub async fn finished_within(&self, grace: Duration) -> bool {
        self.tasks.close();
        tokio::select! {
            biased;
            () = self.tasks.wait() => true,
            () = self.given_up.cancelled() => false,
            () = tokio::time::sleep(grace) => false,
        }
    }
}
