//! Failures of one kind, reported as runs: one audit entry when a run begins, whatever follows.
//!
//! A run is what fails by one key within one window. How many runs are reported in an hour is bounded for
//! each group of keys, and the number of runs in all, so that no stranger fills the audit list or memory.
//!
//! Each node counts for itself and forgets at a restart: what is counted is worth one window.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bounded::Bounded;
use super::tally::{Limit, Room, Tally};
use crate::clock::Timestamp;
use crate::config::Rate;

/// Runs by keys of type `K`, in groups of type `G`. Cheap to clone; clones count together.
#[derive(Debug)]
pub(super) struct Runs<G, K>(Arc<Mutex<Counts<G, K>>>);

#[derive(Debug)]
struct Counts<G, K> {
    runs: Bounded<K>,
    /// Runs that were worth an entry of the audit list.
    told: Bounded<G>,
}

/// What follows from one more failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// It begins a run that the audit list should tell of.
    pub begins_run: bool,
    /// It is the one with which the limit of its run is reached.
    pub reaches_limit: bool,
    /// There were too many before it: how long to wait.
    pub wait: Option<Duration>,
}

/// The number of runs of a group that are reported in an hour.
pub(super) const MOST_TOLD: Rate = Rate {
    count: 60,
    window: Duration::from_secs(60 * 60),
};

/// As many runs are kept.
const MOST_RUNS: usize = 50_000;

impl<G, K> Clone for Runs<G, K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<G: Eq + Hash, K: Eq + Hash> Default for Runs<G, K> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Counts {
            runs: Bounded::new(MOST_RUNS),
            told: Bounded::new(MOST_RUNS),
        })))
    }
}

impl<G: Eq + Hash, K: Eq + Hash> Runs<G, K> {
    /// Counts a failure by `key`, of which `rate` says how many are allowed.
    pub(super) fn count(&self, group: G, key: K, rate: Rate, now: Timestamp) -> Wrong {
        let mut counts = self.lock();
        let counts = &mut *counts;
        let limit = in_a_window(rate);
        let tally = counts.runs.of(key, now);
        if let Room::None(wait) = tally.room(limit, now) {
            return Wrong {
                begins_run: false,
                reaches_limit: false,
                wait: Some(wait.max(Duration::from_secs(1))),
            };
        }
        let is_first = tally.failed == 0;
        tally.settle(limit, true, now);
        let reaches_limit = tally.failed == rate.count;
        let told = || {
            counts
                .told
                .of(group, now)
                .takes(in_a_window(MOST_TOLD), now)
        };
        Wrong {
            begins_run: is_first && told(),
            reaches_limit,
            wait: None,
        }
    }

    /// How many failures the run of this key that ends at `ends` has had; `None` when that is forgotten.
    pub(super) fn so_far(&self, key: &K, ends: Timestamp) -> Option<u32> {
        let counts = self.lock();
        let tally = counts.runs.get(key)?;
        (tally.window_ends == ends).then_some(tally.failed)
    }

    /// A panic while holding the lock leaves the counts whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Counts<G, K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// Counts one more, if there is room for it.
    fn takes(&mut self, limit: Limit, now: Timestamp) -> bool {
        let has_room = self.room(limit, now) == Room::Free;
        if has_room {
            self.settle(limit, true, now);
        }
        has_room
    }
}

/// Nothing but the window counts.
fn in_a_window(rate: Rate) -> Limit {
    Limit {
        rate,
        in_a_row: u32::MAX,
    }
}
