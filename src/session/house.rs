//! What goes on beside the requests: sessions brought back at start, expired ones swept, last-seen
//! written behind.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Session, Sessions};
use crate::clock::Clock;
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// How often expired sessions are ended: what they have open is cut that soon after. Requests are
/// checked to the millisecond.
const SWEEP: Duration = Duration::from_secs(1);

/// Last-seen is written every so many sweeps. After a crash a session may look idle for up to this
/// much longer than it was, never shorter.
const SWEEPS_PER_WRITE: u32 = 10;

/// Brings back the sessions that the store has kept; how many are alive.
///
/// # Errors
/// [`StoreError`] when they can't be read.
pub async fn restore(sessions: &Sessions, store: &Store) -> Result<usize, StoreError> {
    let kept = store.sessions().await?;
    Ok(kept
        .into_iter()
        .filter_map(|(record, user)| sessions.admit(record, user))
        .count())
}

/// Sweeps and writes until the gateway ends; the last write is done before it returns.
pub async fn keep_house(sessions: Sessions, store: Store, clock: Clock, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sweeps = 0_u32;
    while !shutdown.has_begun() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.begun() => {}
        }
        sweeps = sweeps.wrapping_add(1);
        let expired = sessions.sweep(clock.now());
        let due = sweeps.is_multiple_of(SWEEPS_PER_WRITE) || shutdown.has_begun();
        let seen = if due {
            sessions.unwritten()
        } else {
            Vec::new()
        };
        if !expired.is_empty() || !seen.is_empty() {
            write(&store, &seen, &expired).await;
        }
        if !expired.is_empty() {
            let sessions = sessions.clone();
            shutdown.spawn(async move { sessions.cut(&expired).await });
        }
    }
}

async fn write(store: &Store, seen: &[Arc<Session>], expired: &[Arc<Session>]) {
    let rows: Vec<_> = seen
        .iter()
        .map(|session| {
            (
                session.token_hash(),
                session.generation(),
                session.last_seen(),
            )
        })
        .collect();
    let gone: Vec<_> = expired.iter().map(|session| session.token_hash()).collect();
    match store.tidy_sessions(&rows, &gone).await {
        Ok(()) => {
            for (session, (_, _, at)) in seen.iter().zip(rows) {
                session.last_written.store(at.millis(), Ordering::Relaxed);
            }
        }
        // Nothing was promised to anybody: it is tried again with the next write.
        Err(fault) => tracing::warn!(%fault, "could not write when sessions were last seen"),
    }
}
