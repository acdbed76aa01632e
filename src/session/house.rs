//! What goes on beside the requests: sessions brought back at start, expired ones swept, last-seen
//! written behind.

use std::pin::Pin;
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

/// In sweeps.
const MINUTE: u32 = 60;

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

/// Asks other nodes, through the store, when a session was last seen.
pub type AskOthers =
    Box<dyn Fn(TokenHash) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Sweeps and writes until the gateway ends; the last write is done before it returns.
pub async fn keep_house(
    sessions: Sessions,
    store: Store,
    ask_others: AskOthers,
    shutdown: Shutdown,
) {
    let clock = store.clock().clone();
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
            (over, has_more) = sweep(&sessions, &clock, &ask_others).await;
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
        if !sessions.is_trusted(clock.now()) {
            // The store is away, and nobody was seen since.
            continue;
        }
        if sweeps.is_multiple_of(sweeps_per_write(&sessions)) {
            seen.extend(sessions.take_seen());
        }
        if sessions.is_shared() && (!expired.is_empty() || sweeps.is_multiple_of(MINUTE)) {
            forget(&sessions, &store, &mut expired).await;
        }
        write(&store, &mut seen, &mut expired, SWEEP / 2).await;
    }
    seen.extend(sessions.take_seen());
    write(&store, &mut seen, &mut expired, LAST_WRITE).await;
}

/// Where other nodes go by what is written, it is never older than an eighth of the idle timeout.
fn sweeps_per_write(sessions: &Sessions) -> u32 {
    if !sessions.is_shared() {
        return SWEEPS_PER_WRITE;
    }
    let eighth = sessions.limits().idle_timeout / 8;
    let sweeps = u32::try_from(eighth.as_secs() / SWEEP.as_secs()).unwrap_or(u32::MAX);
    sweeps.clamp(1, SWEEPS_PER_WRITE)
}

/// What ran out is taken out of the table, a part at a time; whether there is more. A session that
/// was last seen on another node is still alive, and what it has open here goes on.
async fn sweep(
    sessions: &Sessions,
    clock: &Clock,
    ask_others: &AskOthers,
) -> (Vec<Arc<Session>>, bool) {
    let now = clock.now();
    let (due, has_more) = sessions.due(now, AT_ONCE);
    let mut over = Vec::new();
    for session in due {
        if sessions.is_shared() && session.open_exchanges() > 0 {
            ask_others(session.token_hash()).await;
        }
        over.extend(sessions.remove_if_over(&session, now));
    }
    (over, has_more)
}

/// Forgets what ran out in a store that other nodes use, where it ran out for them, too. What fails is
/// tried again with the next session that runs out: such a row opens nothing.
async fn forget(sessions: &Sessions, store: &Store, expired: &mut Vec<TokenHash>) {
    let limits = sessions.limits();
    let now = store.clock().now();
    let mut idle = std::mem::take(expired);
    // At least once, for those that are too old and were asked for nowhere.
    loop {
        let piece = idle.split_off(idle.len().saturating_sub(PIECE));
        let (created, seen) = (now.minus(limits.lifetime), now.minus(limits.idle_timeout));
        if let Err(fault) = store.forget_expired(created, &piece, seen).await {
            tracing::warn!(%fault, "could not forget sessions that ran out");
            return;
        }
        if idle.is_empty() {
            return;
        }
    }
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
