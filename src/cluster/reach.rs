//! Waiting until what was ended is ended everywhere.

use std::time::Duration;

use super::watch::lease_of;
use super::{Cluster, Node};
use crate::clock::Timestamp;
use crate::store::{FeedNumber, NodeId, NodeRow, Told};

/// How far a revocation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Nodes that may serve.
    pub nodes: usize,
    /// Those of them that are not known to have applied it.
    pub unreached: usize,
    /// Connections that they have closed for it.
    pub closed: usize,
}

/// How long the nodes are asked again after the longest lease: for the reading itself.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// The first pause between two looks at the nodes; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// What a commit takes, and the answer, beside the wait for the nodes.
const BESIDE: Duration = Duration::from_millis(400);

impl Cluster {
    /// After so long a revocation is answered, whatever has become of it; `None` for a gateway that has
    /// its store to itself, which waits for nobody.
    pub fn patience(&self) -> Option<Duration> {
        let node = self.0.as_ref()?;
        Some(node.lease.length + BESIDE)
    }

    /// Waits until every node that may serve has applied the feed up to this entry, which is committed.
    /// A node that does not say so is waited for until it may not serve any more.
    pub async fn in_force(&self, told: Told) -> Reach {
        match &self.0 {
            Some(node) => node.in_force(told).await,
            None => Reach {
                nodes: 1,
                unreached: 0,
                closed: 0,
            },
        }
    }
}

/// A node that is waited for.
#[derive(Debug)]
struct Awaited {
    id: NodeId,
    /// Since when the beat has stood that it had when the nodes were first looked at after the commit.
    since: Timestamp,
    lease: Duration,
    is_reached: bool,
}

impl Node {
    async fn in_force(&self, told: Told) -> Reach {
        let begun = self.clock.now();
        let mut pause = FIRST_PAUSE;
        let mut awaited: Option<Vec<Awaited>> = None;
        loop {
            match self.store.nodes_after(told).await {
                Ok(Some(rows)) => {
                    let awaited = awaited.get_or_insert_with(|| self.to_wait_for(&rows));
                    self.look_at(awaited, &rows, told.number);
                    if awaited.iter().all(|node| node.is_reached) {
                        let closed = self.store.closed_for(told.number).await.unwrap_or(0);
                        return Reach {
                            nodes: awaited.len(),
                            unreached: 0,
                            closed: usize::try_from(closed).unwrap_or(0),
                        };
                    }
                }
                // A node that serves by a lease of the former one may be missing in its list.
                Ok(None) => tracing::warn!(
                    "the store does not know any more of a revocation that it had acknowledged: it is another one"
                ),
                Err(fault) => tracing::warn!(%fault, "can't see how far a revocation has come"),
            }
            let longest = awaited.iter().flatten().map(|node| node.lease);
            let longest = longest.fold(self.lease.length, Duration::max);
            if self.clock.now().since(begun) > longest + AFTERWARDS {
                let missing = awaited.iter().flatten().filter(|node| !node.is_reached);
                return Reach {
                    nodes: awaited.as_ref().map_or(1, Vec::len),
                    // Without a look at them nothing is known of any.
                    unreached: awaited.as_ref().map_or(1, |_| missing.count()),
                    closed: 0,
                };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Those that may serve. Nobody who comes later, and no beat that is raised later: whoever raises
    /// one reads the feed after that, and finds the entry there before the table is trusted again.
    fn to_wait_for(&self, rows: &[NodeRow]) -> Vec<Awaited> {
        // After the reading: no beat is taken for older than it is by this.
        let now = self.clock.now();
        let mut watch = self.watch();
        let alive = rows.iter().filter(|row| watch.may_serve(row, now)).cloned();
        let alive: Vec<NodeRow> = alive.collect();
        let awaited = alive.into_iter().map(|row| Awaited {
            since: watch.since(&row.id).unwrap_or(now),
            lease: lease_of(&row),
            id: row.id,
            is_reached: false,
        });
        awaited.collect()
    }

    /// Notes who has applied the number, and strikes out who may not serve any more: whose lease has run
    /// out meanwhile, and who has left.
    fn look_at(&self, awaited: &mut Vec<Awaited>, rows: &[NodeRow], number: FeedNumber) {
        let now = self.clock.now();
        awaited.retain_mut(|node| {
            let row = rows.iter().find(|row| row.id == node.id);
            node.is_reached |= row.is_some_and(|row| number <= row.applied);
            node.is_reached || (row.is_some() && now.since(node.since) < node.lease)
        });
    }
}
