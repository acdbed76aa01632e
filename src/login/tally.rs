//! The arithmetic of a throttle: so many failures in a window, so many in a row.
//!
//! A guess is counted as under way before it is looked at, and as failed or not afterwards, so that
//! many at once are never more than are allowed one after the other. A window begins with its first
//! failure; two windows that touch can hold twice the number within the length of one.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Rate;

/// What is allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) rate: Rate,
    pub(super) in_a_row: u32,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) failed: u32,
    pub(super) window_ends: Timestamp,
    pub(super) in_a_row: u32,
    pub(super) under_way: u32,
}

/// Whether there is room for one more guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// That depends on how those end that are under way.
    Undecided,
    /// Not for so long; for ever, where there were too many in a row.
    None(Duration),
}

impl Tally {
    pub(super) const EMPTY: Self = Self {
        failed: 0,
        window_ends: Timestamp::from_millis(i64::MIN),
        in_a_row: 0,
        under_way: 0,
    };

    pub(super) fn room(&mut self, limit: Limit, now: Timestamp) -> Room {
        self.move_on(limit, now);
        if self.in_a_row >= limit.in_a_row {
            return Room::None(limit.rate.window);
        }
        if self.failed >= limit.rate.count {
            return Room::None(self.window_ends.since(now));
        }
        let all_fail = |count: u32| count.saturating_add(self.under_way);
        if all_fail(self.failed) < limit.rate.count && all_fail(self.in_a_row) < limit.in_a_row {
            Room::Free
        } else {
            Room::Undecided
        }
    }

    /// One that was under way has ended.
    pub(super) fn settle(&mut self, limit: Limit, has_failed: bool, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        if !has_failed {
            return;
        }
        self.move_on(limit, now);
        if self.failed == 0 {
            self.window_ends = now.plus(limit.rate.window);
        }
        self.failed = self.failed.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    pub(super) fn is_locked(&self, limit: Limit) -> bool {
        self.in_a_row >= limit.in_a_row
    }

    /// A window never ends later than one that began now: neither a clock that was set back between
    /// two starts nor a shorter window in the configuration makes anybody wait longer.
    fn move_on(&mut self, limit: Limit, now: Timestamp) {
        if self.window_ends <= now {
            self.failed = 0;
        }
        self.window_ends = self.window_ends.min(now.plus(limit.rate.window));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(count: u32, in_a_row: u32) -> Limit {
        let window = Duration::from_secs(60);
        Limit {
            rate: Rate { count, window },
            in_a_row,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Guesses at any times, in any number at once, of which some are right.
        #[test]
        fn no_window_and_no_row_holds_more_than_its_number(
            count in 1_u32..6, in_a_row in 1_u32..12,
            rounds in proptest::collection::vec((0_u64..90_000, 1_u32..8, any::<u8>()), 1..60),
        ) {
            let limit = limit(count, in_a_row);
            let (mut tally, mut now) = (Tally::EMPTY, Timestamp::from_millis(0));
            let mut failures: Vec<Timestamp> = Vec::new();
            for (pause, at_once, right) in rounds {
                now = now.plus(Duration::from_millis(pause));
                let mut let_in = 0;
                for _ in 0..at_once {
                    if tally.room(limit, now) == Room::Free {
                        tally.under_way += 1;
                        let_in += 1;
                    }
                }
                for guess in 0..let_in {
                    let has_failed = right & (1 << guess) == 0;
                    tally.settle(limit, has_failed, now);
                    failures.extend(has_failed.then_some(now));
                }
                prop_assert_eq!(tally.under_way, 0);
                prop_assert!(tally.failed <= count);
                prop_assert!(tally.in_a_row <= in_a_row);
                prop_assert_eq!(tally.in_a_row as usize, failures.len());
                let recent = failures.iter().filter(|at| now.since(**at) < limit.rate.window);
                prop_assert!(recent.count() <= 2 * count as usize);
            }
        }

        /// Whoever waits as long as was said gets in, but for too many in a row.
        #[test]
        fn the_wait_that_is_said_is_the_wait_that_is(
            count in 1_u32..6, start in any::<i32>(), late in 0_u64..70_000,
        ) {
            let limit = limit(count, 100);
            let start = Timestamp::from_millis(start.into());
            let mut tally = Tally::EMPTY;
            for _ in 0..count {
                prop_assert_eq!(tally.room(limit, start), Room::Free);
                tally.under_way += 1;
                tally.settle(limit, true, start);
            }
            let asked = start.plus(Duration::from_millis(late));
            match tally.room(limit, asked) {
                Room::None(wait) => {
                    prop_assert!(!wait.is_zero() && wait <= limit.rate.window);
                    let mut early = tally;
                    let before = asked.plus(wait.saturating_sub(Duration::from_millis(1)));
                    prop_assert!(matches!(early.room(limit, before), Room::None(_)));
                    prop_assert_eq!(tally.room(limit, asked.plus(wait)), Room::Free);
                }
                room => prop_assert!(room == Room::Free && late >= 60_000),
            }
        }

        /// However wrong the clock was that the count was kept by.
        #[test]
        fn nobody_waits_longer_than_a_window(ends in any::<i64>(), now in any::<i32>(), failed in 0_u32..20) {
            let now = Timestamp::from_millis(now.into());
            let window_ends = Timestamp::from_millis(ends);
            let mut tally = Tally { failed, window_ends, ..Tally::EMPTY };
            if let Room::None(wait) = tally.room(limit(3, 100), now) {
                prop_assert!(wait <= Duration::from_secs(60));
            }
        }
    }

    #[test]
    fn a_row_does_not_end_by_waiting() {
        let limit = limit(10, 3);
        let (mut tally, mut now) = (Tally::EMPTY, Timestamp::from_millis(0));
        for _ in 0..3 {
            assert_eq!(tally.room(limit, now), Room::Free);
            tally.under_way += 1;
            tally.settle(limit, true, now);
            now = now.plus(Duration::from_secs(3600));
        }
        assert!(tally.is_locked(limit));
        assert!(matches!(tally.room(limit, now), Room::None(_)));
        tally.in_a_row = 0;
        assert_eq!(tally.room(limit, now), Room::Free);
    }
}
