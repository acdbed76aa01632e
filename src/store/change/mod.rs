//! Every durable change as a value.
//!
//! A change says in its documentation what it brings about and which condition it stands under. The
//! condition is checked by the statement that writes, never by a read before it.

mod account;
mod again;
mod ended;
mod factor;
mod noted;
mod session;
mod token;
mod user;

use std::future::Future;

pub use self::account::{EditUser, RemoveUser, ResetSecondFactor};
pub use self::again::{BeginAgain, BeginAnew};
pub use self::ended::ENDED_KEPT;
pub(super) use self::ended::{Gone, hex};
pub use self::factor::Proof;
pub(super) use self::factor::totp_place;
pub use self::noted::Noted;
pub use self::session::{Admitted, EndSession, EndSessionsBegunBy, GRACE, StartSession};
pub use self::token::{AddToken, AnnounceTokenEnd, RemoveToken, RotateToken};
pub use self::user::{
    AddSetupLink, AddUser, RaiseEveryGeneration, RaiseGeneration, Raised, RehashPassword,
    SetPassword, WayIn,
};
use super::feed::Told;
use super::seal::Seal;
use super::statement::{On, Value, sql};
use super::{StoreError, Work, failed, unanswered};
use crate::clock::Timestamp;
use crate::model::{EndReason, Event, Role, UserId};
use crate::wire::RequestId;

/// What a change manages of the people in the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Managed {
    pub user: Option<UserId>,
    /// A role that it gives.
    pub role: Option<Role>,
}

/// One change that [`super::Store::commit`] can write.
pub trait Change: Send {
    /// What is known once it is written.
    type Outcome: Send;

    /// Whose account it manages, where it does: not every program may manage administrators.
    fn manages(&self) -> Managed {
        Managed::default()
    }

    /// Whether it is what a store begins with that is another one than the gateways have worked with. Any
    /// other change is refused there.
    fn begins_anew(&self) -> bool {
        false
    }

    /// Writes it. An error rolls everything back.
    fn apply(
        self,
        desk: &mut Desk<'_>,
    ) -> impl Future<Output = Result<Self::Outcome, StoreError>> + Send;
}

/// Where a change is written: the open transaction and what belongs to it. Only the store has one.
#[derive(Debug)]
pub struct Desk<'a> {
    work: &'a mut Work,
    pub(super) seal: &'a Seal,
    pub(super) now: Timestamp,
    /// Why sessions end that this transaction removes.
    reason: EndReason,
    /// The last entry of the feed that this transaction has written.
    pub(super) told: Option<Told>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(work: &'a mut Work, seal: &'a Seal, now: Timestamp) -> Self {
        Self {
            work,
            seal,
            now,
            reason: EndReason::Every,
            told: None,
        }
    }

    /// The same, for an act that ends sessions for this reason.
    pub(super) fn ending_for(mut self, reason: EndReason) -> Self {
        self.reason = reason;
        self
    }

    pub(super) fn connection(&mut self) -> On<'_> {
        (&mut *self.work).into()
    }

    pub(super) fn is_shared(&self) -> bool {
        self.work.is_shared()
    }

    /// Adds the event to the audit list. Its number follows the last one that was committed, since changes
    /// take turns and one that is rolled back gives its number back: a gap is an entry that is gone.
    pub(super) async fn record(&mut self, event: &Event) -> Result<(), StoreError> {
        let doing = "writing the audit list";
        let marked = event.asked.as_ref();
        let marked_here = marked.filter(|_| self.is_shared());
        let entry = sql(match marked_here {
            Some(_) => ENTRY_AND_MARK,
            None => ENTRY,
        })
        .bind(self.now.millis())
        .bind(event.actor.to_string())
        .bind(event.action.as_str())
        .bind(event.subject.as_ref().map(|name| name.as_str()))
        .bind(&event.detail)
        .bind(RequestId::current_if_any().map(|id| id.to_string()));
        let entry = match marked_here {
            Some(asked) => unanswered::bound(entry, asked, self.now),
            None => entry,
        };
        entry.run(self.connection()).await.map_err(failed(doing))?;
        match marked {
            Some(asked) if !self.is_shared() => self.mark(event, asked).await,
            _ => Ok(()),
        }
    }

    /// Adds these events, in their order.
    pub(super) async fn record_all(&mut self, events: &[Event]) -> Result<(), StoreError> {
        if !self.is_shared() {
            for event in events {
                self.record(event).await?;
            }
            return Ok(());
        }
        if events.is_empty() {
            return Ok(());
        }
        let request = RequestId::current_if_any().map(|id| id.to_string());
        let texts =
            |text: fn(&Event) -> Option<String>| Value::Texts(events.iter().map(text).collect());
        sql(
            "INSERT INTO audit (at, actor, action, subject, detail, request)
             SELECT $1, actor, action, subject, detail, $2
             FROM unnest($3, $4, $5, $6) WITH ORDINALITY
                 AS new (actor, action, subject, detail, place) ORDER BY place",
        )
        .bind(self.now.millis())
        .bind(request)
        .bind(texts(|event| Some(event.actor.to_string())))
        .bind(texts(|event| Some(event.action.as_str().to_owned())))
        .bind(texts(|event| {
            event.subject.as_ref().map(ToString::to_string)
        }))
        .bind(texts(|event| Some(event.detail.clone())))
        .run(self.connection())
        .await
        .map(drop)
        .map_err(failed("writing the audit list"))
    }
}

const ENTRY: &str = "INSERT INTO audit (at, actor, action, subject, detail, request)
    VALUES ($1, $2, $3, $4, $5, $6)";

/// The same with the mark of an act that may be asked for again, on one way there and back. Marks that are
/// too old for that are taken away.
const ENTRY_AND_MARK: &str = "WITH old AS (DELETE FROM unanswered WHERE at <= $9 AND act <> $7),
    mark AS (INSERT INTO unanswered (act, at, subject, made) VALUES ($7, $1, $4, $8)
        ON CONFLICT (act) DO UPDATE SET at = excluded.at, subject = excluded.subject,
            made = excluded.made)
    INSERT INTO audit (at, actor, action, subject, detail, request)
    VALUES ($1, $2, $3, $4, $5, $6)";
