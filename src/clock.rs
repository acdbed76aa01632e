//! The only file that reads a clock.
//!
//! Two readings, because two kinds of rule ask for the time. Sessions ask [`Clock::now`]: the wall
//! clock as it stood at start, moved on by a clock that never jumps, so that setting the system
//! clock back cannot lengthen a session. TOTP asks [`Clock::wall`]: its codes are made from the
//! time that everybody else sees (RFC 6238 §4.2). Rules take a [`Timestamp`] as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Where the time comes from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Source);

/// Moves a clock that was made with [`Clock::manual`].
#[derive(Debug, Clone)]
pub struct Hand(Arc<AtomicI64>);

#[derive(Debug, Clone)]
enum Source {
    /// The wall clock at start minus the boot clock at start, in milliseconds.
    System {
        offset: i64,
    },
    Manual(Arc<AtomicI64>),
}

impl Timestamp {
    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970; 0 for a clock that stands before 1970.
    pub fn unix_seconds(self) -> u64 {
        u64::try_from(self.0.div_euclid(1000)).unwrap_or(0)
    }

    /// This point moved on by `span`, at the most to the end of time.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// This point moved back by `span`.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As RFC 3339 writes it, to the second, in UTC: `2026-11-23T08:15:00Z`.
    pub fn rfc3339(self) -> String {
        OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000))
            .ok()
            .and_then(|at| at.format(&Rfc3339).ok())
            .unwrap_or_else(|| self.0.to_string())
    }
}

impl Clock {
    /// The machine's clocks.
    pub fn system() -> Self {
        Self(Source::System {
            offset: wall_millis().saturating_sub(boot_millis()),
        })
    }

    /// Clocks of which the first begins at `now`, wherever the wall clock stands: the time that several
    /// machines have in common.
    pub fn set_to(now: Timestamp) -> Self {
        Self(Source::System {
            offset: now.0.saturating_sub(boot_millis()),
        })
    }

    /// A clock that stands at `start` until its [`Hand`] moves it.
    pub fn manual(start: Timestamp) -> (Self, Hand) {
        let hand = Arc::new(AtomicI64::new(start.0));
        (Self(Source::Manual(hand.clone())), Hand(hand))
    }

    /// The time for sessions and links: never goes back while the process runs, and goes on while
    /// the machine sleeps.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System { offset } => Timestamp(boot_millis().saturating_add(*offset)),
            Source::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
        }
    }

    /// The time that the rest of the world sees, jumps included.
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Source::System { .. } => Timestamp(wall_millis()),
            Source::Manual(at) => Timestamp(at.load(Ordering::SeqCst)),
        }
    }
}

impl Hand {
    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(millis(span), Ordering::SeqCst);
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
fn wall_millis() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

/// Time since boot, sleep included; what CLOCK_MONOTONIC leaves out would lengthen sessions.
fn boot_millis() -> i64 {
    let at = clock_gettime(ClockId::Boottime);
    at.tv_sec
        .saturating_mul(1000)
        .saturating_add(at.tv_nsec / 1_000_000)
}

/// CLOCK_MONOTONIC in microseconds: systemd tells by it which reload an answer is to (sd_notify(3)).
pub fn monotonic_micros() -> i64 {
    let at = clock_gettime(ClockId::Monotonic);
    at.tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(at.tv_nsec / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_millis(1_700_000_000_123).rfc3339(),
            "2023-11-14T22:13:20Z"
        );
    }

    #[test]
    fn a_manual_clock_moves_only_by_its_hand() {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(5));
        assert_eq!(clock.now(), Timestamp::from_millis(5));
        hand.advance(Duration::from_secs(1));
        assert_eq!(
            clock.now().since(Timestamp::from_millis(5)),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn both_readings_of_the_machine_agree_at_start() {
        let clock = Clock::system();
        assert!(clock.wall().since(clock.now()) < Duration::from_secs(5));
    }
}
