#![doc = include_str!("DESIGN.md")]

mod begin_anew;
mod follower;
mod lease;
mod memory;
mod question;
mod reach;
mod strangers;
mod watch;

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::follower::Follower;
use self::lease::Lease;
use self::memory::Memory;
pub use self::question::Unreached;
use self::question::{Questions, Reply};
pub use self::reach::Reach;
use self::strangers::Strangers;
use self::watch::Watch;
use crate::clock::Clock;
use crate::model::{SessionId, TokenHash, UserId};
use crate::session::{Session, Sessions};
use crate::shutdown::Shutdown;
use crate::store::{Card, Mark, NodeRow, Store, StoreError, Wanted};

/// This node among the others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster(Option<Arc<Node>>);

#[derive(Debug)]
struct Node {
    store: Store,
    sessions: Sessions,
    clock: Clock,
    /// `None` for a command that only looks and never serves.
    card: Option<Card>,
    lease: Lease,
    watch: Mutex<Watch>,
    questions: Questions,
    strangers: Strangers,
    /// There may be something new.
    hint: Notify,
    /// The follower has a new line.
    reconnected: Notify,
    state: State,
    follow: Shutdown,
}

/// What there is to tell about this node.
#[derive(Debug, Default)]
struct State {
    applied: AtomicI64,
    /// The last number of the feed that was seen.
    head: AtomicI64,
    /// When the lease was last renewed, in milliseconds of the clock of sessions.
    renewed: AtomicI64,
    /// How long the store took for the last renewal, in microseconds.
    latency: AtomicI64,
    /// How many nodes may serve, as of the last look at them.
    nodes: AtomicUsize,
    /// How often everything has ended because the store was another one.
    endings: AtomicU64,
    /// Woken when a renewal has come to its end.
    renewal: Notify,
}

/// How far this node is behind, for those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Entries of the feed that were seen and not applied.
    pub lag: u64,
    /// How long ago the lease was renewed.
    pub lease_age: Duration,
    /// How long the store took for that.
    pub store_latency: Duration,
    /// Whether this node may serve those who are signed in.
    pub is_trusted: bool,
    /// How often, since its start, this node has ended everything because the store had gone back or was
    /// another one.
    pub endings: u64,
}

/// How long the first renewal is waited for.
const FIRST: Duration = Duration::from_secs(3);

impl Cluster {
    /// A gateway that has its store to itself.
    pub fn alone() -> Self {
        Self(None)
    }

    /// Joins the nodes of a shared store, as one that serves. Returns when the table may be believed,
    /// or when that takes too long; then requests are refused until it may.
    ///
    /// # Errors
    /// [`StoreError`] when the store can't be asked.
    pub async fn join(
        store: &Store,
        sessions: &Sessions,
        max_staleness: Duration,
        data_dir: &Path,
    ) -> Result<Self, StoreError> {
        if !store.is_shared() {
            return Ok(Self::alone());
        }
        let card = lease::card(store, max_staleness, data_dir).await?;
        let node = Node::new(store, sessions, Some(card), max_staleness);
        let (memory, mark) = Memory::of(data_dir);
        Ok(Self::follow(node, memory, mark, FIRST).await)
    }

    /// Looks at a shared store from outside, for one command. Nothing can be changed in one that is another
    /// than it was before everything in it has ended, so that is waited for.
    pub async fn visit(store: &Store, sessions: &Sessions, max_staleness: Duration) -> Self {
        if !store.is_shared() {
            return Self::alone();
        }
        let node = Node::new(store, sessions, None, max_staleness);
        Self::follow(node, Memory::none(), None, FIRST + max_staleness).await
    }

    /// Begins to follow the feed, and waits for the first renewal, at the longest for so long.
    async fn follow(
        node: Arc<Node>,
        memory: Memory,
        mark: Option<Mark>,
        patience: Duration,
    ) -> Self {
        let first = node.state.renewal.notified();
        let follower = Follower::new(node.clone(), memory, mark);
        node.follow.spawn(follower.run());
        node.follow
            .spawn(lease::keep_watch_over_trust(node.clone()));
        node.follow.spawn(follower::listen(node.clone()));
        let _ = tokio::time::timeout(patience, first).await;
        Self(Some(node.clone()))
    }

    /// Whether there are no other nodes.
    pub fn is_alone(&self) -> bool {
        self.0.is_none()
    }

    /// How many nodes may serve, as of the last look at them; without a store nobody can look again.
    pub fn known_nodes(&self) -> usize {
        let node = self.0.as_ref();
        let known = node.map_or(1, |node| node.state.nodes.load(Ordering::Relaxed));
        known.max(1)
    }

    /// Leaves the others, once nothing is served any more.
    pub async fn leave(&self) {
        let Some(node) = &self.0 else { return };
        node.follow.begin();
        node.follow.finished_within(FIRST).await;
        if let Some(card) = &node.card
            && let Err(fault) = node.store.forget_node(&card.id).await
        {
            tracing::warn!(%fault, "the other nodes wait until the lease of this one has run out");
        }
    }

    /// Brings the session of a token from the store, if it lives there; `None` if it does not.
    ///
    /// # Errors
    /// [`Unreached`] when that can't be told; so for everything that is brought.
    pub async fn session(&self, token: TokenHash) -> Result<Option<Arc<Session>>, Unreached> {
        let Some(node) = &self.0 else { return Ok(None) };
        if !node.strangers.knows(&token) {
            node.questions.ask(Wanted::Tokens(vec![token])).await?;
        }
        Ok(node.sessions.find(&token, node.clock.now()).ok())
    }

    /// Whether it is worth asking the store: said at once to whoever would wait for it in vain.
    ///
    /// # Errors
    /// [`Unreached::Store`] while the table is not to be believed.
    pub fn hears_from_the_store(&self) -> Result<(), Unreached> {
        match &self.0 {
            Some(node) if !node.sessions.is_trusted(node.clock.now()) => Err(Unreached::Store),
            _ => Ok(()),
        }
    }

    /// Brings every session of a user.
    pub async fn bring_user(&self, user: UserId) -> Result<(), Unreached> {
        self.bring(Wanted::User(user)).await
    }

    /// Brings the session of this public name.
    pub async fn bring_id(&self, id: SessionId) -> Result<(), Unreached> {
        self.bring(Wanted::Id(id)).await
    }

    /// Brings all sessions there are.
    pub async fn bring_all(&self) -> Result<(), Unreached> {
        self.bring(Wanted::After(None, AT_ONCE)).await
    }

    async fn bring(&self, wanted: Wanted) -> Result<(), Unreached> {
        match &self.0 {
            Some(node) => node.questions.ask(wanted).await,
            None => Ok(()),
        }
    }

    /// Every node that there is a row of, and whether it may serve as far as this one has watched.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn nodes(&self) -> Result<Vec<(NodeRow, bool)>, StoreError> {
        let Some(node) = &self.0 else {
            return Ok(Vec::new());
        };
        let rows = node.store.nodes().await?;
        let now = node.clock.now();
        let mut watch = node.watch();
        let may_serve = |row: NodeRow| {
            let is_alive = watch.may_serve(&row, now);
            (row, is_alive)
        };
        Ok(rows.into_iter().map(may_serve).collect())
    }

    /// Where this node stands; `None` for a gateway that has its store to itself.
    pub fn standing(&self) -> Option<Standing> {
        let node = self.0.as_ref()?;
        let read = |value: &AtomicI64| value.load(Ordering::Relaxed);
        let now = node.clock.now();
        let renewed = crate::clock::Timestamp::from_millis(read(&node.state.renewed));
        let behind = read(&node.state.head).saturating_sub(read(&node.state.applied));
        let micros = u64::try_from(read(&node.state.latency)).unwrap_or(0);
        Some(Standing {
            lag: u64::try_from(behind).unwrap_or(0),
            lease_age: now.since(renewed),
            store_latency: Duration::from_micros(micros),
            is_trusted: now < node.sessions.trusted_until(),
            endings: node.state.endings.load(Ordering::Relaxed),
        })
    }
}

impl Node {
    fn new(
        store: &Store,
        sessions: &Sessions,
        card: Option<Card>,
        max_staleness: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            sessions: sessions.clone(),
            clock: store.clock().clone(),
            card,
            lease: Lease::of(max_staleness),
            watch: Mutex::default(),
            questions: Questions::default(),
            strangers: Strangers::default(),
            hint: Notify::new(),
            reconnected: Notify::new(),
            state: State::default(),
            follow: Shutdown::new(),
        })
    }

    /// Notes the beats of all of them, whose rows were just read.
    fn watched(&self, rows: &[NodeRow]) {
        let now = self.clock.now();
        let mut watch = self.watch();
        let alive = rows.iter().filter(|row| watch.may_serve(row, now)).count();
        watch.keep(rows);
        self.state.nodes.store(alive, Ordering::Relaxed);
    }

    /// A panic while holding the lock leaves the watch whole, so poisoning tells nothing.
    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many sessions are brought at once, where all of them are.
const AT_ONCE: u32 = 5000;
