//! How the gateway ends: the signals, and the drain. Nothing new is taken, what is in progress is
//! finished; WebSockets, which never finish, are asked to come back (1012). Whoever signals twice
//! does not want to wait.

use std::future;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::supervisor::{self, State};
use crate::config::Drain;
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

/// Ends the tasks in good order, for as long as they are given.
pub(super) async fn drain(tasks: &Shutdown, given: Drain) {
    tracing::info!("ending: nothing new is taken, what is in progress is finished");
    supervisor::tell(State::Stopping);
    tasks.begin();
    if tasks.finished_within(given.websockets).await {
        return;
    }
    tasks.hurry();
    let left = given.exchanges.saturating_sub(given.websockets);
    if !tasks.finished_within(left.max(LEAST)).await {
        tracing::warn!("some exchanges were still open and are broken off");
    }
}

/// What a WebSocket needs at least to say goodbye.
const LEAST: Duration = Duration::from_secs(1);
