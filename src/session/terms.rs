//! What sessions are held to, and why one of them is over.

use super::{Ended, Session};
use crate::clock::Timestamp;
use crate::config::{SecondFactor, SessionLimits};
use crate::model::{EndReason, EndedSession};

/// What sessions are held to.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) limits: SessionLimits,
    /// Who needs a second factor; nobody until the table is told.
    second_factor: Option<SecondFactor>,
    /// The limits before these, and when these took their place while the gateway ran.
    former: Option<(SessionLimits, Timestamp)>,
}

impl Terms {
    pub(super) fn of(limits: SessionLimits) -> Self {
        Self {
            limits,
            second_factor: None,
            former: None,
        }
    }

    /// The terms that follow these at `now`.
    pub(super) fn followed_by(
        &self,
        limits: SessionLimits,
        second_factor: &SecondFactor,
        now: Timestamp,
    ) -> Self {
        let (ours, theirs) = (&self.limits, &limits);
        let same = (ours.idle_timeout, ours.lifetime) == (theirs.idle_timeout, theirs.lifetime);
        Self {
            limits,
            second_factor: Some(second_factor.clone()),
            former: match same {
                true => self.former,
                false => Some((self.limits, now)),
            },
        }
    }

    /// Whether a session is alive.
    pub(super) fn check(&self, session: &Session, now: Timestamp) -> Result<(), Ended> {
        session.check(now, &self.limits)?;
        match self.lacks_a_factor(session) {
            true => Err(Ended::Revoked),
            false => Ok(()),
        }
    }

    /// Why a session is over, which no one ended; `None` where somebody did.
    pub(super) fn why_over(&self, session: &Session, now: Timestamp) -> Option<EndedSession> {
        let end = |reason, at| Some(EndedSession { reason, at });
        match session.check(now, &self.limits) {
            Err(Ended::Expired) => self.by_limits(session, EndReason::Lifetime),
            Err(Ended::Idle) => self.by_limits(session, EndReason::Idle),
            // One that was closed may have been replaced before: then it was ended by somebody.
            Err(Ended::Revoked) if session.is_closed() => None,
            Err(Ended::Revoked) if now >= session.good_until() => {
                end(EndReason::Replaced, session.good_until())
            }
            Ok(()) if self.lacks_a_factor(session) => end(EndReason::SecondFactor, now),
            Ok(()) | Err(Ended::Revoked | Ended::Unknown | Ended::Untold) => None,
        }
    }

    fn by_limits(&self, session: &Session, reason: EndReason) -> Option<EndedSession> {
        let at = session.runs_out(&self.limits);
        // By the former limits it was alive when these came.
        let shortened = self
            .former
            .filter(|(former, since)| at < *since && session.runs_out(former) > *since);
        Some(match shortened {
            Some((_, at)) => EndedSession {
                reason: EndReason::ShorterLimits,
                at,
            },
            None => EndedSession { reason, at },
        })
    }

    fn lacks_a_factor(&self, session: &Session) -> bool {
        let needs = |asked: &SecondFactor| asked.required_for(session.user().role);
        session.second_factor().is_none() && self.second_factor.as_ref().is_some_and(needs)
    }
}
