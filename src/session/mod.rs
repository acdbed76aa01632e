//! Who is signed in, in memory.
//!
//! [`Sessions`] is the table that every request is looked up in; the store holds the same sessions
//! for the next start. A [`Session`] belongs to a user and carries the user's generation at the time
//! the password was checked; [`Exchange`]s in flight are registered with it and hold the cut.

mod agenda;
mod device;
mod devices;
mod ended_here;
mod exchange;
mod house;
mod table;
mod terms;
mod token;
mod trust;
mod why_ended;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

pub use self::device::device_name;
use self::exchange::Register;
pub use self::exchange::{CutReason, Exchange, Guard};
pub use self::house::{AskOthers, keep_house, restore};
use self::table::Holder;
pub use self::table::Sessions;
pub use self::token::Token;
use self::trust::Trust;
pub use self::why_ended::WhyEnded;
use crate::accept::Lease;
use crate::clock::Timestamp;
use crate::config::SessionLimits;
use crate::model::{
    Actor, Credential, FactorKind, Generation, SessionId, SessionRecord, TokenHash, User,
};

/// One sign-in on one device.
#[derive(Debug)]
pub struct Session {
    token: TokenHash,
    id: SessionId,
    // A million sessions are a million of these: what several share is kept once.
    user: Arc<User>,
    holder: Arc<Holder>,
    device: Arc<str>,
    generation: Generation,
    created: Timestamp,
    /// Milliseconds since 1970.
    last_seen: AtomicI64,
    /// Once another has replaced it, when it ends; in milliseconds since 1970.
    good_until: AtomicI64,
    /// It is among the seen ones of the table already.
    is_noted: AtomicBool,
    address: IpAddr,
    second_factor: Option<FactorKind>,
    register: Register,
    /// Why nothing more begins under it. Set under the lock of the register; every request looks.
    closed: OnceLock<CutReason>,
}

/// Why a session is no longer good for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error("the session was ended")]
    Revoked,
    #[error("nothing was asked for in this session for too long")]
    Idle,
    #[error("the session has reached its greatest age")]
    Expired,
    /// Another node may know it.
    #[error("the session is not known here")]
    Unknown,
    /// Nobody can say at this moment.
    #[error("it can't be told whether the session is still alive")]
    Untold,
}

impl Session {
    fn new(record: &SessionRecord, user: Arc<User>, holder: Arc<Holder>, device: Arc<str>) -> Self {
        Self {
            token: record.token,
            id: record.id,
            user,
            holder,
            device,
            generation: record.generation,
            created: record.created,
            last_seen: AtomicI64::new(record.last_seen.millis()),
            good_until: AtomicI64::new(record.good_until.map_or(i64::MAX, Timestamp::millis)),
            is_noted: AtomicBool::new(false),
            address: record.address,
            second_factor: record.second_factor,
            register: Register::default(),
            closed: OnceLock::new(),
        }
    }

    /// Whether the session is alive at `now`.
    ///
    /// # Errors
    /// Why it is not. What can't be told is not alive: the comparison with the user's generation is
    /// exact.
    pub fn check(&self, now: Timestamp, limits: &SessionLimits) -> Result<(), Ended> {
        if self.generation != self.holder.generation() || self.is_closed() {
            return Err(Ended::Revoked);
        }
        if now >= self.good_until() {
            return Err(Ended::Revoked);
        }
        if now >= self.expires(limits) {
            return Err(Ended::Expired);
        }
        if now >= self.last_seen().plus(limits.idle_timeout) {
            return Err(Ended::Idle);
        }
        Ok(())
    }

    /// The session was used at `now`.
    pub fn touch(self: &Arc<Self>, now: Timestamp) {
        self.last_seen.fetch_max(now.millis(), Ordering::Relaxed);
        // Looked at before it is written, as this is done for every request.
        if !self.is_noted.load(Ordering::Relaxed) && !self.is_noted.swap(true, Ordering::AcqRel) {
            self.holder.seen().note(self.clone());
        }
    }

    /// It was seen at `at` by another node.
    fn was_seen(&self, at: Timestamp) {
        self.last_seen.fetch_max(at.millis(), Ordering::Relaxed);
    }

    /// When it runs out, unless it is used meanwhile.
    fn runs_out(&self, limits: &SessionLimits) -> Timestamp {
        let idle = self.last_seen().plus(limits.idle_timeout);
        idle.min(self.expires(limits)).min(self.good_until())
    }

    /// Another has replaced it, and it ends then.
    fn end_by(&self, at: Timestamp) {
        self.good_until.fetch_min(at.millis(), Ordering::Release);
    }

    fn good_until(&self) -> Timestamp {
        Timestamp::from_millis(self.good_until.load(Ordering::Acquire))
    }

    /// Whether a later session has taken its place in the browser.
    pub fn is_replaced(&self) -> bool {
        self.good_until.load(Ordering::Acquire) != i64::MAX
    }

    /// The public name of the session.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The key of the session.
    pub fn token_hash(&self) -> TokenHash {
        self.token
    }

    /// Whose session it is, as at sign-in; a change of the account ends the session.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The user's generation when the password was checked.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// When the person signed in; every change of privilege makes a new session.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When the session was last used.
    pub fn last_seen(&self) -> Timestamp {
        Timestamp::from_millis(self.last_seen.load(Ordering::Relaxed))
    }

    /// When it ends whatever is done with it.
    pub fn expires(&self, limits: &SessionLimits) -> Timestamp {
        self.created.plus(limits.lifetime)
    }

    /// The person of this session as somebody who acts from an address: what is asked for holds only
    /// while the session does.
    pub fn actor(&self, address: IpAddr) -> Actor {
        Actor::User {
            name: self.user.name.clone(),
            address,
            credential: Credential::Session {
                token: self.token,
                last_seen: self.last_seen(),
            },
        }
    }

    /// The lease of this node, where it has one, under which everything of the session is carried.
    pub fn lease(&self) -> Option<Arc<dyn Lease>> {
        let trust = self.holder.trust();
        trust.is_shared().then(|| trust.clone() as Arc<dyn Lease>)
    }

    /// From where the person signed in.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Browser and system in words.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What was shown beside the password.
    pub fn second_factor(&self) -> Option<FactorKind> {
        self.second_factor
    }
}

#[cfg(test)]
mod tests;
