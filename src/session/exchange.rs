//! What is in flight under a session, and the cut.
//!
//! Every request body, response body and tunnel is registered with its session until it is over, and
//! leaves the register by `Drop`, whatever the way out. Closing a register and entering it exclude
//! each other: an exchange is either refused or seen by the revocation, never missed between the two.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{Ended, Session};
use crate::cancel::{Cancel, UntilCancelled};

/// How long a cut exchange may take to end in good form (a close frame, a reset stream) before its
/// connection is dropped as it stands: a client that does not read must not keep it open.
const GRACE: Duration = Duration::from_millis(400);

/// How long a revocation waits for the last of them after that; together within the second of
/// promise 2.
const PATIENCE: Duration = Duration::from_millis(500);

/// One request with its answer, or one tunnel, in flight.
#[derive(Debug)]
pub struct Exchange {
    session: Option<Arc<Session>>,
    number: u64,
    cut: Cancel,
}

/// The exchanges in flight of one session.
#[derive(Debug, Default)]
pub(super) struct Register {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    next_number: u64,
    open: Vec<Entry>,
    /// Told whenever an exchange leaves, once somebody waits for that.
    left: Option<Arc<Notify>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    cut: Cancel,
    closer: Cancel,
}

impl Exchange {
    /// Registers an exchange with its session. `closer` drops the connection that it runs on.
    ///
    /// # Errors
    /// [`Ended::Revoked`] when the session has been ended since it was judged, [`Ended::Untold`] when
    /// that can't be told.
    pub fn of(session: Arc<Session>, closer: Cancel) -> Result<Self, Ended> {
        let cut = Cancel::new();
        let mut entries = session.register.lock();
        if session.is_closed() {
            return Err(Ended::Revoked);
        }
        if session.holder.trust().is_fenced() {
            return Err(Ended::Untold);
        }
        let number = entries.next_number;
        entries.next_number += 1;
        entries.open.push(Entry {
            number,
            cut: cut.clone(),
            closer,
        });
        drop(entries);
        Ok(Self {
            session: Some(session),
            number,
            cut,
        })
    }

    /// A stranger's exchange on a path that is open to anyone: belongs to no session, and nothing
    /// cuts it.
    pub fn of_nobody() -> Self {
        Self {
            session: None,
            number: 0,
            cut: Cancel::new(),
        }
    }

    /// The session it belongs to.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// Cancelled when the session ends.
    pub fn cut(&self) -> &Cancel {
        &self.cut
    }

    /// Resolves to the outcome of `work`, or to `None` if the session ends first: a cut wins over
    /// bytes that are ready at the same moment.
    pub fn until_cut<F: Future>(&self, work: F) -> UntilCancelled<F> {
        self.cut.until_cancelled(work)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            session.register.forget(self.number);
        }
    }
}

impl Register {
    pub(super) fn count(&self) -> usize {
        self.lock().open.len()
    }

    fn forget(&self, number: u64) {
        let mut entries = self.lock();
        // Those that came last leave first, mostly.
        if let Some(place) = entries
            .open
            .iter()
            .rposition(|entry| entry.number == number)
        {
            entries.open.swap_remove(place);
        }
        if let Some(left) = &entries.left {
            left.notify_waiters();
        }
    }

    fn cut_all(&self) {
        for entry in &self.lock().open {
            entry.cut.cancel();
        }
    }

    fn drop_connections(&self) {
        for entry in &self.lock().open {
            entry.closer.cancel();
        }
    }

    async fn empty_by(&self, deadline: Instant) {
        let leaving = self.lock().left.get_or_insert_default().clone();
        loop {
            let left = leaving.notified();
            let mut left = std::pin::pin!(left);
            left.as_mut().enable(); // before counting, or the last one could leave unseen
            if self.count() == 0 || timeout_at(deadline, left).await.is_err() {
                return;
            }
        }
    }

    /// A panic while holding the lock leaves the map whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// How many exchanges are in flight.
    pub fn open_exchanges(&self) -> usize {
        self.register.count()
    }

    /// Lets nothing more begin under this session.
    pub(super) fn close(&self) {
        // Under the lock, so that an exchange has either entered before or does not enter.
        let _entries = self.register.lock();
        self.is_closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }
}

/// Cuts everything in flight of sessions that have been closed, and returns how many exchanges ended.
/// Takes 0.9 seconds at the most.
pub(super) async fn cut(sessions: &[Arc<Session>]) -> usize {
    let begun = Instant::now();
    let count = || {
        sessions
            .iter()
            .map(|session| session.open_exchanges())
            .sum::<usize>()
    };
    let before = count();
    for session in sessions {
        session.register.cut_all();
    }
    for session in sessions {
        session.register.empty_by(begun + GRACE).await;
    }
    for session in sessions {
        session.register.drop_connections();
    }
    for session in sessions {
        session.register.empty_by(begun + GRACE + PATIENCE).await;
    }
    before.saturating_sub(count())
}
