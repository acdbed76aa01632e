//! Management tokens over time: when each was last used, written now and then and not at every call,
//! and which of them run out soon, told two weeks before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Management, Verbs};
use crate::clock::Timestamp;
use crate::model::{Action, Actor, Event};
use crate::shutdown::Shutdown;
use crate::store::change::AnnounceTokenEnd;
use crate::store::{ManagementToken, StoreError};

/// When tokens were used, by their hashes, since that was last written. No more than there are tokens.
#[derive(Debug, Default)]
pub struct TokenUses(Mutex<HashMap<[u8; 32], Timestamp>>);

/// How long before its end a token is told of.
const AHEAD: Duration = Duration::from_secs(14 * 24 * 3600);

/// How often uses are written and ends are looked at.
const EVERY: Duration = Duration::from_secs(60);

impl TokenUses {
    pub(super) fn note(&self, hash: [u8; 32], at: Timestamp) {
        self.lock().insert(hash, at);
    }

    /// A panic while holding the lock leaves the map whole, so poisoning tells nothing.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Management {
    /// Until the gateway ends; the last uses are written before it returns.
    pub async fn watch_tokens(self, tasks: Shutdown) {
        let mut first = true;
        while !tasks.has_begun() {
            if let Err(fault) = self.verbs.look_at_tokens(first).await {
                tracing::warn!(%fault, "could not look at the management tokens");
            }
            first = false;
            tokio::select! {
                () = tasks.begun() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        if let Err(fault) = self.verbs.write_token_uses().await {
            tracing::warn!(%fault, "could not write when management tokens were used");
        }
    }
}

impl Verbs {
    /// Writes when tokens were used. What can't be written is kept for the next time.
    pub(super) async fn write_token_uses(&self) -> Result<(), StoreError> {
        let uses = std::mem::take(&mut *self.uses.lock());
        let list: Vec<_> = uses.iter().map(|(hash, at)| (*hash, *at)).collect();
        let written = self.store.tokens_were_used(&list).await;
        if written.is_err() {
            let mut later = self.uses.lock();
            for (hash, at) in uses {
                later.entry(hash).or_insert(at);
            }
        }
        written
    }

    /// Tells of tokens that run out soon: one event and one entry each, and a number of them all; at the
    /// start also of those that never do.
    pub(super) async fn look_at_tokens(&self, first: bool) -> Result<(), StoreError> {
        self.write_token_uses().await?;
        let now = self.clock.now();
        let tokens = self.store.tokens().await?;
        let ends_soon = |token: &&ManagementToken| {
            let ends = token.expires;
            ends.is_some_and(|ends| now < ends && ends.minus(AHEAD) <= now)
        };
        let soon: Vec<_> = tokens.iter().filter(ends_soon).collect();
        self.metrics.tokens_end_soon(soon.len());
        for token in tokens
            .iter()
            .filter(|token| first && token.expires.is_none())
        {
            let name = &token.name;
            tracing::warn!(token = %name, "this management token never ends; give it an end with: portcullis token rotate {name}");
        }
        for token in soon.into_iter().filter(|token| !token.announced) {
            self.announce(token).await?;
        }
        Ok(())
    }

    async fn announce(&self, token: &ManagementToken) -> Result<(), StoreError> {
        let name = &token.name;
        let ends = token.expires.map(Timestamp::rfc3339).unwrap_or_default();
        let event = Event::general(Actor::Gateway, Action::TokenEndsSoon)
            .detail(format!("{name} at {ends}"));
        let change = AnnounceTokenEnd { name: name.clone() };
        match self.store.commit(change, event).await {
            Ok(_) => {
                tracing::warn!(token = %name, "this management token ends at {ends}; renew it with: portcullis token rotate {name}");
                Ok(())
            }
            // Another node was first, or it was removed.
            Err(StoreError::NoSuchToken) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}
