//! What was ended in memory and could not be written: the gateway goes on trying, so that a restart does
//! not bring it back once the store can write again.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Revocation, Revoker, Scope};
use crate::clock::Timestamp;
use crate::model::{Action, Actor, Event, SessionId, TokenHash, UserName};
use crate::store::StoreError;
use crate::store::change::{EndSession, EndSessionsBegunBy};

/// How long between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// What is owed to the store, one debt a scope. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Owed(Arc<Mutex<Debts>>);

#[derive(Debug, Default)]
struct Debts {
    all: Vec<Debt>,
    /// A task is trying to pay them.
    is_tried: bool,
}

/// Sessions that are dead here and alive in the store.
#[derive(Debug, Clone)]
struct Debt {
    scope: Scope,
    /// Sessions that were begun later are not meant.
    at: Timestamp,
    event: Event,
}

impl Owed {
    /// A panic while holding the lock leaves the list whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Debts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Debt> {
        let mut debts = self.lock();
        let next = debts.all.first().cloned();
        debts.is_tried &= next.is_some();
        next
    }

    /// The session of this public name, if its end is owed; where `of` is given, only one of that user.
    pub(super) fn session(&self, id: &SessionId, of: Option<&UserName>) -> Option<TokenHash> {
        let debts = self.lock();
        let whose = |debt: &&Debt| of.is_none() || debt.event.subject.as_ref() == of;
        let mut owed = debts.all.iter().filter(whose);
        owed.find_map(|debt| match debt.scope {
            Scope::Session(token, Some(known)) if known == *id => Some(token),
            _ => None,
        })
    }

    /// It was written by another act.
    pub(super) fn is_written(&self, scope: Scope) {
        self.lock().all.retain(|debt| debt.scope != scope);
    }

    fn is_paid(&self, debt: &Debt) {
        let mut debts = self.lock();
        debts
            .all
            .retain(|other| other.scope != debt.scope || debt.at < other.at);
    }
}

impl Revoker {
    /// Notes what is to be written later, and sees to it that it is tried.
    pub(super) fn owe(&self, scope: Scope, event: Event) {
        let detail = format!(
            "ended in memory before, for {} by {}, which could not be written",
            event.action.as_str(),
            event.actor
        );
        let action = match scope {
            Scope::Session(..) => Action::SessionEnded,
            Scope::User(_) | Scope::Everybody => Action::SessionsEnded,
        };
        let debt = Debt {
            scope,
            at: self.store.clock().now(),
            // Who asked for it may have no session any more: that was checked when it was asked for, and
            // what was ended in memory stays ended.
            event: Event {
                actor: Actor::Gateway,
                action,
                detail,
                // A caller that asks for one session again finds it ended. Other acts do more than end it.
                asked: event.asked.filter(|_| matches!(scope, Scope::Session(..))),
                ..event
            },
        };
        let mut debts = self.owed.lock();
        debts.all.retain(|other| other.scope != scope);
        debts.all.push(debt);
        if !std::mem::replace(&mut debts.is_tried, true) {
            let this = self.clone();
            self.tasks.spawn(async move { this.pay().await });
        }
    }

    /// Ends a session of which no more is known than its token, since the store can't be asked: by the form
    /// of the browser that holds it.
    pub async fn end_unknown(&self, token: TokenHash, client: IpAddr) -> Revocation {
        let detail = format!(
            "signed out at {client}, while the store could not be asked whose session it was"
        );
        let event = Event::general(Actor::Gateway, Action::SessionEnded).detail(detail);
        self.end_token(token, None, event).await
    }

    /// Tries until everything is written or the gateway ends; then once more.
    async fn pay(self) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = self.tasks.begun() => {}
            }
            while let Some(debt) = self.owed.next() {
                match self.write(&debt).await {
                    Err(fault) if fault.is_of_the_store() => {
                        if self.tasks.has_begun() {
                            tracing::error!(%fault, scope = ?debt.scope, "what was ended in memory could not be written; the next start brings these sessions back");
                        }
                        break;
                    }
                    // A condition that does not hold: there is nothing left to end.
                    Ok(()) | Err(_) => self.owed.is_paid(&debt),
                }
            }
            if self.tasks.has_begun() || !self.owed.lock().is_tried {
                return;
            }
        }
    }

    async fn write(&self, debt: &Debt) -> Result<(), StoreError> {
        let event = debt.event.clone();
        let user = match debt.scope {
            Scope::Session(token, _) => {
                return self
                    .store
                    .commit(EndSession { token }, event)
                    .await
                    .map(drop);
            }
            Scope::User(user) => Some(user),
            Scope::Everybody => None,
        };
        let change = EndSessionsBegunBy { user, at: debt.at };
        self.store.commit(change, event).await?;
        tracing::info!(scope = ?debt.scope, "what was ended in memory is written");
        Ok(())
    }
}
