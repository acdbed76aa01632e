//! Why the session of a browser has ended, asked of the store when its token opens nothing any more.
//!
//! Strangers can make tokens up, so few may ask at a time and in a second, and none for long; where it
//! can't be told, nothing is said.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::Sessions;
use crate::model::{EndedSession, TokenHash};
use crate::store::Store;

/// How many ask at a time. Each is one or two look-ups by an index.
const AT_ONCE: usize = 16;

/// How many ask in a second: many more than people whose sessions have just ended, and little for a store
/// that several gateways share.
const PER_SECOND: u32 = 50;

/// How long one waits for its answer.
const PATIENCE: Duration = Duration::from_millis(400);

/// Who knows why sessions have ended. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WhyEnded {
    store: Store,
    sessions: Sessions,
    places: Arc<Semaphore>,
    second: Arc<Mutex<Second>>,
}

/// The second that runs, and how many have asked in it.
#[derive(Debug)]
struct Second {
    began: Instant,
    asked: u32,
}

impl WhyEnded {
    /// Over this store, by the limits of this table.
    pub fn new(store: Store, sessions: Sessions) -> Self {
        Self {
            store,
            sessions,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            second: Arc::new(Mutex::new(Second {
                began: Instant::now(),
                asked: 0,
            })),
        }
    }

    fn may_ask(&self) -> bool {
        // A panic while holding the lock leaves the count whole, so poisoning tells nothing.
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        if second.began.elapsed() >= Duration::from_secs(1) {
            *second = Second {
                began: Instant::now(),
                asked: 0,
            };
        }
        second.asked = second.asked.saturating_add(1);
        second.asked <= PER_SECOND
    }

    /// Why the session of this token has ended; `None` for a token that was never one, and where it can't
    /// be told.
    pub async fn of(&self, token: &TokenHash) -> Option<EndedSession> {
        let _place = self.places.try_acquire().ok()?;
        if !self.may_ask() {
            return None;
        }
        let limits = self.sessions.limits();
        let asked = tokio::time::timeout(PATIENCE, self.store.why_ended(token, &limits));
        match asked.await.ok()? {
            Ok(ended) => ended,
            Err(fault) => {
                tracing::debug!(%fault, "the gateway cannot find out why a session has ended");
                None
            }
        }
    }
}
