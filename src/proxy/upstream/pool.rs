//! Idle connections to a panel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

use crate::proxy::body::RequestBody;
use crate::shutdown::Shutdown;

/// How many idle connections are kept.
const MOST: usize = 64;

/// How long one is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A request that can't be repeated goes only onto a connection that was used this recently: a panel
/// that closes idle ones does so later, and a request lost to that race would be a 502.
const FRESH: Duration = Duration::from_secs(1);

/// How often old ones are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// The idle connections to one panel of one worker.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    idle: Arc<Mutex<Vec<Idle>>>,
    tasks: Shutdown,
}

/// A connection in use, that can serve again after its answer.
#[derive(Debug)]
pub(in crate::proxy) struct Lease {
    sender: SendRequest<RequestBody>,
    pool: Pool,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(tasks: Shutdown) -> Self {
        let pool = Self {
            idle: Arc::default(),
            tasks: tasks.clone(),
        };
        let swept = pool.clone();
        tasks.clone().spawn(async move {
            while tokio::time::timeout(SWEEP, tasks.begun()).await.is_err() {
                swept.lock().retain(Idle::serves);
            }
            swept.lock().clear();
        });
        pool
    }

    /// The connection that was used last, so that the others grow old and go.
    pub(super) fn take(&self, is_repeatable: bool) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.lock();
        while let Some(newest) = idle.pop() {
            if !newest.serves() {
                continue;
            }
            if !is_repeatable && newest.since.elapsed() > FRESH {
                idle.push(newest);
                return None;
            }
            return Some(newest.sender);
        }
        None
    }

    pub(super) fn lease(&self, sender: SendRequest<RequestBody>) -> Lease {
        Lease {
            sender,
            pool: self.clone(),
        }
    }

    fn put(&self, sender: SendRequest<RequestBody>) {
        let mut idle = self.lock();
        if idle.len() < MOST && !self.tasks.has_begun() {
            idle.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    /// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Puts the connection back once it is done with the exchange; not at all if it closes.
    pub(in crate::proxy) fn give_back(self) {
        let Self { mut sender, pool } = self;
        if sender.is_ready() {
            return pool.put(sender);
        }
        let tasks = pool.tasks.clone();
        tasks.spawn(async move {
            if sender.ready().await.is_ok() {
                pool.put(sender);
            }
        });
    }
}

impl Idle {
    fn serves(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() < IDLE
    }
}
