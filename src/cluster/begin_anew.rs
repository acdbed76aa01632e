//! A store that has gone back, or that is another one than it was: what was ended since may live
//! again in it, so everything ends.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::follower::Follower;
use super::watch::lease_of;
use crate::model::{Action, Actor, Event};
use crate::session::{CutReason, Session};
use crate::store::change::BeginAnew;
use crate::store::{FeedNumber, Home, Line, Mark, Origin, StoreError, Tag};

/// Why something that was ended may live again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Loss {
    #[error(
        "the store has forgotten what was ended: it was set back, or a server took over that had not heard of everything"
    )]
    Forgotten,
    #[error(
        "another server took over as the store, or it was set back to a point in time: what was ended last may be missing"
    )]
    OtherHistory,
    #[error(
        "the store is not the one that the gateways have worked with: a backup was put in place, or it is another server"
    )]
    OtherStore,
    #[error(
        "what this gateway remembered of the store can't be read, and it may have forgotten something"
    )]
    NoMemory,
}

/// What has become of the store since this node last looked at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It has kept all that this node knows of, and where it is another one, a gateway has begun the feed again: the
    /// feed tells of that.
    Kept,
    /// No gateway has worked with it yet.
    New,
    Lost(Loss),
}

/// The store as it is found.
#[derive(Debug)]
struct Found {
    home: Home,
    head: FeedNumber,
    /// Of the entry that this node has applied last, if it is still there.
    tag: Option<Tag>,
}

/// What has ended, as the log and the audit list tell it.
const ENDED: &str = "every session, half sign-in, set-up link and recovery code has ended";

/// What the operator is to do, for the log.
const NEXT_STEPS: &str = "see that no gateway reaches the former server; what was done after the last entry of the \
     audit list is lost: do again what you know of it (passwords, roles, disabled users, removed management tokens); \
     people sign in with their apps, and those without one need a reset of their second factor";

impl Follower {
    /// Sees to it that this is the store in which the feed was begun, in the same history of it, and that
    /// it has kept all that this node has applied.
    pub(super) async fn is_the_same_store(&mut self, line: &mut Line) -> Result<(), StoreError> {
        let (home, head, tag) = line.home(self.applied).await?;
        self.forgets_another_store(&home.here);
        let found = Found { home, head, tag };
        let fate = match self.memory.is_lost() {
            true => Fate::Lost(Loss::NoMemory),
            false => fate(self.mark().as_ref(), &found),
        };
        match fate {
            Fate::Kept => self.noticed = None,
            Fate::New => {
                let change = self.begin_anew(&found, false);
                self.node.store.settle(change).await?;
            }
            Fate::Lost(loss) => {
                self.outlasts_every_lease(line, &found.home.here).await?;
                let event = Event::general(Actor::Gateway, Action::StoreRestored)
                    .detail(format!("{loss}; {ENDED}"));
                let change = self.begin_anew(&found, true);
                self.node.store.commit(change, event).await?;
                self.memory.is_found_again();
                self.noticed = None;
                self.is_told_that_all_has_ended(&loss);
                // The feed tells of it here as well, but for a start, which reads from its end.
                self.knows_of_the_beginning = self.has_begun;
                // It goes on after a number that no node has applied.
                (self.applied, self.tag) = (self.applied.max(found.head), None);
            }
        }
        let here = found.home.here;
        if self
            .origin
            .replace(here.clone())
            .is_some_and(|known| known != here)
        {
            // None of what is in the table is in this store's feed from here on.
            self.forget_all(CutReason::SessionEnded);
        }
        Ok(())
    }

    /// A node may trust its table by a lease that it renewed in the store as it was, and a node that ends sessions
    /// in this one does not find it there. So nothing is begun before all of those have run out: the store as
    /// it was renews none since this one was seen.
    ///
    /// # Errors
    /// [`StoreError::Elsewhere`] until then.
    async fn outlasts_every_lease(
        &mut self,
        line: &mut Line,
        here: &Origin,
    ) -> Result<(), StoreError> {
        let now = self.node.clock.now();
        let noticed = self.noticed.take();
        // A store that took over after that one has leases of its own before it.
        let noticed = noticed.filter(|(origin, _)| origin == here);
        let (_, since) = self.noticed.insert(noticed.unwrap_or((here.clone(), now)));
        let since = *since;
        let leases = line.nodes().await?;
        let leases = leases.iter().map(lease_of);
        match now.since(since) < leases.fold(self.node.lease.length, Duration::max) {
            true => Err(StoreError::Elsewhere),
            false => Ok(()),
        }
    }

    /// Up to where this node has followed, and which store.
    pub(super) fn mark(&self) -> Option<Mark> {
        let origin = self.origin.clone()?;
        Some(Mark {
            origin,
            number: self.applied,
            tag: self.tag,
        })
    }

    /// What a node remembers at its start of other tables says nothing about these.
    fn forgets_another_store(&mut self, here: &Origin) {
        let is_another = |known: &Origin| !known.is_the_place_of(here);
        if !self.has_begun && self.origin.as_ref().is_some_and(is_another) {
            (self.origin, self.applied, self.tag) = (None, FeedNumber::NONE, None);
        }
    }

    fn begin_anew(&self, found: &Found, ends_everything: bool) -> BeginAnew {
        BeginAnew {
            ends_everything,
            home: found.home.clone(),
            head: found.head,
            after: self.applied,
        }
    }

    /// What every node does at the feed's entry that the store was begun again. Sessions that it has forgotten are in the
    /// table alone, where no other entry finds them.
    pub(super) fn everything_has_ended(&mut self) -> Vec<Arc<Session>> {
        if !std::mem::take(&mut self.knows_of_the_beginning) {
            self.is_told_that_all_has_ended(
                &"another gateway has found that the store is not what it was",
            );
        }
        self.node.sessions.forget_all(CutReason::SessionEnded)
    }

    fn is_told_that_all_has_ended(&self, why: &dyn fmt::Display) {
        tracing::error!("{why}; {ENDED}; {NEXT_STEPS}");
        self.node.state.endings.fetch_add(1, Ordering::Relaxed);
    }
}

/// `known`: what this node has followed; `None` if nothing yet.
fn fate(known: Option<&Mark>, found: &Found) -> Fate {
    let here = &found.home.here;
    let has_forgotten = |known: &Mark| {
        let entry = found.tag.zip(known.tag);
        // Entries that are long applied may be forgotten in good order.
        found.head < known.number || entry.is_some_and(|(found, known)| found != known)
    };
    match (&found.home.begun, known) {
        (_, Some(known)) if has_forgotten(known) => Fate::Lost(Loss::Forgotten),
        (None, _) => Fate::New,
        // A node that has followed the feed into another history knows all that it has applied before, and
        // nothing of what was acknowledged to others since.
        (Some(begun), _) if begun == here => Fate::Kept,
        (Some(begun), _) if begun.is_the_place_of(here) => Fate::Lost(Loss::OtherHistory),
        (Some(_), _) => Fate::Lost(Loss::OtherStore),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "7312/16384/16402 00000001";
    const PROMOTED: &str = "7312/16384/16402 00000002";
    const ELSEWHERE: &str = "7313/16384/16402 00000001";

    fn mark(text: &str) -> Mark {
        text.parse().unwrap()
    }

    /// A store that was begun there and is here, and whose last entry is this.
    fn found(begun: Option<&str>, here: &str, last: &str) -> Found {
        let origin = |text: &str| mark(&format!("{text} 0 -")).origin;
        let last = mark(&format!("{here} {last}"));
        Found {
            home: Home {
                begun: begun.map(origin),
                here: origin(here),
            },
            head: last.number,
            tag: last.tag,
        }
    }

    #[test]
    fn whatever_may_have_lost_something_is_lost_and_nothing_else_is() {
        use Fate::{Kept, Lost, New};
        use Loss::{Forgotten, OtherHistory, OtherStore};
        for (known, begun, here, last, expected) in [
            (None, None, HERE, "0 -", New),
            (None, Some(HERE), HERE, "5 77", Kept),
            (None, Some(HERE), PROMOTED, "5 77", Lost(OtherHistory)),
            (None, Some(HERE), ELSEWHERE, "5 77", Lost(OtherStore)),
            // Same head number, same tag: what it has applied is there, what others have heard may not be.
            (
                Some("5 77"),
                Some(HERE),
                PROMOTED,
                "5 77",
                Lost(OtherHistory),
            ),
            (
                Some("5 77"),
                Some(HERE),
                ELSEWHERE,
                "5 77",
                Lost(OtherStore),
            ),
            (Some("5 77"), Some(HERE), PROMOTED, "4 66", Lost(Forgotten)),
            (Some("5 77"), Some(HERE), HERE, "4 66", Lost(Forgotten)),
            (Some("5 77"), Some(HERE), HERE, "5 78", Lost(Forgotten)),
            (Some("5 77"), None, HERE, "0 -", Lost(Forgotten)),
            // Long applied, and tidied away since.
            (Some("5 77"), Some(HERE), HERE, "200000 -", Kept),
            (Some("5 77"), Some(HERE), HERE, "5 77", Kept),
            // Another node was quicker.
            (Some("5 77"), Some(PROMOTED), PROMOTED, "5 77", Kept),
            (
                Some("5 77"),
                Some(PROMOTED),
                PROMOTED,
                "5 78",
                Lost(Forgotten),
            ),
            (Some("5 77"), Some(ELSEWHERE), ELSEWHERE, "9 -", Kept),
        ] {
            let known = known.map(|known| mark(&format!("{HERE} {known}")));
            let fate = fate(known.as_ref(), &found(begun, here, last));
            assert_eq!(fate, expected, "{known:?} {begun:?} {here} {last}");
        }
    }
}
