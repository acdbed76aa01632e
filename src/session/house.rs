//! What goes on beside the requests: sessions brought back at start, expired ones swept, last-seen
//! written behind.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Session, Sessions};
use crate::clock::{Clock, Timestamp};
use crate::config::SecondFactor;
use crate::model::{EndReason, EndedSession, SessionRecord, TokenHash, User};
use crate::shutdown::Shutdown;
use crate::store::{self, Over, Store, StoreError};

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
        let reason = match (is_past, suffices) {
            (false, _) => Some(EndReason::Clock),
            (true, false) => Some(EndReason::SecondFactor),
            (true, true) if sessions.admit(&record, user).is_some() => {
                restored += 1;
                return;
            }
            (true, true) => None,
        };
        refused.push(Over {
            token: record.token,
            ended: reason.map(|reason| EndedSession { reason, at: now }),
        });
    };
    store.each_session(restore).await?;
    // Or another clock or configuration at a later start would bring them back.
    let limits = sessions.limits();
    for piece in refused.chunks(store::OVER_AT_ONCE) {
        store.forget_over(piece, &limits).await?;
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
    let (mut sweeps, mut is_behind) = (0_u32, false);
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
                expired.extend(over.iter().map(|(session, ended)| Over {
                    token: session.token_hash(),
                    ended: *ended,
                }));
                // Before anything is written: what is out of the table must not wait for the store
                // to be cut, or a revocation could be answered while it is open.
                let over: Vec<_> = over.into_iter().map(|(session, _)| session).collect();
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
        write(&store, &mut seen, SWEEP / 2).await;
        // Of a shared store also what ran out and was asked for nowhere.
        is_behind |= sessions.is_shared() && sweeps.is_multiple_of(MINUTE);
        if is_behind || !expired.is_empty() {
            is_behind = forget(&sessions, &store, &mut expired, SWEEP / 2).await;
        }
    }
    seen.extend(sessions.take_seen());
    write(&store, &mut seen, LAST_WRITE).await;
    if !expired.is_empty() {
        forget(&sessions, &store, &mut expired, LAST_WRITE).await;
    }
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
async fn sweep(sessions: &Sessions, clock: &Clock, ask_others: &AskOthers) -> (Vec<Gone>, bool) {
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

/// A session that was taken out of the table, and why it is over.
type Gone = (Arc<Session>, Option<EndedSession>);

/// Removes what ran out from the store, where it ran out for all nodes, for so long at the most. What is
/// left, or fails, is tried again with the next sweep: such a row opens nothing. Whether there is more.
async fn forget(
    sessions: &Sessions,
    store: &Store,
    expired: &mut Vec<Over>,
    within: Duration,
) -> bool {
    let begun = Instant::now();
    let limits = sessions.limits();
    // At least once, for those that are too old and were asked for nowhere.
    loop {
        let left = expired.len().saturating_sub(store::OVER_AT_ONCE);
        let piece = expired.get(left..).unwrap_or_default();
        let removed = match store.forget_over(piece, &limits).await {
            Ok(removed) => removed,
            Err(fault) => {
                tracing::warn!(%fault, "could not forget sessions that ran out");
                return false;
            }
        };
        expired.truncate(left);
        let has_more = !expired.is_empty() || removed >= store::OVER_AT_ONCE;
        if !has_more || begun.elapsed() > within {
            return has_more;
        }
    }
}

/// Writes for so long; what is left, or fails, is tried again with the next write, as nothing of this was
/// promised to anybody. In pieces: the store has one writer, and a revocation must not wait until a
/// million sessions are written.
async fn write(store: &Store, seen: &mut Vec<Arc<Session>>, within: Duration) {
    let begun = Instant::now();
    while !seen.is_empty() && begun.elapsed() < within {
        let left = seen.len().saturating_sub(PIECE);
        let piece = seen.get(left..).unwrap_or_default();
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
        if let Err(fault) = store.note_seen(&rows).await {
            tracing::warn!(%fault, "could not write when sessions were last seen");
            return;
        }
        seen.truncate(left);
    }
}
