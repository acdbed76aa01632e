//! Which nodes may serve, told by watching them: nobody's clock but our own is asked.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::{NodeId, NodeRow};

/// The last beat of each node, and since when it was seen.
#[derive(Debug, Default)]
pub(super) struct Watch(HashMap<NodeId, (i64, Timestamp)>);

impl Watch {
    /// Whether the node may serve at `now`, a moment after its row was read: its beat has not stood
    /// still for a whole lease.
    pub(super) fn may_serve(&mut self, row: &NodeRow, now: Timestamp) -> bool {
        let seen = self.0.entry(row.id.clone()).or_insert((row.beat, now));
        if seen.0 != row.beat {
            *seen = (row.beat, now);
        }
        now.since(seen.1) < lease_of(row)
    }

    /// Since when the node's beat has stood still.
    pub(super) fn since(&self, id: &NodeId) -> Option<Timestamp> {
        self.0.get(id).map(|(_, since)| *since)
    }

    /// For how long the node's beat has stood still.
    pub(super) fn still_for(&self, id: &NodeId, now: Timestamp) -> Duration {
        let since = self.since(id);
        since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Forgets what was seen: the store may be another one, with rows from before.
    pub(super) fn begin_anew(&mut self) {
        self.0.clear();
    }

    /// Forgets nodes that there is no row of any more.
    pub(super) fn keep(&mut self, rows: &[NodeRow]) {
        self.0.retain(|id, _| rows.iter().any(|row| row.id == *id));
    }
}

/// So long its beat has to stand still.
pub(super) fn lease_of(row: &NodeRow) -> Duration {
    Duration::from_millis(u64::try_from(row.lease).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::FeedNumber;

    fn row(id: &str, beat: i64) -> NodeRow {
        NodeRow {
            id: NodeId(id.to_owned()),
            name: "a".to_owned(),
            version: "1".to_owned(),
            started: Timestamp::from_millis(0),
            seen: Timestamp::from_millis(0),
            beat,
            applied: FeedNumber::NONE,
            lease: 5000,
        }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_node_is_dead_when_its_beat_has_stood_still_for_a_lease_and_not_before() {
        let mut watch = Watch::default();
        assert!(watch.may_serve(&row("a", 7), at(1_000_000)), "first seen");
        assert!(watch.may_serve(&row("a", 7), at(1_004_999)));
        assert!(!watch.may_serve(&row("a", 7), at(1_005_000)));
        assert!(
            watch.may_serve(&row("a", 8), at(1_006_000)),
            "it moves again"
        );
        assert!(watch.may_serve(&row("a", 8), at(1_010_999)));
        watch.begin_anew();
        assert!(watch.may_serve(&row("a", 8), at(2_000_000)), "seen anew");
    }

    #[test]
    fn a_beat_that_goes_back_is_a_beat() {
        let mut watch = Watch::default();
        assert!(watch.may_serve(&row("a", 7), at(0)));
        assert!(watch.may_serve(&row("a", 3), at(6000)));
    }
}
