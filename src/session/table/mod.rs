//! The table of live sessions: by token hash for requests, by user for revocations.
//!
//! Both views of one user change under that user's lock, and the generation goes up under the same
//! lock. So a session is either in the table before a revocation looks, and is ended by it, or it
//! comes after, carries an older generation and is not admitted.

mod due;
mod lists;

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::agenda::{Agenda, Seen};
use super::devices::Devices;
use super::ended_here::EndedHere;
use super::terms::Terms;
use super::{CutReason, Ended, Session, Trust, exchange};
use crate::clock::{Clock, Timestamp};
use crate::config::{SecondFactor, SessionLimits};
use crate::model::{Generation, SessionRecord, TokenHash, User, UserId};

/// Every live session of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Table>);

#[derive(Debug)]
struct Table {
    // Guards of this map never live across an await or the locking of a holder.
    by_token: DashMap<Key, Arc<Session>, BuildHasherDefault<OwnBytes>>,
    // Never shrinks while the process runs: an entry remembers the generation, also without sessions.
    by_user: DashMap<UserId, Arc<Holder>, RandomState>,
    agenda: Agenda,
    seen: Arc<Seen>,
    trust: Arc<Trust>,
    devices: Devices,
    ended_here: EndedHere,
    terms: ArcSwap<Terms>,
    clock: Clock,
}

/// One user, as the sessions see it.
#[derive(Debug)]
pub(super) struct Holder {
    generation: AtomicI64,
    // A handful: `max_per_user` at the most.
    sessions: Mutex<Vec<Arc<Session>>>,
    seen: Arc<Seen>,
    trust: Arc<Trust>,
}

/// Half of a token's hash, which the session itself has whole: a million sessions are a million of
/// these, and no two of them are alike in 128 bits. Should two be, one of them is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64, u64);

/// A hash of SHA-256 needs no other: nobody can choose the keys in the map, as the gateway makes the
/// tokens.
#[derive(Debug, Default)]
struct OwnBytes(u64);

/// Each map is in so many parts with a lock each. A part that grows is locked for as long as that takes:
/// with a million sessions that is a thousand of them, not all.
const SHARDS: usize = 1024;

impl Sessions {
    /// An empty table, for a gateway that has its store to itself.
    pub fn new(limits: SessionLimits, clock: Clock) -> Self {
        Self::trusting(false, limits, clock)
    }

    /// An empty table of one of several nodes. It is not to be believed until it is told so, by
    /// [`Sessions::trust_until`].
    pub fn shared(limits: SessionLimits, clock: Clock) -> Self {
        Self::trusting(true, limits, clock)
    }

    fn trusting(is_shared: bool, limits: SessionLimits, clock: Clock) -> Self {
        Self(Arc::new(Table {
            by_token: DashMap::with_hasher_and_shard_amount(Default::default(), SHARDS),
            by_user: DashMap::with_hasher_and_shard_amount(RandomState::default(), SHARDS),
            agenda: Agenda::default(),
            seen: Arc::default(),
            trust: Arc::new(Trust::new(is_shared, clock.clone())),
            devices: Devices::default(),
            ended_here: EndedHere::default(),
            terms: ArcSwap::from_pointee(Terms::of(limits)),
            clock,
        }))
    }

    /// The limits that sessions are held to.
    pub fn limits(&self) -> SessionLimits {
        self.0.terms.load().limits
    }

    /// Holds all sessions to these terms from now on, those that are there and those to come.
    pub fn hold_to(&self, limits: SessionLimits, second_factor: &SecondFactor) {
        let former = self.0.terms.load();
        let terms = former.followed_by(limits, second_factor, self.0.clock.now());
        self.0.terms.store(Arc::new(terms));
        self.0.agenda.bring_forward();
    }

    /// Whether a session of the table is alive.
    fn check(&self, session: &Session, now: Timestamp) -> Result<(), Ended> {
        self.0.terms.load().check(session, now)
    }

    /// The session of a token, if it is alive.
    ///
    /// # Errors
    /// Why it is not: also [`Ended::Unknown`] for a token that nobody here knows, or that nobody has
    /// shown here for too long, though perhaps on another node, and [`Ended::Untold`] when the table is
    /// not to be believed.
    pub fn find(&self, token: &TokenHash, now: Timestamp) -> Result<Arc<Session>, Ended> {
        if !self.0.trust.holds(now) {
            return Err(Ended::Untold);
        }
        let found = self.of_token(token).ok_or(Ended::Revoked);
        let checked = found.and_then(|session| self.check(&session, now).map(|()| session));
        match checked {
            Err(Ended::Revoked | Ended::Idle) if self.is_shared() => Err(Ended::Unknown),
            checked => checked,
        }
    }

    /// The session of a token as this table has it, though it may have ended elsewhere: for a user who wants
    /// to end it.
    pub fn known(&self, token: &TokenHash) -> Option<Arc<Session>> {
        self.of_token(token)
    }

    /// Whether other nodes have tables over the same store.
    pub fn is_shared(&self) -> bool {
        self.0.trust.is_shared()
    }

    /// The table is to be believed until then.
    pub fn trust_until(&self, until: Timestamp) {
        self.0.trust.move_on(until);
    }

    /// Whether the table is to be believed at `now`.
    pub fn is_trusted(&self, now: Timestamp) -> bool {
        self.0.trust.holds(now)
    }

    /// Until when the table is to be believed.
    pub fn trusted_until(&self) -> Timestamp {
        self.0.trust.until()
    }

    /// Cuts everything that is open under any session, if the table is no longer to be believed: it may
    /// belong to one that was ended on another node. How many exchanges ended; `None` if there was
    /// nothing to do.
    pub async fn cut_what_is_untold(&self) -> Option<usize> {
        if !self.0.trust.fence(self.0.clock.now()) {
            return None;
        }
        let sessions = self.0.by_token.iter();
        let open = sessions.filter(|entry| entry.open_exchanges() > 0);
        let open: Vec<_> = open.map(|entry| Arc::clone(&entry)).collect();
        Some(self.cut(&open).await)
    }

    /// Takes in a session that another node has made, or learns when it was last seen there. Only
    /// between two readings of what was ended.
    pub fn learn(&self, record: &SessionRecord, user: User) {
        match self.of_token(&record.token) {
            Some(known) => {
                known.was_seen(record.last_seen);
                if let Some(until) = record.good_until {
                    self.end_by(&record.token, until);
                }
            }
            None => drop(self.admit(record, user)),
        }
    }

    /// Forgets every session: they are closed for this reason, and what is open under them is to be cut.
    /// Generations stay known.
    pub fn forget_all(&self, reason: CutReason) -> Vec<Arc<Session>> {
        let all: Vec<_> = self
            .0
            .by_token
            .iter()
            .map(|entry| entry.token_hash())
            .collect();
        all.iter()
            .filter_map(|token| self.take_out(token, reason))
            .collect()
    }

    fn of_token(&self, token: &TokenHash) -> Option<Arc<Session>> {
        let found = self.0.by_token.get(&Key::of(token))?;
        (found.token_hash() == *token).then(|| Arc::clone(&found))
    }

    /// Takes in a session that the store has kept; `None` when the user's generation has moved on
    /// since, and then there is no session.
    pub fn admit(
        &self,
        record: &SessionRecord,
        user: impl Into<Arc<User>>,
    ) -> Option<Arc<Session>> {
        let holder = self.holder(record.user, record.generation);
        let mut sessions = holder.lock();
        if record.generation < holder.generation() || self.0.ended_here.has(record) {
            return None;
        }
        // The store may know of a revocation that has yet to reach this table: sessions of the older
        // generation are dead from here on, and that revocation will find and cut them.
        holder
            .generation
            .fetch_max(record.generation.number(), Ordering::SeqCst);
        let device = self.0.devices.shared(&record.device);
        let session = Arc::new(Session::new(record, user.into(), holder.clone(), device));
        sessions.push(session.clone());
        let token = session.token_hash();
        self.0.by_token.insert(Key::of(&token), session.clone());
        let at = session.runs_out(&self.limits());
        self.0.agenda.note(Key::of(&token), at);
        Some(session)
    }

    /// Raises a user's generation to one that is on disk, and takes the sessions of older ones out of
    /// the table. They are closed: nothing more begins under them.
    pub fn raise(&self, user: UserId, generation: Generation) -> Vec<Arc<Session>> {
        let holder = self.holder(user, generation);
        let mut sessions = holder.lock();
        holder
            .generation
            .fetch_max(generation.number(), Ordering::SeqCst);
        let ended: Vec<_> = sessions
            .extract_if(.., |session| session.generation() < generation)
            .collect();
        for session in &ended {
            self.0.by_token.remove(&Key::of(&session.token_hash()));
            session.close(CutReason::SessionEnded);
        }
        ended
    }

    /// Ends every session of a user that was begun up to now, on this gateway alone: the store could
    /// not write it, and what it still has of them does not come back into the table.
    pub fn end_user_here(&self, user: UserId) -> Vec<Arc<Session>> {
        self.0.ended_here.note_user(user, self.0.clock.now());
        let holder = self.0.by_user.get(&user).map(|found| Arc::clone(&found));
        let Some(holder) = holder else {
            return Vec::new();
        };
        let tokens: Vec<_> = holder.lock().iter().map(|one| one.token_hash()).collect();
        tokens.iter().filter_map(|one| self.remove(one)).collect()
    }

    /// The same for everybody.
    pub fn end_everybody_here(&self) -> Vec<Arc<Session>> {
        self.0.ended_here.note_everybody(self.0.clock.now());
        self.forget_all(CutReason::SessionEnded)
    }

    /// The same for one session.
    pub fn end_here(&self, token: &TokenHash) -> Option<Arc<Session>> {
        self.0.ended_here.note_token(*token);
        self.remove(token)
    }

    /// Takes one session that has ended out of the table and closes it; `None` if it was not there.
    pub fn remove(&self, token: &TokenHash) -> Option<Arc<Session>> {
        self.take_out(token, CutReason::SessionEnded)
    }

    fn take_out(&self, token: &TokenHash, reason: CutReason) -> Option<Arc<Session>> {
        let session = self.of_token(token)?;
        let mut sessions = session.holder.lock();
        let place = sessions
            .iter()
            .position(|kept| kept.token_hash() == *token)?;
        let removed = sessions.swap_remove(place);
        self.0.by_token.remove(&Key::of(token));
        removed.close(reason);
        Some(removed)
    }

    /// Another session has replaced this one, which ends then. Harmless when it is not in the table.
    pub fn end_by(&self, token: &TokenHash, at: Timestamp) {
        if let Some(session) = self.of_token(token) {
            session.end_by(at);
            self.0.agenda.note(Key::of(token), at);
        }
    }

    /// Cuts everything in flight of sessions that were taken out of the table; how many exchanges
    /// ended. Within a second.
    pub async fn cut(&self, ended: &[Arc<Session>]) -> usize {
        exchange::cut(ended).await
    }

    /// How many sessions are in the table.
    pub fn count(&self) -> usize {
        self.0.by_token.len()
    }

    /// Takes the sessions that were used since this was last asked.
    pub(super) fn take_seen(&self) -> Vec<Arc<Session>> {
        let seen = self.0.seen.take();
        for session in &seen {
            session.is_noted.store(false, Ordering::Release);
        }
        seen
    }

    fn holder(&self, user: UserId, generation: Generation) -> Arc<Holder> {
        let entry = self.0.by_user.entry(user).or_insert_with(|| {
            Arc::new(Holder {
                generation: AtomicI64::new(generation.number()),
                sessions: Mutex::default(),
                seen: self.0.seen.clone(),
                trust: self.0.trust.clone(),
            })
        });
        Arc::clone(&entry)
    }
}

impl Holder {
    pub(super) fn generation(&self) -> Generation {
        Generation::from_stored(self.generation.load(Ordering::SeqCst))
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// A panic while holding the lock leaves the map whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    pub(super) fn of(token: &TokenHash) -> Self {
        let [first, second, ..] = token.0.as_chunks::<8>().0 else {
            return Self(0, 0);
        };
        Self(u64::from_le_bytes(*first), u64::from_le_bytes(*second))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

impl Hasher for OwnBytes {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, bytes: u64) {
        self.0 = bytes;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
