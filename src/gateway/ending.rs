//! How the gateway ends: the signals, and the drain. Nothing new is taken, what is in progress is
//! finished; WebSockets and streams of events, which never finish, are asked to come back, and what is
//! still open near the end of `drain` is broken off. A second signal ends the wait.

use std::future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::supervisor::{self, State};
use crate::config::Drain;
use crate::proxy::{Ending, Open};
use crate::shutdown::Shutdown;

/// SIGTERM and SIGINT.
pub(super) struct Signals(Option<(Signal, Signal)>);

impl Signals {
    pub(super) fn listen() -> Self {
        let both = signal(SignalKind::terminate()).and_then(|terminate| {
            signal(SignalKind::interrupt()).map(|interrupt| (terminate, interrupt))
        });
        if let Err(fault) = &both {
            // Without them only SIGKILL ends it, which loses nothing that was acknowledged.
            tracing::error!(%fault, "can't listen for signals");
        }
        Self(both.ok())
    }

    /// Resolves with the next one.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some((terminate, interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            None => future::pending().await,
        }
    }
}

/// Ends the process at the next signal: what was acknowledged is on disk.
pub(super) async fn at_once(signals: &mut Signals) {
    signals.next().await;
    tracing::warn!("told to end a second time: everything open is broken off");
    std::process::exit(1);
}

/// Goes on serving while it is told that the gateway is no longer ready, for whoever balances load.
pub(super) async fn tell_first(given: Drain) {
    if !given.notice.is_zero() {
        tracing::info!("ending soon: not ready any more, and still serving");
        tokio::time::sleep(given.notice).await;
    }
}

/// Ends the tasks in good order: so long after this has begun they have ended. What would never end by
/// itself is asked to come back after `websocket_grace`; what is still open near the end is broken off, and
/// told why.
pub(super) async fn drain(tasks: &Shutdown, open: &Open, given: Drain) {
    tracing::info!("ending: nothing new is taken, what is in progress is finished");
    supervisor::tell(State::Stopping);
    let begun = Instant::now();
    tasks.begin();
    if tasks.finished_within(given.websockets).await {
        return;
    }
    open.end(Ending::Endless).await;
    let until = given.exchanges - LAST.min(given.exchanges / 2);
    if tasks
        .finished_within(until.saturating_sub(begun.elapsed()))
        .await
    {
        return;
    }
    let exchanges = open.end(Ending::All).await;
    if exchanges > 0 {
        tracing::warn!(exchanges, "what was still open was broken off");
    }
    if !tasks.finished_within(FAREWELL).await {
        tasks.give_up();
    }
}

/// What is kept of `drain` for breaking off what is still open, last calls and the store.
const LAST: Duration = Duration::from_secs(2);

/// How long the last bytes of a broken exchange (a close frame, a reset) may take to leave.
const FAREWELL: Duration = Duration::from_millis(500);
