//! Whether the table is to be believed: always, where one gateway has it to itself; where several share
//! a store, until a moment that is moved on as long as this node hears what the others have ended.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::accept::Lease;
use crate::clock::{Clock, Timestamp};

/// A process that has not noticed for so long that its lease is over stood still: one that runs does
/// within some twenty milliseconds.
const UNNOTICED: Duration = Duration::from_millis(250);

/// How far the table is to be believed.
#[derive(Debug)]
pub(super) struct Trust {
    /// In milliseconds since 1970, by the clock of sessions.
    until: AtomicI64,
    /// Nothing begins under any session. Set when the moment has passed, before what is open is cut.
    is_fenced: AtomicBool,
    /// How often it was found late that the moment has passed.
    standstills: AtomicU64,
    /// Moving the moment on and finding that it has passed exclude each other.
    changing: Mutex<()>,
    is_shared: bool,
    clock: Clock,
}

impl Trust {
    pub(super) fn new(is_shared: bool, clock: Clock) -> Self {
        let until = if is_shared { i64::MIN } else { i64::MAX };
        Self {
            until: AtomicI64::new(until),
            is_fenced: AtomicBool::new(is_shared),
            standstills: AtomicU64::new(0),
            changing: Mutex::default(),
            is_shared,
            clock,
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Every request looks.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        now.millis() < self.until.load(Ordering::Acquire)
    }

    /// Every step that carries bytes asks. The clock goes on while the process is stopped, and is read
    /// without a system call.
    pub(super) fn holds_now(&self) -> bool {
        !self.is_shared || self.holds(self.clock.now())
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.is_fenced.load(Ordering::Acquire)
    }

    pub(super) fn until(&self) -> Timestamp {
        Timestamp::from_millis(self.until.load(Ordering::Acquire))
    }

    pub(super) fn move_on(&self, until: Timestamp) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.note_standstill();
        self.until.store(until.millis(), Ordering::Release);
        self.is_fenced.store(false, Ordering::Release);
    }

    /// Lets nothing more begin if the moment has passed; whether that is new.
    pub(super) fn fence(&self, now: Timestamp) -> bool {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.note_standstill();
        !self.holds(now) && !self.is_fenced.swap(true, Ordering::AcqRel)
    }
}

impl Trust {
    fn note_standstill(&self) {
        if self.has_stood_still() {
            self.standstills.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Lease for Trust {
    fn standstills(&self) -> u64 {
        self.standstills.load(Ordering::Acquire)
    }

    fn has_stood_still(&self) -> bool {
        self.is_shared && !self.is_fenced() && self.clock.now() >= self.until().plus(UNNOTICED)
    }
}
