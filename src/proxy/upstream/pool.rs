//! Idle connections to a panel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use crate::proxy::body::RequestBody;
use crate::session::Exchange;
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

/// A connection to a panel. It ends with its owner, whatever is on it: what is still being sent to a
/// panel that does not read must not outlive its exchange.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) requests: SendRequest<RequestBody>,
    pub(super) _connection: DropGuard,
}

/// A connection in use.
#[derive(Debug)]
pub(in crate::proxy) struct Lease {
    sender: Sender,
    /// It can serve others after its answer.
    is_for_all: bool,
    pool: Pool,
}

#[derive(Debug)]
struct Idle {
    sender: Sender,
    since: Instant,
}

impl Sender {
    /// Sends a request, and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<http::Response<Incoming>, TrySendError<Request<RequestBody>>> {
        self.requests.try_send_request(request).await
    }
}

impl Pool {
    pub(super) fn new(tasks: Shutdown) -> Self {
        let pool = Self {
            idle: Arc::default(),
            tasks: tasks.clone(),
        };
        // Weak, so that a pool ends with those who use it: a changed configuration makes others.
        let swept = Arc::downgrade(&pool.idle);
        tasks.clone().spawn(async move {
            while tokio::time::timeout(SWEEP, tasks.begun()).await.is_err() {
                let Some(idle) = swept.upgrade() else { return };
                lock(&idle).retain(Idle::serves);
            }
            if let Some(idle) = swept.upgrade() {
                lock(&idle).clear();
            }
        });
        pool
    }

    /// The connection that was used last, so that the others grow old and go.
    pub(super) fn take(&self, is_repeatable: bool) -> Option<Sender> {
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

    pub(super) fn lease(&self, sender: Sender, is_for_all: bool) -> Lease {
        Lease {
            sender,
            is_for_all,
            pool: self.clone(),
        }
    }

    fn put(&self, sender: Sender) {
        let mut idle = self.lock();
        if idle.len() < MOST && !self.tasks.has_begun() {
            idle.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        lock(&self.idle)
    }
}

/// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
fn lock(idle: &Mutex<Vec<Idle>>) -> MutexGuard<'_, Vec<Idle>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lease {
    /// Puts the connection back once the request is sent as well, which an answer may come before; not
    /// at all if it closes, or if the session ends first.
    pub(in crate::proxy) fn give_back(self, exchange: &Exchange) {
        let Self {
            mut sender,
            is_for_all,
            pool,
        } = self;
        if !is_for_all {
            return;
        }
        if sender.requests.is_ready() {
            return pool.put(sender);
        }
        let cut = exchange.cut().clone();
        let tasks = pool.tasks.clone();
        tasks.spawn(async move {
            let sent = cut.run_until_cancelled(sender.requests.ready()).await;
            if let Some(Ok(())) = sent {
                pool.put(sender);
            }
        });
    }
}

impl Idle {
    fn serves(&self) -> bool {
        !self.sender.requests.is_closed() && self.since.elapsed() < IDLE
    }
}
