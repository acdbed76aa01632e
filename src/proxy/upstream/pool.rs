//! Idle connections to a panel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::round_trip::{Afterwards, Connection, RoundTrip};
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
pub(in crate::proxy) struct Pool {
    idle: Arc<Mutex<Vec<Idle>>>,
    tasks: Shutdown,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
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
                lock(&idle).retain_mut(|kept| kept.age() < IDLE && kept.connection.is_quiet());
            }
            if let Some(idle) = swept.upgrade() {
                lock(&idle).clear();
            }
        });
        pool
    }

    /// The connection that was used last, so that the others grow old and go.
    pub(super) fn take(&self, is_repeatable: bool) -> Option<Connection> {
        let mut idle = self.lock();
        while let Some(mut newest) = idle.pop() {
            let age = newest.age();
            if age >= IDLE || !newest.connection.is_quiet() {
                continue;
            }
            if !is_repeatable && age > FRESH {
                idle.push(newest);
                return None;
            }
            return Some(newest.connection);
        }
        None
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < MOST && !self.tasks.has_begun() {
            idle.push(Idle {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Puts the connection of an answer back once the request is sent as well, which an answer may
    /// come before; not at all if either broke off, or if the session ends first.
    pub(in crate::proxy) fn give_back(&self, trip: Box<RoundTrip>, exchange: Exchange) {
        match trip.end() {
            Afterwards::Free(connection) => self.put(connection),
            Afterwards::Closed => {}
            Afterwards::Sending(mut trip) => {
                let pool = self.clone();
                self.tasks.spawn(async move {
                    let sending = std::future::poll_fn(|cx| trip.poll_sent(cx));
                    let sent = exchange.until_cut(sending).await;
                    if let (Ok(()), Afterwards::Free(connection)) = (sent, trip.end()) {
                        pool.put(connection);
                    }
                });
            }
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

impl Idle {
    fn age(&self) -> Duration {
        self.since.elapsed()
    }
}
