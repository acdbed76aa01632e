//! Why the session of a browser has ended, asked of the store when its token opens nothing any more.
//!
//! Strangers can make tokens up, so few may ask at a time and none for long; where it can't be told,
//! nothing is said.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Sessions;
use crate::model::{EndedSession, TokenHash};
use crate::store::Store;

/// How many ask at a time. Each is one or two look-ups by an index.
const AT_ONCE: usize = 16;

/// How long one waits for its answer.
const PATIENCE: Duration = Duration::from_millis(400);

/// Who knows why sessions have ended. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WhyEnded {
    store: Store,
    sessions: Sessions,
    places: Arc<Semaphore>,
}

impl WhyEnded {
    /// Over this store, by the limits of this table.
    pub fn new(store: Store, sessions: Sessions) -> Self {
        Self {
            store,
            sessions,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Why the session of this token has ended; `None` for a token that was never one, and where it can't
    /// be told.
    pub async fn of(&self, token: &TokenHash) -> Option<EndedSession> {
        let _place = self.places.try_acquire().ok()?;
        let limits = self.sessions.limits();
        let asked = tokio::time::timeout(PATIENCE, self.store.why_ended(token, &limits));
        match asked.await.ok()? {
            Ok(ended) => ended,
            Err(fault) => {
                tracing::debug!(%fault, "it can't be told why a session has ended");
                None
            }
        }
    }
}
