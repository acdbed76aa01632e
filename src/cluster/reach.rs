//! Waiting until what was ended is ended everywhere.

use std::time::Duration;

use super::watch::lease_of;
use super::{Cluster, Node};
use crate::store::{FeedNumber, NodeRow};

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

    /// Waits until every node that may serve has applied the feed up to `number`, which is committed.
    /// A node that does not say so is waited for until it may not serve any more.
    pub async fn in_force(&self, number: FeedNumber) -> Reach {
        match &self.0 {
            Some(node) => node.in_force(number).await,
            None => Reach {
                nodes: 1,
                unreached: 0,
                closed: 0,
            },
        }
    }
}

impl Node {
    async fn in_force(&self, number: FeedNumber) -> Reach {
        let begun = self.clock.now();
        let mut pause = FIRST_PAUSE;
        let (mut rows, mut longest) = (Vec::new(), self.lease.length);
        loop {
            match self.store.nodes().await {
                Ok(read) => {
                    rows = read;
                    longest = rows.iter().map(lease_of).fold(longest, Duration::max);
                    let (nodes, missing) = self.judge(&rows, number);
                    if missing == 0 {
                        let closed = self.store.closed_for(number).await.unwrap_or(0);
                        return Reach {
                            nodes,
                            unreached: 0,
                            closed: usize::try_from(closed).unwrap_or(0),
                        };
                    }
                }
                Err(fault) => tracing::warn!(%fault, "can't see how far a revocation has come"),
            }
            if self.clock.now().since(begun) > longest + AFTERWARDS {
                let (nodes, missing) = self.judge(&rows, number);
                return Reach {
                    nodes,
                    // Without a look at them nothing is known of any.
                    unreached: missing.max(usize::from(rows.is_empty())),
                    closed: 0,
                };
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// How many nodes may serve, and how many of these have not applied the number.
    fn judge(&self, rows: &[NodeRow], number: FeedNumber) -> (usize, usize) {
        // After the reading: no beat is taken for older than it is by this.
        let now = self.clock.now();
        let mut watch = self.watch();
        let alive: Vec<_> = rows
            .iter()
            .filter(|row| watch.may_serve(row, now))
            .collect();
        let missing = alive.iter().filter(|row| row.applied < number).count();
        (alive.len(), missing)
    }
}
