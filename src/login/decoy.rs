//! The sign-ins of users that there are not.
//!
//! A whole sign-in ends a user's row of failures, and a stranger who goes on guessing sees that: of a name
//! that no user has, the row would never end. So each of these names has habits, which follow from its tag
//! and a key: some never sign in, some once a week, most on most days; and their rows end at these moments.
//! A row that ends tells a stranger no more than one that goes on.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::{GuessKey, Store};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A gap longer than this was no time in which anybody signed in: the gateway did not run.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Whether the user of this name, if there were one, would have signed in after `from` and until `to`.
pub(super) fn signs_in(store: &Store, name: &GuessKey, from: Timestamp, to: Timestamp) -> bool {
    if to.since(from) > LONGEST {
        return false;
    }
    let days = from.millis().div_euclid(DAY)..=to.millis().div_euclid(DAY);
    days.into_iter().any(|day| {
        let moment = moment(store, name, day);
        moment.is_some_and(|at| from.millis() < at && at <= to.millis())
    })
}

/// When the user signs in on a day, counted from 1970.
fn moment(store: &Store, name: &GuessKey, day: i64) -> Option<i64> {
    let [habit, weekday, ..] = store.whim(name, None);
    let [luck, first, second, third, ..] = store.whim(name, Some(day));
    let comes = match habit % 8 {
        0 | 1 => false,
        2 | 3 => i64::from(weekday % 7) == day.rem_euclid(7),
        // Five days of seven, as it comes.
        _ => luck % 7 < 5,
    };
    let within = u32::from_be_bytes([0, first, second, third]);
    comes.then(|| {
        let at = i64::from(within) * DAY / (1 << 24);
        day * DAY + at
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn names_have_habits_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, _hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let store = Store::open(folder.path(), clock.clone()).await.unwrap();
        let hour = Duration::from_secs(60 * 60);
        let weeks = 4;
        let mut counts = Vec::new();
        for number in 0..64 {
            let name = GuessKey::Name(store.name_tag(&format!("name{number}")));
            let mut at = clock.now();
            let mut times = 0;
            for _ in 0..weeks * 7 * 24 {
                times += u32::from(signs_in(&store, &name, at, at.plus(hour)));
                at = at.plus(hour);
            }
            counts.push(times);
            let long = clock.now().plus(30 * hour);
            assert!(
                !signs_in(&store, &name, clock.now(), long),
                "it did not run"
            );
        }
        let of = |range: std::ops::RangeInclusive<u32>| {
            counts.iter().filter(|times| range.contains(times)).count()
        };
        assert!(
            of(0..=0) > 5 && of(3..=5) > 5 && of(12..=28) > 15,
            "{counts:?}"
        );
        assert_eq!(of(0..=28), 64);
    }
}
