//! Which sessions have run out: looked for in the order in which they may, a part at a time.

use std::sync::Arc;
use std::time::Duration;

use super::super::Session;
use super::super::terms::Terms;
use super::{Key, Sessions};
use crate::clock::Timestamp;
use crate::config::SessionLimits;
use crate::model::EndedSession;

/// What is alive is looked at again after so long at the earliest.
const SECOND: Duration = Duration::from_secs(1);

impl Sessions {
    /// Up to `most` sessions that may have run out by `now`, and have to be looked at; whether there are
    /// more.
    pub(in crate::session) fn due(&self, now: Timestamp, most: usize) -> (Vec<Arc<Session>>, bool) {
        let due = self.0.agenda.take_due(now, most);
        let has_more = due.len() == most;
        // It may have been ended since.
        let there = |key| self.0.by_token.get(&key).map(|found| Arc::clone(&found));
        let there: Vec<_> = due.into_iter().filter_map(there).collect();
        let terms = self.0.terms.load_full();
        let over = there.into_iter().filter(|session| {
            let is_over = terms.check(session, now).is_err();
            if !is_over {
                self.look_later(session, &terms.limits, now);
            }
            is_over
        });
        let over = over.collect();
        self.look_again_unless(&terms);
        (over, has_more)
    }

    /// Takes a session out if it has run out by `now`, with the reason where no one ended it; else it is
    /// looked at again when it may have.
    pub(in crate::session) fn remove_if_over(
        &self,
        session: &Arc<Session>,
        now: Timestamp,
    ) -> Option<(Arc<Session>, Option<EndedSession>)> {
        let terms = self.0.terms.load_full();
        if terms.check(session, now).is_err() {
            let why = terms.why_over(session, now);
            return Some((self.remove(&session.token_hash())?, why));
        }
        self.look_later(session, &terms.limits, now);
        self.look_again_unless(&terms);
        None
    }

    /// Terms that changed since: what was put back was judged by the old ones.
    fn look_again_unless(&self, terms: &Arc<Terms>) {
        if !Arc::ptr_eq(terms, &self.0.terms.load()) {
            self.0.agenda.bring_forward();
        }
    }

    fn look_later(&self, session: &Session, limits: &SessionLimits, now: Timestamp) {
        let next = session.runs_out(limits).max(now.plus(SECOND));
        self.0.agenda.note(Key::of(&session.token_hash()), next);
    }
}
