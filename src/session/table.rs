//! The table of live sessions: by token hash for requests, by user for revocations.
//!
//! Both views of one user change under that user's lock, and the generation goes up under the same
//! lock. So a session is either in the table before a revocation looks, and is ended by it, or it
//! comes after, carries an older generation and is not admitted.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;
use foldhash::fast::RandomState;

use super::{Ended, Session, exchange};
use crate::clock::{Clock, Timestamp};
use crate::config::{SecondFactor, SessionLimits};
use crate::model::{Generation, SessionId, SessionRecord, TokenHash, User, UserId};

/// Every live session of this node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Table>);

#[derive(Debug)]
struct Table {
    // Keys are hashes of tokens that the gateway made: nobody can choose them, so a fast hasher is
    // safe. Guards of this map never live across an await or the locking of a holder.
    by_token: DashMap<TokenHash, Arc<Session>, RandomState>,
    // Never shrinks while the process runs: an entry remembers the generation, also without sessions.
    by_user: DashMap<UserId, Arc<Holder>, RandomState>,
    devices: Devices,
    limits: ArcSwap<SessionLimits>,
    /// Who needs a second factor; nobody until the table is told.
    second_factor: ArcSwapOption<SecondFactor>,
    clock: Clock,
}

/// One user, as the sessions see it.
#[derive(Debug)]
pub(super) struct Holder {
    generation: AtomicI64,
    // A handful: `max_per_user` at the most.
    sessions: Mutex<Vec<Arc<Session>>>,
}

/// The names of devices, each kept once.
#[derive(Debug, Default)]
struct Devices(Mutex<HashSet<Arc<str>>>);

/// How many names are shared; browsers call themselves what they like.
const MOST_DEVICES: usize = 1000;

impl Sessions {
    /// An empty table.
    pub fn new(limits: SessionLimits, clock: Clock) -> Self {
        Self(Arc::new(Table {
            by_token: DashMap::default(),
            by_user: DashMap::default(),
            devices: Devices::default(),
            limits: ArcSwap::from_pointee(limits),
            second_factor: ArcSwapOption::empty(),
            clock,
        }))
    }

    /// The limits that sessions are held to.
    pub fn limits(&self) -> SessionLimits {
        **self.0.limits.load()
    }

    /// Holds all sessions to these terms from now on, those that are there and those to come.
    pub fn hold_to(&self, limits: SessionLimits, second_factor: &SecondFactor) {
        self.0.limits.store(Arc::new(limits));
        let second_factor = Arc::new(second_factor.clone());
        self.0.second_factor.store(Some(second_factor));
    }

    /// Whether a session of the table is alive.
    fn check(&self, session: &Session, now: Timestamp) -> Result<(), Ended> {
        session.check(now, &self.limits())?;
        let second_factor = self.0.second_factor.load();
        let needs = |terms: &Arc<SecondFactor>| terms.required_for(session.user().role);
        if session.second_factor().is_none() && second_factor.as_ref().is_some_and(needs) {
            return Err(Ended::Revoked);
        }
        Ok(())
    }

    /// The session of a token, if it is alive.
    ///
    /// # Errors
    /// Why it is not: also [`Ended::Revoked`] for a token that nobody knows.
    pub fn find(&self, token: &TokenHash, now: Timestamp) -> Result<Arc<Session>, Ended> {
        let session = self.0.by_token.get(token).map(|found| Arc::clone(&found));
        let session = session.ok_or(Ended::Revoked)?;
        self.check(&session, now)?;
        Ok(session)
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
        if record.generation < holder.generation() {
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
        self.0
            .by_token
            .insert(session.token_hash(), session.clone());
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
            self.0.by_token.remove(&session.token_hash());
            session.close();
        }
        ended
    }

    /// Takes one session out of the table and closes it; `None` if it was not there.
    pub fn remove(&self, token: &TokenHash) -> Option<Arc<Session>> {
        let session = self.0.by_token.get(token).map(|found| Arc::clone(&found))?;
        let mut sessions = session.holder.lock();
        let place = sessions
            .iter()
            .position(|kept| kept.token_hash() == *token)?;
        let removed = sessions.swap_remove(place);
        self.0.by_token.remove(token);
        removed.close();
        Some(removed)
    }

    /// Cuts everything in flight of sessions that were taken out of the table; how many exchanges
    /// ended. Within a second.
    pub async fn cut(&self, ended: &[Arc<Session>]) -> usize {
        exchange::cut(ended).await
    }

    /// The live sessions of a user, the newest first.
    pub fn of(&self, user: UserId) -> Vec<Arc<Session>> {
        let holder = self.0.by_user.get(&user).map(|found| Arc::clone(&found));
        let Some(holder) = holder else {
            return Vec::new();
        };
        let now = self.0.clock.now();
        let mut live: Vec<_> = holder
            .lock()
            .iter()
            .filter(|session| self.check(session, now).is_ok())
            .cloned()
            .collect();
        live.sort_by_key(|session| std::cmp::Reverse(session.created()));
        live
    }

    /// The live session of a user with this public name.
    pub fn of_user_by_id(&self, user: UserId, id: &SessionId) -> Option<Arc<Session>> {
        self.of(user).into_iter().find(|session| session.id() == id)
    }

    /// The live session of this public name. Looks through all: for the rare call, not for requests.
    pub fn by_id(&self, id: &SessionId) -> Option<Arc<Session>> {
        let now = self.0.clock.now();
        let mut all = self.0.by_token.iter();
        let found = all.find(|entry| entry.id() == id)?;
        self.check(&found, now).ok()?;
        Some(Arc::clone(&found))
    }

    /// Every live session, the newest first.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let now = self.0.clock.now();
        let mut live: Vec<_> = self
            .0
            .by_token
            .iter()
            .filter(|entry| self.check(entry, now).is_ok())
            .map(|entry| Arc::clone(&entry))
            .collect();
        live.sort_by_key(|session| std::cmp::Reverse(session.created()));
        live
    }

    /// How many sessions are in the table.
    pub fn count(&self) -> usize {
        self.0.by_token.len()
    }

    /// Takes out what has expired by `now`.
    pub(super) fn sweep(&self, now: Timestamp) -> Vec<Arc<Session>> {
        let over: Vec<TokenHash> = self
            .0
            .by_token
            .iter()
            .filter(|entry| self.check(entry.value(), now).is_err())
            .map(|entry| *entry.key())
            .collect();
        over.iter().filter_map(|token| self.remove(token)).collect()
    }

    /// The sessions that were used since that was last written.
    pub(super) fn unwritten(&self) -> Vec<Arc<Session>> {
        self.0
            .by_token
            .iter()
            .filter(|entry| {
                entry.value().last_written.load(Ordering::Relaxed)
                    < entry.value().last_seen().millis()
            })
            .map(|entry| Arc::clone(entry.value()))
            .collect()
    }

    fn holder(&self, user: UserId, generation: Generation) -> Arc<Holder> {
        let entry = self.0.by_user.entry(user).or_insert_with(|| {
            Arc::new(Holder {
                generation: AtomicI64::new(generation.number()),
                sessions: Mutex::default(),
            })
        });
        Arc::clone(&entry)
    }
}

impl Holder {
    pub(super) fn generation(&self) -> Generation {
        Generation::from_stored(self.generation.load(Ordering::SeqCst))
    }

    /// A panic while holding the lock leaves the map whole, so poisoning tells nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices {
    fn shared(&self, name: &str) -> Arc<str> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = known.get(name) {
            return device.clone();
        }
        let device: Arc<str> = name.into();
        if known.len() < MOST_DEVICES {
            known.insert(device.clone());
        }
        device
    }
}
