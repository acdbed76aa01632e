//! Which sessions have to be looked at when, so that nobody has to look at a million of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Session;
use super::table::Key;
use crate::clock::Timestamp;

/// Every session once, at the second in which it may run out. Using a session moves that, but not its
/// place here: it is looked at in vain then, and gets a new one.
#[derive(Debug, Default)]
pub(super) struct Agenda(Mutex<BTreeMap<i64, Vec<Key>>>);

/// The sessions that were used since that was last written, each once.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Vec<Arc<Session>>>);

impl Agenda {
    /// Looks at the session in the second of `at`.
    pub(super) fn note(&self, key: Key, at: Timestamp) {
        self.lock().entry(second(at)).or_default().push(key);
    }

    /// Takes out those whose time has come by `now`, at the most `most` of them.
    pub(super) fn take_due(&self, now: Timestamp, most: usize) -> Vec<Key> {
        let mut agenda = self.lock();
        let mut taken = Vec::new();
        while let Some(mut earliest) = agenda.first_entry()
            && *earliest.key() <= second(now)
        {
            let due = earliest.get_mut();
            let kept = due.len().saturating_sub(most - taken.len());
            taken.extend(due.drain(kept..));
            if kept > 0 {
                break;
            }
            earliest.remove();
        }
        taken
    }

    /// The terms have changed: all of them have to be looked at.
    pub(super) fn bring_forward(&self) {
        let mut agenda = self.lock();
        let all = std::mem::take(&mut *agenda).into_values().flatten();
        let all: Vec<_> = all.collect();
        if !all.is_empty() {
            agenda.insert(i64::MIN, all);
        }
    }

    /// A panic while holding the lock leaves the map whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<i64, Vec<Key>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn second(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}

impl Seen {
    pub(super) fn note(&self, session: Arc<Session>) {
        self.lock().push(session);
    }

    pub(super) fn take(&self) -> Vec<Arc<Session>> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TokenHash;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000 + 999)
    }

    #[test]
    fn what_is_due_comes_out_once_and_in_pieces() {
        let agenda = Agenda::default();
        for number in 0..10_u8 {
            agenda.note(Key::of(&TokenHash([number; 32])), at(i64::from(number)));
        }
        assert_eq!(agenda.take_due(at(-1), 10).len(), 0);
        assert_eq!(agenda.take_due(at(4), 3).len(), 3);
        assert_eq!(agenda.take_due(at(4), 3).len(), 2);
        assert_eq!(agenda.take_due(at(4), 3).len(), 0);
        agenda.bring_forward();
        assert_eq!(agenda.take_due(at(0), 2).len(), 2);
        assert_eq!(agenda.take_due(at(0), 10).len(), 3);
        assert_eq!(agenda.take_due(at(100), 10).len(), 0);
    }
}
