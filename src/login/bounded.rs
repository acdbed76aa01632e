//! Counters in a table of bounded size, whatever strangers send.

use std::collections::HashMap;
use std::hash::Hash;

use super::tally::Tally;
use crate::clock::Timestamp;

/// Counts by keys of one kind.
#[derive(Debug)]
pub(super) struct Bounded<K> {
    most: usize,
    tallies: HashMap<K, Tally>,
}

impl<K: Eq + Hash> Bounded<K> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            tallies: HashMap::new(),
        }
    }

    pub(super) fn of(&mut self, key: K, now: Timestamp) -> &mut Tally {
        if self.tallies.len() >= self.most && !self.tallies.contains_key(&key) {
            self.make_room(now);
        }
        self.tallies.entry(key).or_insert(Tally::EMPTY)
    }

    pub(super) fn get(&self, key: &K) -> Option<&Tally> {
        self.tallies.get(key)
    }

    /// Removes what is over, or the older half: rarely, so that a flood costs little for each entry.
    fn make_room(&mut self, now: Timestamp) {
        self.tallies
            .retain(|_, tally| now < tally.window_ends || tally.under_way > 0);
        if self.tallies.len() < self.most / 2 {
            return;
        }
        let mut ends: Vec<Timestamp> = self.tallies.values().map(|one| one.window_ends).collect();
        let middle = ends.len() / 2;
        let middle = *ends.select_nth_unstable(middle).1;
        self.tallies.retain(|_, tally| middle < tally.window_ends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Tally {
        Tally {
            failed: 1,
            window_ends: Timestamp::from_millis(millis),
            ..Tally::EMPTY
        }
    }

    #[test]
    fn a_flood_never_passes_the_bound_and_the_newest_stay() {
        let mut table = Bounded::new(100);
        for number in 0..10_000_i64 {
            *table.of(number, Timestamp::from_millis(0)) = at(1 + number);
            assert!(table.tallies.len() <= 100);
            assert!(table.tallies.contains_key(&number));
        }
        table.make_room(Timestamp::from_millis(20_000));
        assert_eq!(table.tallies.len(), 0, "what is over goes first");
        for number in 0..1_000_i64 {
            *table.of(number, Timestamp::from_millis(0)) = at(7);
            assert!(table.tallies.len() <= 100, "all of one moment");
        }
    }
}
