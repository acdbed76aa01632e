//! Acts whose callers were told that it is not certain whether they were done. Such an answer says
//! "call again", so the same act by the same caller must not be refused because it was done already.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::model::{Actor, Credential, Event};
use crate::secret::sha256;

/// How long an act may be asked for again.
const KEPT: Duration = Duration::from_secs(60 * 60);

/// How many are remembered: the oldest go first.
const MOST: usize = 1000;

/// The acts of this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Unsettled(Arc<Mutex<Acts>>);

/// When each was answered, and its mark; the oldest first.
type Acts = VecDeque<(Instant, [u8; 32])>;

impl Unsettled {
    pub(super) fn note(&self, event: &Event) {
        let mut acts = self.lock();
        acts.retain(|(at, _)| at.elapsed() < KEPT);
        if acts.len() >= MOST {
            acts.pop_front();
        }
        acts.push_back((Instant::now(), mark(event)));
    }

    /// Whether the act is remembered. It stays so: an answer of success may be lost as well.
    pub(super) fn has(&self, event: &Event) -> bool {
        let wanted = mark(event);
        let acts = self.lock();
        let mut recent = acts.iter().filter(|(at, _)| at.elapsed() < KEPT);
        recent.any(|(_, mark)| *mark == wanted)
    }

    /// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Acts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who did what to whom, in so many words. When a session was last used makes no other act.
fn mark(event: &Event) -> [u8; 32] {
    let mut event = event.clone();
    if let Actor::User {
        credential: Credential::Session { last_seen, .. },
        ..
    } = &mut event.actor
    {
        *last_seen = Timestamp::from_millis(0);
    }
    sha256(&format!("{event:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Action;

    #[test]
    fn only_the_same_act_of_the_same_caller_is_known_again() {
        let event = |actor, detail: &str| {
            Event::general(actor, Action::TokenAdded).detail(detail.to_owned())
        };
        let acts = Unsettled::default();
        acts.note(&event(Actor::Operator { uid: 0 }, "a for read"));
        assert!(acts.has(&event(Actor::Operator { uid: 0 }, "a for read")));
        assert!(!acts.has(&event(Actor::Operator { uid: 0 }, "a for users")));
        assert!(!acts.has(&event(Actor::Operator { uid: 1 }, "a for read")));
        for number in 0..MOST {
            acts.note(&event(Actor::Operator { uid: 0 }, &number.to_string()));
        }
        assert!(
            !acts.has(&event(Actor::Operator { uid: 0 }, "a for read")),
            "bounded"
        );
    }
}
