#![doc = include_str!("DESIGN.md")]

mod outcome;

use std::sync::Arc;
use std::time::Instant;

pub use self::outcome::Outcome;
use crate::cluster::Cluster;
use crate::model::{Event, User, UserId};
use crate::session::{Session, Sessions};
use crate::shutdown::Shutdown;
use crate::store::change::{
    Change, EndSession, RaiseEveryGeneration, RaiseGeneration, Raised, SetPassword,
};
use crate::store::{Committed, FeedNumber, Store, StoreError};
use crate::telemetry::{Metrics, Step};
use crate::wire::RequestId;

/// Ends sessions. Every page, call and command that does so comes here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Revoker {
    store: Store,
    sessions: Sessions,
    cluster: Cluster,
    tasks: Shutdown,
    metrics: Metrics,
}

/// Why nothing can be promised about a revocation.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// Nothing was changed, or the disk failed in the middle of the commit; then call it again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work broke off; what is on disk holds.
    #[error("the revocation was interrupted; call it again")]
    Interrupted,
    /// It goes on all the same.
    #[error("the store or a node has not answered in time")]
    Late,
}

impl Revoker {
    /// Revocations over this store and table; `tasks` waits for those that are under way at the end.
    pub fn new(store: Store, sessions: Sessions, cluster: Cluster, tasks: Shutdown) -> Self {
        Self {
            store,
            sessions,
            cluster,
            tasks,
            metrics: Metrics::default(),
        }
    }

    /// The same, with how long they take counted there.
    #[must_use]
    pub fn measured(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Ends every session of a user.
    ///
    /// # Errors
    /// [`RevokeError`]; so for every verb here.
    pub async fn end_user(&self, user: &User, event: Event) -> Result<Outcome, RevokeError> {
        self.raise(RaiseGeneration { user: user.id }, Some(user.id), event)
            .await
    }

    /// Sets a password, and with that ends every session of its user.
    pub async fn set_password(
        &self,
        change: SetPassword,
        event: Event,
    ) -> Result<Outcome, RevokeError> {
        let user = change.user;
        self.raise(change, Some(user), event).await
    }

    /// Changes an account, and with that ends every session of its user: a session tells the panel
    /// what was true when it began.
    pub async fn change_account<C>(
        &self,
        user: UserId,
        change: C,
        event: Event,
    ) -> Result<Outcome, RevokeError>
    where
        C: Change<Outcome = Raised> + 'static,
    {
        self.raise(change, Some(user), event).await
    }

    /// Ends every session of everybody.
    pub async fn end_everyone(&self, event: Event) -> Result<Outcome, RevokeError> {
        self.raise(RaiseEveryGeneration, None, event).await
    }

    /// Ends one session.
    pub async fn end_session(
        &self,
        session: &Arc<Session>,
        event: Event,
    ) -> Result<Outcome, RevokeError> {
        let this = self.clone();
        let token = session.token_hash();
        self.detached(async move {
            let called = Instant::now();
            let committed = this.store.commit(EndSession { token }, event).await?;
            if let Some(number) = committed.told() {
                let ended = u64::try_from(committed.outcome().len()).unwrap_or(u64::MAX);
                return Ok(this.spread(number, ended, called).await);
            }
            let named = std::iter::once(&token).chain(committed.outcome());
            let ended: Vec<_> = named
                .filter_map(|token| this.sessions.remove(token))
                .collect();
            Ok(this.cut(&committed, &ended, called).await)
        })
        .await
    }

    async fn raise<C>(
        &self,
        change: C,
        subject: Option<UserId>,
        event: Event,
    ) -> Result<Outcome, RevokeError>
    where
        C: Change<Outcome = Raised> + 'static,
    {
        let this = self.clone();
        self.detached(async move {
            let called = Instant::now();
            let committed = this.store.commit(change, event).await?;
            let raised = &committed.outcome().users;
            let mut outcome = match committed.told() {
                Some(number) => {
                    let ended = committed.outcome().sessions;
                    this.spread(number, ended, called).await
                }
                None => {
                    let ended = raised.iter();
                    let ended =
                        ended.flat_map(|&(user, generation)| this.sessions.raise(user, generation));
                    let ended: Vec<_> = ended.collect();
                    this.cut(&committed, &ended, called).await
                }
            };
            outcome.generation = raised
                .iter()
                .find(|(user, _)| Some(*user) == subject)
                .map(|&(_, generation)| generation);
            Ok(outcome)
        })
        .await
    }

    /// Every node raises and cuts by itself, this one too. The number is the evidence that it is on
    /// disk: only the store gives one, with the commit.
    async fn spread(&self, number: FeedNumber, ended: u64, called: Instant) -> Outcome {
        self.metrics.revocation(Step::Committed, called.elapsed());
        let reach = self.cluster.in_force(number).await;
        self.metrics.revocation(Step::LastByte, called.elapsed());
        Outcome {
            generation: None,
            sessions_ended: usize::try_from(ended).unwrap_or(usize::MAX),
            connections_closed: reach.closed,
            durable: true,
            nodes: reach.nodes,
            nodes_unreached: reach.unreached,
        }
    }

    /// What was committed is the evidence that the outcome is durable.
    async fn cut<T>(
        &self,
        _durable: &Committed<T>,
        ended: &[Arc<Session>],
        called: Instant,
    ) -> Outcome {
        self.metrics.revocation(Step::Committed, called.elapsed());
        let connections_closed = self.sessions.cut(ended).await;
        self.metrics.revocation(Step::LastByte, called.elapsed());
        Outcome {
            generation: None,
            sessions_ended: ended.len(),
            connections_closed,
            durable: true,
            nodes: 1,
            nodes_unreached: 0,
        }
    }

    /// hyper drops a handler's future when the caller hangs up. Half a revocation is worse than an
    /// answer that nobody reads, so the work runs in a task that nobody can drop.
    async fn detached<W>(&self, work: W) -> Result<Outcome, RevokeError>
    where
        W: Future<Output = Result<Outcome, RevokeError>> + Send + 'static,
    {
        let working = self.tasks.spawn(RequestId::carried(work));
        let worked = match self.cluster.patience() {
            None => working.await,
            Some(patience) => match tokio::time::timeout(patience, working).await {
                Ok(worked) => worked,
                Err(_) => return Err(RevokeError::Late),
            },
        };
        worked.unwrap_or(Err(RevokeError::Interrupted))
    }
}

#[cfg(test)]
mod tests;
