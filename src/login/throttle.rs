//! Wrong codes of one user: ten in fifteen minutes, however many sign-ins they are spread over.
//!
//! Of a million codes three are right at any moment, so somebody who knows the password and could try
//! without end would be in within the hour. A right password does not reset the count; a right code does.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::model::UserId;

const TRIES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Tries by user. Only users exist here, so it is no larger than the list of users.
#[derive(Debug, Default)]
pub(super) struct CodeThrottle(Mutex<HashMap<UserId, Tries>>);

#[derive(Debug)]
struct Tries {
    count: u32,
    window_ends: Timestamp,
}

impl CodeThrottle {
    /// Counts a try.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub(super) fn attempt(&self, user: UserId, now: Timestamp) -> Result<(), Duration> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Tries {
            count: 0,
            window_ends: now.plus(WINDOW),
        };
        let tries = users.entry(user).or_insert_with(fresh);
        if tries.window_ends <= now {
            *tries = fresh();
        }
        if tries.count >= TRIES {
            return Err(tries.window_ends.since(now));
        }
        tries.count += 1;
        Ok(())
    }

    /// The person is who the password said.
    pub(super) fn succeeded(&self, user: UserId) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.remove(&user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_tries_in_fifteen_minutes() {
        let throttle = CodeThrottle::default();
        let start = Timestamp::from_millis(0);
        let user = UserId(1);
        for _ in 0..TRIES {
            assert_eq!(throttle.attempt(user, start), Ok(()));
        }
        let later = start.plus(Duration::from_secs(60));
        assert_eq!(
            throttle.attempt(user, later),
            Err(Duration::from_secs(14 * 60))
        );
        assert_eq!(throttle.attempt(UserId(2), later), Ok(()));
        assert_eq!(throttle.attempt(user, start.plus(WINDOW)), Ok(()));
        throttle.succeeded(user);
        assert_eq!(throttle.attempt(user, later), Ok(()));
    }
}
