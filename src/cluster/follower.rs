//! The task that follows the feed: it renews the lease, applies what was ended, and brings sessions
//! from the store between two readings of the feed. One task, so that these never overlap.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::memory::Memory;
use super::question::Question;
use super::{AT_ONCE, Node, Reply, Unreached};
use crate::clock::Timestamp;
use crate::session::{CutReason, Session};
use crate::store::{Entry, FeedNumber, Line, Mark, Origin, StoreError, Subject, Tag, Wanted};

/// Follows the feed for one node.
pub(super) struct Follower {
    pub(super) node: Arc<Node>,
    pub(super) applied: FeedNumber,
    /// Of the entry that was applied last.
    pub(super) tag: Option<Tag>,
    /// The store whose feed this is.
    pub(super) origin: Option<Origin>,
    pub(super) memory: Memory,
    /// The other store that it found, and since when.
    pub(super) noticed: Option<(Origin, Timestamp)>,
    /// This node has begun the feed again and logged that; it has not applied the feed's entry of it yet.
    pub(super) knows_of_the_beginning: bool,
    /// The number that the others know of.
    reported: FeedNumber,
    /// Connections that were closed for entries since the last report.
    closings: Vec<(FeedNumber, i64)>,
    beat: i64,
    /// When the next renewal is due.
    renewal: Timestamp,
    tidied: Instant,
    /// It knows where in the feed it began.
    pub(super) has_begun: bool,
}

/// How many tokens are asked for in one statement.
const TOKENS: usize = 500;

/// Pauses between tries to reach the store: each about twice the one before, never in step with those
/// of other nodes.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked at what nobody needs any more.
const TIDY: Duration = Duration::from_secs(60);

/// A node whose beat has stood still for so long is taken off the list.
const GONE: Duration = Duration::from_secs(10 * 60);

impl Follower {
    pub(super) fn new(node: Arc<Node>, memory: Memory, mark: Option<Mark>) -> Self {
        let (applied, tag) = mark
            .as_ref()
            .map_or((FeedNumber::NONE, None), |mark| (mark.number, mark.tag));
        Self {
            node,
            applied,
            tag,
            origin: mark.map(|mark| mark.origin),
            memory,
            noticed: None,
            knows_of_the_beginning: false,
            reported: FeedNumber::NONE,
            closings: Vec::new(),
            beat: 0,
            renewal: Timestamp::from_millis(i64::MIN),
            tidied: Instant::now(),
            has_begun: false,
        }
    }

    /// Until the node leaves.
    pub(super) async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut is_lost = false;
        while !self.node.follow.has_begun() {
            let lost = match self.connect().await {
                Ok(mut line) => {
                    if std::mem::take(&mut is_lost) {
                        tracing::info!("the store is followed again");
                    }
                    pause = FIRST_PAUSE;
                    let lost = self.follow(&mut line).await;
                    if lost.is_ok() {
                        line.close().await;
                        return;
                    }
                    lost
                }
                Err(fault) => Err(fault),
            };
            match lost {
                // Said once, however long it takes.
                Err(fault) if std::mem::replace(&mut is_lost, true) => {
                    tracing::debug!(%fault, "the store can't be followed yet");
                }
                Err(fault) => tracing::warn!(%fault, "the store can't be followed; trying again"),
                Ok(()) => {}
            }
            // As many as wait are told at once, and not after a time that does not help them.
            self.turn_away(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connect(&mut self) -> Result<Line, StoreError> {
        let line = self.node.store.line().await?;
        let mut line = line.ok_or(StoreError::NotEmbedded("it has no other nodes"))?;
        self.node.watch().begin_anew();
        self.is_the_same_store(&mut line).await?;
        self.renewal = Timestamp::from_millis(i64::MIN);
        self.node.reconnected.notify_one();
        Ok(line)
    }

    /// Answers everybody for so long that the store can't be reached.
    async fn turn_away(&self, pause: Duration) {
        // Longer by chance, so that not all nodes come back in step.
        let jitter = pause.mul_f64(f64::from(crate::secret::random_bytes::<1>()[0]) / 512.0);
        let until = tokio::time::Instant::now() + pause + jitter;
        let mut queue = self.node.questions.queue.lock().await;
        while let Ok(Some(question)) = tokio::time::timeout_at(until, queue.recv()).await {
            let _ = question.reply.send(Err(Unreached::Store));
        }
    }

    /// Until the line is lost, or the node leaves.
    async fn follow(&mut self, line: &mut Line) -> Result<(), StoreError> {
        let node = self.node.clone();
        let mut queue = node.questions.queue.lock().await;
        loop {
            let now = node.clock.now();
            if now >= self.renewal {
                self.renew(line, now).await?;
            } else {
                self.catch_up(line).await?;
                self.report(line).await?;
            }
            if self.tidied.elapsed() > TIDY {
                self.tidy(line).await?;
            }
            let wait = self.renewal.since(node.clock.now());
            let mut questions = Vec::new();
            tokio::select! {
                () = node.follow.begun() => return Ok(()),
                () = node.hint.notified() => {}
                _ = queue.recv_many(&mut questions, TOKENS) => {}
                () = tokio::time::sleep(wait) => {}
            }
            if !questions.is_empty() {
                self.bring(line, questions).await?;
            }
        }
    }

    /// The steps are those of the protocol, in its order.
    async fn renew(&mut self, line: &mut Line, begun: Timestamp) -> Result<(), StoreError> {
        let node = self.node.clone();
        let asked = Instant::now();
        let rows = match &node.card {
            Some(card) => {
                self.beat += 1;
                line.beat(card, self.beat, self.applied).await?
            }
            None => line.nodes().await?,
        };
        let latency = i64::try_from(asked.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.catch_up(line).await?;
        node.sessions.trust_until(begun.plus(node.lease.trust));
        node.state.latency.store(latency, Ordering::Relaxed);
        node.state.renewed.store(begun.millis(), Ordering::Relaxed);
        node.state.renewal.notify_waiters();
        self.renewal = begun.plus(node.lease.renewal);
        node.watched(&rows);
        self.report(line).await
    }

    /// Reads the feed to its end, and applies it.
    async fn catch_up(&mut self, line: &mut Line) -> Result<(), StoreError> {
        loop {
            let feed = line.feed(self.applied).await?;
            self.node
                .state
                .head
                .store(feed.head.number(), Ordering::Relaxed);
            if !feed.home.is_its_own() || self.origin.as_ref() != Some(&feed.home.here) {
                // Without a new line: a dump was read back, or something in between leads elsewhere.
                self.is_the_same_store(line).await?;
                continue;
            }
            if !self.has_begun {
                // Nothing is in the table yet that could have been ended.
                self.has_begun = true;
                self.jump_to(line, feed.head).await?;
                continue;
            }
            let known = feed.entries.iter().find(|one| one.number == self.applied);
            let is_other = known.is_some_and(|known| self.tag.is_some_and(|tag| tag != known.tag));
            if feed.head < self.applied || is_other {
                self.is_the_same_store(line).await?;
                continue;
            }
            let mut entries = feed.entries.into_iter();
            let mut next = entries.find(|entry| self.applied < entry.number);
            let is_whole = next
                .as_ref()
                .is_some_and(|next| self.applied.is_followed_by(next.number));
            if self.applied < feed.head && !is_whole {
                // It was away for so long that entries are forgotten: everything is brought anew.
                tracing::warn!("this node was away for too long, and forgets what it knew");
                self.forget_all(CutReason::CannotBeTold);
                self.jump_to(line, feed.head).await?;
                continue;
            }
            while let Some(entry) = next {
                self.apply(line, &entry).await?;
                (self.applied, self.tag) = (entry.number, Some(entry.tag));
                next = entries.next();
            }
            let applied = self.applied.number();
            self.node.state.applied.store(applied, Ordering::Relaxed);
            if self.applied >= feed.head {
                if let Some(mark) = self.mark() {
                    self.memory.keep(&mark);
                }
                return Ok(());
            }
        }
    }

    /// Goes on after this entry, with a table in which nothing is that it or those before it ended.
    async fn jump_to(&mut self, line: &mut Line, number: FeedNumber) -> Result<(), StoreError> {
        (.., self.tag) = line.home(number).await?;
        self.applied = number;
        Ok(())
    }

    async fn apply(&mut self, line: &mut Line, entry: &Entry) -> Result<(), StoreError> {
        let sessions = &self.node.sessions;
        let ended: Vec<_> = match &entry.subject {
            Subject::User(user, generation) => sessions.raise(*user, *generation),
            Subject::Session(token) => sessions.remove(token).into_iter().collect(),
            Subject::Replaced(token, until) => {
                sessions.end_by(token, *until);
                Vec::new()
            }
            Subject::Everybody => self.raise_everybody(line).await?,
            Subject::BegunAnew => {
                let mut ended = self.raise_everybody(line).await?;
                ended.extend(self.everything_has_ended());
                ended
            }
        };
        let open: usize = ended.iter().map(|session| session.open_exchanges()).sum();
        if open > 0 {
            self.closings
                .push((entry.number, i64::try_from(open).unwrap_or(i64::MAX)));
        }
        self.cut(ended);
        Ok(())
    }

    /// Everybody's generation has to be known here, also of those without a session: one may be about to
    /// enter the table.
    async fn raise_everybody(&self, line: &mut Line) -> Result<Vec<Arc<Session>>, StoreError> {
        let raised = line.generations().await?.into_iter();
        let sessions = &self.node.sessions;
        Ok(raised
            .flat_map(|(user, generation)| sessions.raise(user, generation))
            .collect())
    }

    /// Forgets the whole table: what is asked for next is brought anew.
    pub(super) fn forget_all(&self, reason: CutReason) {
        self.cut(self.node.sessions.forget_all(reason));
    }

    fn cut(&self, ended: Vec<Arc<Session>>) {
        if !ended.is_empty() {
            let sessions = self.node.sessions.clone();
            // Nobody waits for it here: they are told to end, and lose their connections after that.
            self.node
                .follow
                .spawn(async move { sessions.cut(&ended).await });
        }
    }

    async fn report(&mut self, line: &mut Line) -> Result<(), StoreError> {
        let Some(card) = &self.node.card else {
            return Ok(());
        };
        if self.reported < self.applied {
            let closings = std::mem::take(&mut self.closings);
            line.report(&card.id, self.applied, closings).await?;
            self.reported = self.applied;
        }
        Ok(())
    }

    /// Brings what is asked for, and tells those who asked.
    async fn bring(&mut self, line: &mut Line, asked: Vec<Question>) -> Result<(), StoreError> {
        let (mut tokens, mut waiting) = (HashSet::new(), Vec::<Reply>::new());
        for question in asked {
            if let Wanted::Tokens(asked) = question.wanted {
                tokens.extend(asked);
                waiting.push(question.reply);
                continue;
            }
            let brought = self.bring_each(line, question.wanted).await;
            let told = brought.as_ref().map(drop).map_err(|_| Unreached::Store);
            let _ = question.reply.send(told);
            brought?;
        }
        if tokens.is_empty() {
            return Ok(());
        }
        // What somebody signed in for meanwhile, or was asked for twice, is here already: it is
        // asked for all the same, as another node may have seen it later.
        let wanted = Wanted::Tokens(tokens.iter().copied().collect());
        let found = line.sessions(&wanted).await;
        let told = found.as_ref().map(drop).map_err(|_| Unreached::Store);
        for (record, user) in found.as_deref().unwrap_or_default() {
            tokens.remove(&record.token);
            self.node.sessions.learn(record, user.clone());
        }
        if found.is_ok() {
            tokens
                .into_iter()
                .for_each(|token| self.node.strangers.note(token));
        }
        for reply in waiting {
            let _ = reply.send(told);
        }
        found.map(drop)
    }

    async fn bring_each(&mut self, line: &mut Line, wanted: Wanted) -> Result<(), StoreError> {
        let mut wanted = wanted;
        loop {
            let found = line.sessions(&wanted).await?;
            let last = found.last().map(|(record, _)| record.token);
            for (record, user) in found {
                self.node.sessions.learn(&record, user);
            }
            match (&wanted, last) {
                (Wanted::After(..), Some(last)) => wanted = Wanted::After(Some(last), AT_ONCE),
                _ => return Ok(()),
            }
            // What is ended meanwhile must not wait until all of them are here.
            self.catch_up(line).await?;
            self.report(line).await?;
        }
    }

    async fn tidy(&mut self, line: &mut Line) -> Result<(), StoreError> {
        self.tidied = Instant::now();
        line.tidy(self.applied).await?;
        let rows = line.nodes().await?;
        let now = self.node.clock.now();
        self.node.watched(&rows);
        for row in rows {
            let still = self.node.watch().still_for(&row.id, now);
            if still > GONE {
                self.node.store.forget_node_at(&row.id, row.beat).await?;
            }
        }
        Ok(())
    }
}

/// Listens for hints, until the node leaves. A hint that is missed costs no more than time.
pub(super) async fn listen(node: Arc<Node>) {
    while !node.follow.has_begun() {
        let listening = async {
            let Some(mut ear) = node.store.listen().await? else {
                return Ok::<(), StoreError>(());
            };
            loop {
                ear.hint().await?;
                node.hint.notify_one();
            }
        };
        tokio::select! {
            lost = listening => {
                if let Err(fault) = lost {
                    tracing::debug!(%fault, "no hints are heard from the store; trying again");
                }
                tokio::time::sleep(FIRST_PAUSE).await;
            }
            // What listens may be half open, which nobody who only listens finds out.
            () = node.reconnected.notified() => {}
            () = node.follow.begun() => {}
        }
    }
}
