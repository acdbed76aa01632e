//! What is in flight under a session, and the cut.
//!
//! Every request body, response body and tunnel is registered with its session until it is over, and
//! leaves the register by `Drop`, whatever the way out. Closing a register and entering it exclude
//! each other: an exchange is either refused or seen by the revocation, never missed between the two.
//!
//! A cut is told by other tasks, which do not run while the process is stopped. So whoever carries
//! bytes also asks a [`Guard`] before each step: it reads the clock, and knows on its own that the
//! lease of this node is over.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::Session;
use crate::cancel::{Cancel, Cancelled, UntilCancelled};

/// How long a cut exchange may take to end in good form (a close frame, a reset stream) before its
/// connection is dropped as it stands: a client that does not read must not keep it open.
const GRACE: Duration = Duration::from_millis(400);

/// How long a revocation waits for the last of them after that; together within the second of
/// promise 2.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why what is open is cut: the close code of a WebSocket and the status of a request follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CutReason {
    /// By a revocation, or because it has run out.
    #[error("the session has ended")]
    SessionEnded,
    /// The session may live on: this node has not heard from the store for too long.
    #[error("it can't be told at the moment whether the session is still good")]
    CannotBeTold,
    /// The configuration has changed.
    #[error("the rules no longer allow this")]
    NotAllowed,
    /// The configuration has changed, and what is allowed still is asked of another place now.
    #[error("the panel has moved")]
    PanelMoved,
    /// The session lives on.
    #[error("the gateway ends")]
    GatewayEnds,
}

/// One request with its answer, or one tunnel, in flight.
#[derive(Debug)]
pub struct Exchange {
    guard: Guard,
    number: u64,
}

/// What is asked before each step that carries bytes of an exchange, in either direction. Clones are
/// of the same exchange.
#[derive(Debug, Clone)]
pub struct Guard {
    session: Option<Arc<Session>>,
    cut: Cancel<CutReason>,
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
    cut: Cancel<CutReason>,
    closer: Cancel,
}

impl Exchange {
    /// Registers an exchange with its session. `closer` drops the connection that it runs on.
    ///
    /// # Errors
    /// Why nothing may begin: the session has been ended since it was judged, or the lease of this
    /// node is over.
    pub fn of(session: Arc<Session>, closer: Cancel) -> Result<Self, CutReason> {
        let cut = Cancel::new();
        let mut entries = session.register.lock();
        session.may_carry()?;
        if session.holder.trust().is_fenced() {
            return Err(CutReason::CannotBeTold);
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
            guard: Guard {
                session: Some(session),
                cut,
            },
            number,
        })
    }

    /// A stranger's exchange on a path that is open to anyone: belongs to no session.
    pub fn of_nobody() -> Self {
        let guard = Guard {
            session: None,
            cut: Cancel::new(),
        };
        Self { guard, number: 0 }
    }

    /// The session it belongs to.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.guard.session.as_ref()
    }

    /// What those ask who carry its bytes.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Runs `work` until the exchange is cut.
    ///
    /// # Errors
    /// Why it was cut: a cut wins over bytes that are ready at the same moment.
    pub fn until_cut<F: Future>(&self, work: F) -> UntilCancelled<F, CutReason> {
        self.guard.cut.until_cancelled(work)
    }
}

impl Guard {
    /// Whether the next bytes may be carried. To be asked right before they are: a process that was
    /// stopped in the middle of its work goes on exactly there.
    ///
    /// # Errors
    /// Why they may not; the exchange is cut for good then.
    pub fn may_carry(&self) -> Result<(), CutReason> {
        if let Some(reason) = self.cut.reason() {
            return Err(reason);
        }
        let asked = self.session.as_ref().map_or(Ok(()), |it| it.may_carry());
        // The task that does the rest of the exchange is told, too: it may be waiting for what now
        // never comes.
        asked.inspect_err(|reason| self.cut.cancel_for(*reason))
    }

    /// Cuts the exchange.
    pub fn cut(&self, reason: CutReason) {
        self.cut.cancel_for(reason);
    }

    /// Why the exchange was cut, if it was.
    pub fn why_cut(&self) -> Option<CutReason> {
        self.cut.reason()
    }

    /// Resolves to the reason when the exchange is cut.
    pub fn is_cut(&self) -> Cancelled<CutReason> {
        self.cut.cancelled()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(session) = &self.guard.session {
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

    fn cut_all(&self, reason: CutReason) {
        for entry in &self.lock().open {
            entry.cut.cancel_for(reason);
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

    /// Lets nothing more begin under this session, for this reason.
    pub(super) fn close(&self, reason: CutReason) {
        // Under the lock, so that an exchange has either entered before or does not enter.
        let _entries = self.register.lock();
        // The first reason stays.
        let _ = self.closed.set(reason);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// Whether bytes may be carried under this session at this moment.
    fn may_carry(&self) -> Result<(), CutReason> {
        if let Some(reason) = self.closed.get() {
            return Err(*reason);
        }
        if self.generation != self.holder.generation() {
            return Err(CutReason::SessionEnded);
        }
        if !self.holder.trust().holds_now() {
            return Err(CutReason::CannotBeTold);
        }
        Ok(())
    }
}

/// Cuts everything in flight of sessions, each for the reason for which it was closed or because it can't
/// be told whether it is alive, and returns how many exchanges ended. Takes 0.9 seconds at the most.
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
        let reason = session.closed.get().copied();
        session
            .register
            .cut_all(reason.unwrap_or(CutReason::CannotBeTold));
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
