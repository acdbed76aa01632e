//! A store that has gone back, or that is another one than it was: what was ended since may live
//! again in it, so everything ends.

use super::follower::Follower;
use crate::model::{Action, Actor, Event};
use crate::session::CutReason;
use crate::store::change::BeginAnew;
use crate::store::{Line, StoreError};

impl Follower {
    /// Sees to it that this is the store in which the feed was begun, and that it has kept all that
    /// this node has applied.
    pub(super) async fn is_the_same_store(&mut self, line: &mut Line) -> Result<(), StoreError> {
        let (begun, found) = line.origin().await?;
        let (head, tag) = line.look_up(self.applied).await?;
        // Entries that are long applied may be forgotten in good order.
        let is_other = tag
            .zip(self.tag)
            .is_some_and(|(found, known)| found != known);
        let has_gone_back = head < self.applied || is_other;
        let is_another = begun.as_ref().is_some_and(|begun| {
            // Whoever has followed the feed into another history of it knows that nothing is missing.
            let is_followed = self.has_followed && found.is_the_place_of(begun);
            *begun != found && !is_followed
        });
        if !has_gone_back && !is_another && begun.as_ref() == Some(&found) {
            return Ok(());
        }
        let why = match (has_gone_back, is_another) {
            (true, _) => {
                "the store has forgotten what was ended: it was set back, or another server took over that had not heard of everything"
            }
            (_, true) => {
                "the store is not the one that the gateways have worked with: a backup was put in place, or another server took over"
            }
            (false, false) => "",
        };
        let ends_everything = has_gone_back || is_another;
        if ends_everything {
            tracing::error!("{why}; every session is ended");
        }
        let change = BeginAnew {
            ends_everything,
            origin: found,
            after: self.applied,
        };
        let event = Event::general(Actor::Gateway, Action::StoreRestored).detail(why);
        let committed = match ends_everything {
            true => self.node.store.commit(change, event).await.map(drop),
            false => self.node.store.settle(change).await,
        };
        committed?;
        if ends_everything {
            self.forget_all(CutReason::SessionEnded);
            self.tag = None;
        }
        Ok(())
    }
}
