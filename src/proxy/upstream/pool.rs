//! Idle connections to a panel.
//!
//! A connection serves again only after a plain question that was answered to its end: one that carried
//! a body, or an answer without a place for one, goes with its exchange. What a panel sends late, behind
//! the end of its answer, would be read as the next one. So a connection serves another person only
//! after it has been quiet for a while.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::round_trip::{Afterwards, Connection, RoundTrip};
use crate::model::ClientAddress;
use crate::session::{Exchange, Session};
use crate::shutdown::Shutdown;

/// How many idle connections are kept.
const MOST: usize = 64;

/// How long one is kept.
const IDLE: Duration = Duration::from_secs(30);

/// How long a connection is quiet before it serves another person.
const QUIET: Duration = Duration::from_millis(100);

/// How often old ones are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// The idle connections to one panel of one worker.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Pool {
    idle: Arc<Mutex<Vec<Idle>>>,
    tasks: Shutdown,
}

/// Who is served: a session, or a stranger's address, or somebody of whom nothing is known.
#[derive(Debug, Clone, Default)]
pub(in crate::proxy) struct Person {
    /// Keeps the memory of an ended session from being another's, and not the session.
    session: Weak<Session>,
    stranger: Option<IpAddr>,
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

    /// The connection that was used last of those that may serve this person, so that the others grow
    /// old and go.
    pub(super) fn take(&self, person: &Person) -> Option<Connection> {
        let mut idle = self.lock();
        let may_serve = |kept: &Idle| kept.connection.person().is(person) || kept.age() >= QUIET;
        while let Some(at) = idle.iter().rposition(may_serve) {
            let mut newest = idle.remove(at);
            if newest.age() < IDLE && newest.connection.is_quiet() {
                return Some(newest.connection);
            }
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

    /// Puts the connection of an answer back, if it may serve again. A request that is still being sent,
    /// as the answer came before its end, is sent on, and keeps its exchange and what is `held` until it is
    /// over or cut: `goes_on` says so.
    pub(in crate::proxy) fn give_back<P: Send + 'static>(
        &self,
        trip: Box<RoundTrip>,
        exchange: Exchange,
        held: P,
        goes_on: impl FnOnce(&P),
    ) {
        match trip.end() {
            Afterwards::Free(connection) => self.put(connection),
            Afterwards::Closed => {}
            Afterwards::Sending(mut trip) => {
                goes_on(&held);
                self.tasks.spawn(async move {
                    let sending = std::future::poll_fn(|cx| trip.poll_sent(cx));
                    let _ = exchange.until_cut(sending).await;
                    drop((trip, exchange, held));
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

impl Person {
    pub(in crate::proxy) fn of(exchange: &Exchange, client: ClientAddress) -> Self {
        match exchange.session() {
            Some(session) => Self {
                session: Arc::downgrade(session),
                stranger: None,
            },
            None => Self {
                session: Weak::new(),
                stranger: client.counted(),
            },
        }
    }

    /// Whether both are surely the same.
    fn is(&self, other: &Self) -> bool {
        let is_known = self.stranger.is_some() || !self.session.ptr_eq(&Weak::new());
        is_known && self.session.ptr_eq(&other.session) && self.stranger == other.stranger
    }
}

impl Idle {
    fn age(&self) -> Duration {
        self.since.elapsed()
    }
}
