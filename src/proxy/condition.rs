//! How a panel is: how many requests it has, and whether it is up.
//!
//! Every worker shares it. Failures in a row bring a panel down; while it is down nothing is asked of
//! it but what finds out whether it is well again: the active check where there is one, else one
//! request in every interval. Any success brings it up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::{Bounds, Panel};

/// The state of one panel, for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelState {
    pub name: String,
    /// Requests are sent to it.
    pub up: bool,
    /// Requests in progress, open WebSockets included.
    pub requests: usize,
}

/// What is known of a panel. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Condition(Arc<State>);

#[derive(Debug)]
struct State {
    name: String,
    bounds: Bounds,
    clock: Clock,
    requests: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU32,
    /// When the next request may try a panel that is down, in milliseconds since 1970.
    retry: AtomicI64,
}

/// Why a request is not sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotNow {
    /// The panel is down.
    Down,
    /// It has as many requests as it may.
    Full,
}

/// A request in progress, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<State>);

impl Condition {
    pub(super) fn of(panel: &Panel, clock: Clock) -> Self {
        Self(Arc::new(State {
            name: panel.name.clone(),
            bounds: panel.bounds.clone(),
            clock,
            requests: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            retry: AtomicI64::new(0),
        }))
    }

    /// A place for one more request.
    pub(super) fn enter(&self) -> Result<Place, NotNow> {
        let state = &self.0;
        let most = state.bounds.max_requests.unwrap_or(usize::MAX);
        // Counted before it is looked at, so that two at once can't both take the last place.
        let place = Place(state.clone());
        if state.requests.fetch_add(1, Relaxed) >= most {
            return Err(NotNow::Full);
        }
        if self.is_up() || self.may_try() {
            Ok(place)
        } else {
            Err(NotNow::Down)
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.0.failures.load(Relaxed) < self.0.bounds.health.failures
    }

    /// It answered a request. Where a check asks how it is, that alone says so: a panel may answer, and
    /// not be well.
    pub(super) fn answered(&self) {
        if self.0.bounds.health.path.is_none() {
            self.succeeded();
        }
    }

    /// It is well.
    pub(super) fn succeeded(&self) {
        // Most answers follow a good one: nothing is written that others read then.
        if self.0.failures.load(Relaxed) == 0 {
            return;
        }
        let before = self.0.failures.swap(0, Relaxed);
        if before >= self.0.bounds.health.failures {
            tracing::info!(panel = self.0.name, "the panel is well again");
        }
    }

    /// It could not be reached, or is not well.
    pub(super) fn failed(&self) {
        let state = &self.0;
        let health = &state.bounds.health;
        let next = state.clock.now().plus(health.interval);
        state.retry.store(next.millis(), Relaxed);
        let counted = |failures: u32| Some(failures.saturating_add(1));
        let before = state.failures.fetch_update(Relaxed, Relaxed, counted);
        if before == Ok(health.failures.saturating_sub(1)) {
            tracing::warn!(panel = state.name, "the panel is down");
        }
    }

    /// How long those who ask should wait.
    pub(super) fn retry_after(&self) -> Duration {
        self.0.bounds.health.interval
    }

    pub(super) fn state(&self) -> PanelState {
        PanelState {
            name: self.0.name.clone(),
            up: self.is_up(),
            requests: self.0.requests.load(Relaxed),
        }
    }

    /// One request in an interval, where no check asks.
    fn may_try(&self) -> bool {
        let state = &self.0;
        let health = &state.bounds.health;
        let now = state.clock.now();
        let due = state.retry.load(Relaxed);
        let next = now.plus(health.interval).millis();
        health.path.is_none()
            && now.millis() >= due
            && state
                .retry
                .compare_exchange(due, next, Relaxed, Relaxed)
                .is_ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Hand, Timestamp};
    use crate::config::{Config, Health};

    fn condition(health: Health, max_requests: Option<usize>) -> (Condition, Hand) {
        let text = "[[panel]]\nupstream = \"http://127.0.0.1:1\"";
        let config = Config::parse(text, "p.toml".as_ref()).unwrap();
        let mut panel = Panel::clone(&config.panels[0]);
        panel.bounds.health = health;
        panel.bounds.max_requests = max_requests;
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        (Condition::of(&panel, clock), hand)
    }

    fn health(path: Option<&str>) -> Health {
        Health {
            path: path.map(str::to_owned),
            interval: Duration::from_secs(10),
            failures: 3,
        }
    }

    #[test]
    fn failures_in_a_row_bring_it_down_and_one_request_an_interval_tries_it() {
        let (panel, hand) = condition(health(None), None);
        for is_up in [true, true, false] {
            panel.failed();
            assert_eq!(panel.is_up(), is_up);
        }
        assert_eq!(panel.enter().unwrap_err(), NotNow::Down);
        hand.advance(Duration::from_secs(10));
        assert!(panel.enter().is_ok(), "one tries");
        assert_eq!(panel.enter().unwrap_err(), NotNow::Down, "and no other");
        hand.advance(Duration::from_secs(10));
        assert!(panel.enter().is_ok());
        panel.succeeded();
        assert!(panel.enter().is_ok() && panel.enter().is_ok());
        assert_eq!(panel.state().requests, 0, "all have left");
        panel.failed();
        panel.succeeded();
        panel.failed();
        panel.failed();
        assert!(panel.is_up(), "not in a row");
    }

    #[test]
    fn where_a_check_asks_no_request_does() {
        let (panel, hand) = condition(health(Some("/health")), None);
        (0..3).for_each(|_| panel.failed());
        hand.advance(Duration::from_secs(60));
        assert_eq!(panel.enter().unwrap_err(), NotNow::Down);
        panel.answered();
        assert!(!panel.is_up(), "an answer that was under way says nothing");
        panel.succeeded();
        assert!(panel.is_up());
    }

    #[test]
    fn places_are_counted_and_come_back() {
        let (panel, _) = condition(health(None), Some(2));
        let first = panel.enter().unwrap();
        let _second = panel.enter().unwrap();
        assert_eq!(panel.enter().unwrap_err(), NotNow::Full);
        assert_eq!(
            panel.state().requests,
            2,
            "who was turned away does not count"
        );
        drop(first);
        assert!(panel.enter().is_ok());
    }
}
