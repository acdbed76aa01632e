#![doc = include_str!("DESIGN.md")]

mod outcome;
mod owed;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

pub use self::outcome::{Doubt, DoubtCause, Report, Revocation, Unwritten};
use self::owed::Owed;
use crate::cluster::Cluster;
use crate::model::{Event, Generation, Outcome, SessionId, TokenHash, User, UserId, UserName};
use crate::session::{Session, Sessions};
use crate::shutdown::Shutdown;
use crate::store::change::{
    Change, EndSession, RaiseEveryGeneration, RaiseGeneration, Raised, SetPassword,
};
use crate::store::{Committed, Store, StoreError, Told};
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
    owed: Owed,
}

/// Whose sessions an act ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    User(UserId),
    /// With its public name, where that is known.
    Session(TokenHash, Option<SessionId>),
    Everybody,
}

/// What is known while the work goes on, for an answer that can't wait for its end.
type Progress = Arc<Mutex<Report>>;

impl Revoker {
    /// Revocations over this store and table; `tasks` waits for those that are under way at the end.
    pub fn new(store: Store, sessions: Sessions, cluster: Cluster, tasks: Shutdown) -> Self {
        Self {
            store,
            sessions,
            cluster,
            tasks,
            metrics: Metrics::default(),
            owed: Owed::default(),
        }
    }

    /// The same, with how long they take counted there.
    #[must_use]
    pub fn measured(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Ends every session of a user.
    pub async fn end_user(&self, user: &User, event: Event) -> Revocation {
        let scope = Scope::User(user.id);
        let change = RaiseGeneration { user: user.id };
        self.raise(change, scope, Some(user.generation), event)
            .await
    }

    /// Ends what is known here of a user whom the store could not be asked for.
    pub async fn end_unread(&self, name: &UserName, fault: StoreError, event: Event) -> Revocation {
        let this = self.clone();
        let known = self.sessions.user_named(name);
        self.detached(event.clone(), async move |progress: Progress| {
            if let Some(user) = known {
                return this
                    .not_written(Scope::User(user), fault, event, &progress)
                    .await;
            }
            let report = this.note(&progress, |_| {});
            Outcome::not_done(Unwritten {
                fault,
                report: Some(report),
            })
        })
        .await
    }

    /// Sets a password, and with that ends every session of its user.
    pub async fn set_password(&self, change: SetPassword, event: Event) -> Revocation {
        let scope = Scope::User(change.user);
        self.raise(change, scope, None, event).await
    }

    /// Changes an account, and with that ends every session of its user: a session tells the panel
    /// what was true when it began.
    pub async fn change_account<C>(&self, user: UserId, change: C, event: Event) -> Revocation
    where
        C: Change<Outcome = Raised> + 'static,
    {
        self.raise(change, Scope::User(user), None, event).await
    }

    /// Ends every session of everybody.
    pub async fn end_everyone(&self, event: Event) -> Revocation {
        self.raise(RaiseEveryGeneration, Scope::Everybody, None, event)
            .await
    }

    /// Ends one session.
    pub async fn end_session(&self, session: &Arc<Session>, event: Event) -> Revocation {
        self.end_token(session.token_hash(), Some(*session.id()), event)
            .await
    }

    /// Ends a session that is not in the table, where it was ended before: in memory alone, or by this very
    /// call, whose caller got no answer. `None`: there is none of this name, or not of this user where one is
    /// given.
    pub async fn end_session_again(
        &self,
        id: &SessionId,
        of: Option<&UserName>,
        event: Event,
    ) -> Option<Revocation> {
        match self.owed.session(id, of) {
            Some(token) => Some(self.end_token(token, Some(*id), event).await),
            None => self.again(&event).await,
        }
    }

    async fn end_token(&self, token: TokenHash, id: Option<SessionId>, event: Event) -> Revocation {
        let this = self.clone();
        self.detached(event.clone(), async move |progress: Progress| {
            let called = Instant::now();
            let scope = Scope::Session(token, id);
            let committed = match this.store.commit(EndSession { token }, event.clone()).await {
                Ok(committed) => committed,
                Err(fault) => return this.not_written(scope, fault, event, &progress).await,
            };
            this.owed.is_written(scope);
            if let Some(told) = committed.told() {
                let ended = u64::try_from(committed.outcome().len()).unwrap_or(u64::MAX);
                return this.spread(told, ended, called, &progress).await;
            }
            let named = std::iter::once(&token).chain(committed.outcome());
            let ended: Vec<_> = named
                .filter_map(|token| this.sessions.remove(token))
                .collect();
            this.cut(&committed, &ended, called, &progress).await
        })
        .await
    }

    /// What was ended before this moment is in force on every node: for an act that finds that it was
    /// done already, perhaps by a call that was answered as not certain.
    pub async fn confirm(&self, event: &Event) -> Revocation {
        let this = self.clone();
        self.detached(event.clone(), async move |progress: Progress| {
            let called = Instant::now();
            match this.store.last_told().await {
                Ok(Some(told)) => this.spread(told, 0, called, &progress).await,
                Ok(None) => {
                    let report = this.note(&progress, |report| report.durable = true);
                    Outcome::done(Report {
                        nodes_unreached: 0,
                        ..report
                    })
                }
                Err(fault) => Outcome::not_certain(Doubt {
                    cause: DoubtCause::Unanswered(fault),
                    report: Some(this.note(&progress, |_| {})),
                }),
            }
        })
        .await
    }

    /// An act that can't be done, perhaps because it is done: by this very call, whose caller got no answer about
    /// that. Then what it ended is confirmed; `None` for any other.
    pub async fn again(&self, event: &Event) -> Option<Revocation> {
        match self.store.unanswered(event).await {
            Ok(Some(_)) => Some(self.confirm(event).await),
            Ok(None) => None,
            Err(fault) => Some(Outcome::not_certain(Doubt::unanswered(fault))),
        }
    }

    /// The caller of an act has its answer: the same call is another act from now on. No caller waits
    /// for what is written of that.
    pub fn answered(&self, event: &Event) {
        let Some(asked) = event.asked.clone() else {
            return;
        };
        let store = self.store.clone();
        store.answered(&asked);
        self.tasks.spawn(async move {
            if let Err(fault) = store.forget_answered(&asked).await {
                tracing::warn!(%fault, "an act that was answered may count as unanswered for an hour");
            }
        });
    }

    /// `known` is the generation as it was read, which stands where nothing is written.
    async fn raise<C>(
        &self,
        change: C,
        scope: Scope,
        known: Option<Generation>,
        event: Event,
    ) -> Revocation
    where
        C: Change<Outcome = Raised> + 'static,
    {
        let this = self.clone();
        self.detached(event.clone(), async move |progress: Progress| {
            let called = Instant::now();
            this.note(&progress, |report| report.generation = known);
            let committed = match this.store.commit(change, event.clone()).await {
                Ok(committed) => committed,
                Err(fault) => return this.not_written(scope, fault, event, &progress).await,
            };
            let raised = &committed.outcome().users;
            let of_subject = raised
                .iter()
                .find(|(user, _)| scope == Scope::User(*user))
                .map(|&(_, generation)| generation);
            this.note(&progress, |report| report.generation = of_subject);
            if let Some(told) = committed.told() {
                let ended = committed.outcome().sessions;
                return this.spread(told, ended, called, &progress).await;
            }
            let ended = raised.iter();
            let ended = ended.flat_map(|&(user, generation)| this.sessions.raise(user, generation));
            let ended: Vec<_> = ended.collect();
            this.cut(&committed, &ended, called, &progress).await
        })
        .await
    }

    /// Every node raises and cuts by itself, this one too. The entry is the evidence that it is on
    /// disk: only the store gives one, with the commit.
    async fn spread(
        &self,
        told: Told,
        ended: u64,
        called: Instant,
        progress: &Progress,
    ) -> Revocation {
        self.metrics.revocation(Step::Committed, called.elapsed());
        self.note(progress, |report| {
            report.sessions_ended = usize::try_from(ended).unwrap_or(usize::MAX);
            report.durable = true;
        });
        let reach = self.cluster.in_force(told).await;
        self.metrics.revocation(Step::LastByte, called.elapsed());
        let report = self.note(progress, |report| {
            report.connections_closed = reach.closed;
            report.nodes = reach.nodes;
            report.nodes_unreached = reach.unreached;
        });
        match report.nodes_unreached {
            0 => Outcome::done(report),
            _ => Outcome::not_certain(Doubt {
                cause: DoubtCause::Unreached,
                report: Some(report),
            }),
        }
    }

    /// What was committed is the evidence that the outcome is durable.
    async fn cut<T>(
        &self,
        _durable: &Committed<T>,
        ended: &[Arc<Session>],
        called: Instant,
        progress: &Progress,
    ) -> Revocation {
        self.metrics.revocation(Step::Committed, called.elapsed());
        self.note(progress, |report| report.durable = true);
        let connections_closed = self.sessions.cut(ended).await;
        self.metrics.revocation(Step::LastByte, called.elapsed());
        Outcome::done(self.note(progress, |report| {
            report.sessions_ended = ended.len();
            report.connections_closed = connections_closed;
            report.nodes_unreached = 0;
        }))
    }

    /// What the store can't write is ended in memory all the same: a stolen session must not live on
    /// because a disk is full. A condition that does not hold ends nothing.
    async fn not_written(
        &self,
        scope: Scope,
        fault: StoreError,
        event: Event,
        progress: &Progress,
    ) -> Revocation {
        if !fault.is_of_the_store() {
            return Outcome::not_done(Unwritten {
                fault,
                report: None,
            });
        }
        tracing::error!(%fault, "a revocation could not be written; its sessions are ended on this gateway alone");
        let ended = self.end_here(scope);
        self.owe(scope, event);
        let connections_closed = self.sessions.cut(&ended).await;
        let report = self.note(progress, |report| {
            report.sessions_ended = ended.len();
            report.connections_closed = connections_closed;
            report.nodes_unreached = report.nodes.saturating_sub(1);
        });
        match fault {
            StoreError::Unanswered(_) => Outcome::not_certain(Doubt {
                cause: DoubtCause::Unanswered(fault),
                report: Some(report),
            }),
            fault => Outcome::not_done(Unwritten {
                fault,
                report: Some(report),
            }),
        }
    }

    fn end_here(&self, scope: Scope) -> Vec<Arc<Session>> {
        match scope {
            Scope::User(user) => self.sessions.end_user_here(user),
            Scope::Session(token, _) => self.sessions.end_here(&token).into_iter().collect(),
            Scope::Everybody => self.sessions.end_everybody_here(),
        }
    }

    /// Changes what is known so far, and returns it.
    fn note(&self, progress: &Progress, change: impl FnOnce(&mut Report)) -> Report {
        // Plain numbers: a panic while holding the lock leaves them whole.
        let mut report = progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut report);
        *report
    }

    /// hyper drops a handler's future when the caller hangs up. Half a revocation is worse than an
    /// answer that nobody reads, so the work runs in a task that nobody can drop.
    async fn detached<W>(&self, event: Event, work: impl FnOnce(Progress) -> W) -> Revocation
    where
        W: Future<Output = Revocation> + Send + 'static,
    {
        let progress = Progress::new(Mutex::new(Report::of_nothing(self.cluster.known_nodes())));
        let working = self.tasks.spawn(RequestId::carried(work(progress.clone())));
        let worked = match self.cluster.patience() {
            None => Some(working.await),
            Some(patience) => tokio::time::timeout(patience, working).await.ok(),
        };
        let doubt = |cause| {
            let report = Some(self.note(&progress, |_| {}));
            Outcome::not_certain(Doubt { cause, report })
        };
        let outcome = match worked {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => doubt(DoubtCause::Interrupted),
            None => doubt(DoubtCause::Late),
        };
        outcome.note_done(|| self.answered(&event))
    }
}

#[cfg(test)]
mod tests;
