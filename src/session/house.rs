//! What goes on beside the requests: sessions brought back at start, expired ones swept, last-seen
//! written behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Session, Sessions};
use crate::clock::{Clock, Timestamp};
use crate::config::SecondFactor;
use crate::model::{SessionRecord, TokenHash, User};
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};

/// How often expired sessions are ended: what they have open is cut that soon after. Requests are
/// checked to the millisecond.
const SWEEP: Duration = Duration::from_secs(1);

/// How many sessions are looked at before something else has its turn.
const AT_ONCE: usize = 1000;

/// Last-seen is written every so many sweeps. After a crash a session may look idle for up to this
/// much longer than it was, never shorter.
const SWEEPS_PER_WRITE: u32 = 10;

/// How many rows are written before another change of the store has its turn.
const PIECE: usize = 500;

/// How long the last write may take. A session that ran out and is still in the store opens nothing.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// A session from so far ahead was made by a clock that was wrong; what is less is rounding.
const SLACK: Duration = Duration::from_secs(5);

/// Brings back the sessions that the store has kept; how many.
///
/// Not those that were made without the second factor that is asked for by now, nor those from the
/// future: with a clock that has been set back they would outlive every limit.
///
/// # Errors
/// [`StoreError`] when they can't be read.
pub async fn restore(
    sessions: &Sessions,
    store: &Store,
    second_factor: &SecondFactor,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let latest = now.plus(SLACK);
    let (mut restored, mut refused) = (0, Vec::new());
    let restore = |record: SessionRecord, user: Arc<User>| {
        let is_past = record.created <= latest && record.last_seen <= latest;
        let suffices = record.second_factor.is_some() || !second_factor.required_for(user.role);
        if is_past && suffices && sessions.admit(&record, user).is_some() {
            restored += 1;
        } else {
            refused.push(record.token);
        }
    };
    store.each_session(restore).await?;
    // Or another clock or configuration at a later start would bring them back.
    if !refused.is_empty() {
        store.tidy_sessions(&[], &refused).await?;
    }
    Ok(restored)
}

/// Sweeps and writes until the gateway ends; the last write is done before it returns.
pub async fn keep_house(sessions: Sessions, store: Store, clock: Clock, shutdown: Shutdown) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut seen, mut expired) = (Vec::new(), Vec::new());
    let mut sweeps = 0_u32;
    while !shutdown.has_begun() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.begun() => {}
        }
        let mut has_more = true;
        while has_more {
            let over;
            (over, has_more) = sessions.sweep(clock.now(), AT_ONCE);
            if !over.is_empty() {
                expired.extend(over.iter().map(|session| session.token_hash()));
                // Before anything is written: what is out of the table must not wait for the store
                // to be cut, or a revocation could be answered while it is open.
                let sessions = sessions.clone();
                shutdown.spawn(async move { sessions.cut(&over).await });
            }
            tokio::task::yield_now().await;
        }
        sweeps = sweeps.wrapping_add(1);
        if sweeps.is_multiple_of(SWEEPS_PER_WRITE) {
            seen.extend(sessions.take_seen());
        }
        write(&store, &mut seen, &mut expired, SWEEP / 2).await;
    }
    seen.extend(sessions.take_seen());
    write(&store, &mut seen, &mut expired, LAST_WRITE).await;
}

/// Writes for so long; what is left, or fails, is tried again with the next write, as nothing of this was
/// promised to anybody. In pieces: the store has one writer, and a revocation must not wait until a
/// million sessions that ran out together are gone from it.
async fn write(
    store: &Store,
    seen: &mut Vec<Arc<Session>>,
    expired: &mut Vec<TokenHash>,
    within: Duration,
) {
    let begun = Instant::now();
    while !(seen.is_empty() && expired.is_empty()) && begun.elapsed() < within {
        let seen_left = seen.len().saturating_sub(PIECE);
        let expired_left = expired.len().saturating_sub(PIECE);
        let piece = seen.get(seen_left..).unwrap_or_default();
        let rows: Vec<_> = piece
            .iter()
            .map(|session| {
                (
                    session.token_hash(),
                    session.generation(),
                    session.last_seen(),
                )
            })
            .collect();
        let gone = expired.get(expired_left..).unwrap_or_default();
        if let Err(fault) = store.tidy_sessions(&rows, gone).await {
            tracing::warn!(%fault, "could not write when sessions were last seen");
            return;
        }
        seen.truncate(seen_left);
        expired.truncate(expired_left);
    }
}
