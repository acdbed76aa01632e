//! Who may serve: the rows of the nodes, and how many connections they have closed.

use super::change::ENDED_KEPT;
use super::feed::{FeedNumber, Line, Tag, Told};
use super::statement::{On, sql};
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;

/// The name of one process that serves; a new start is a new node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeId(pub String);

/// What a node says about itself.
#[derive(Debug, Clone)]
pub struct Card {
    pub id: NodeId,
    /// For people: the machine it runs on.
    pub name: String,
    /// Of the program.
    pub version: String,
    pub started: Timestamp,
    /// In milliseconds; the others wait as long before they take it for dead.
    pub lease: i64,
}

/// A node as the store has it.
#[derive(Debug, Clone)]
pub struct NodeRow {
    pub id: NodeId,
    pub name: String,
    pub version: String,
    pub started: Timestamp,
    /// When its lease was last renewed, for people.
    pub seen: Timestamp,
    /// Raised with every renewal.
    pub beat: i64,
    pub applied: FeedNumber,
    /// In milliseconds.
    pub lease: i64,
}

/// How many entries of the feed are kept. A node that was away for more begins anew.
const KEPT: i64 = 100_000;

/// In milliseconds; longer than any cookie of a device lives.
const DEVICES_KEPT: i64 = 91 * 24 * 60 * 60 * 1000;

type Row = (String, String, String, i64, i64, i64, i64, i64);

/// The tag of an entry, and a node if there is one.
type After = (
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// Every node. A macro, since a statement has to be one literal.
macro_rules! nodes {
    () => {
        "SELECT id, name, version, started, seen, beat, applied, lease FROM nodes ORDER BY name, id"
    };
}

/// One statement that forgets, if no other node is at it. A macro, since a statement has to be one
/// literal.
macro_rules! forget {
    ($table:literal, $condition:literal) => {
        concat!(
            "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(8094321764022) AS mine)
             DELETE FROM ",
            $table,
            " USING turn WHERE mine AND ",
            $condition
        )
    };
}

impl Store {
    /// Every node that there is a row of; none for the embedded store.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let Some(pool) = self.pool() else {
            return Ok(Vec::new());
        };
        nodes(On::PostgresPool(pool)).await
    }

    /// Every node, looked at after this entry was written; `None` where the store does not know of it any
    /// more: then it is another one, and its list tells nothing about who worked with the former.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn nodes_after(&self, told: Told) -> Result<Option<Vec<NodeRow>>, StoreError> {
        let Some(pool) = self.pool() else {
            return Ok(Some(Vec::new()));
        };
        // One statement, so that both are from one server.
        let rows: Vec<After> = sql(
            "SELECT (SELECT tag FROM feed WHERE seq = $1), id, name, version, started, seen, beat,
                    applied, lease
             FROM head LEFT JOIN nodes ON TRUE",
        )
        .bind(told.number.0)
        .all(On::PostgresPool(pool))
        .await
        .map_err(failed("reading the nodes"))?;
        let is_there = |(tag, ..): &After| tag.map(Tag) == told.tag;
        if !rows.first().is_some_and(is_there) {
            return Ok(None);
        }
        let rows = rows.into_iter().filter_map(
            |(_, id, name, version, started, seen, beat, applied, lease)| {
                Some(node((
                    id?, name?, version?, started?, seen?, beat?, applied?, lease?,
                )))
            },
        );
        Ok(Some(rows.collect()))
    }

    /// How many connections the nodes have closed for an entry.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn closed_for(&self, number: FeedNumber) -> Result<i64, StoreError> {
        let (closed,): (Option<i64>,) =
            sql("SELECT sum(closed)::bigint FROM closings WHERE seq = $1")
                .bind(number.0)
                .one(&self.engine)
                .await
                .map_err(failed("counting closed connections"))?;
        Ok(closed.unwrap_or(0))
    }

    /// Takes the row of a node away whose beat has stood still at this number for very long. If it beats
    /// at this moment, the row stays: a node that trusts its table without one would not be waited for.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn forget_node_at(&self, id: &NodeId, beat: i64) -> Result<(), StoreError> {
        let forgotten = sql("DELETE FROM nodes WHERE id = $1 AND beat = $2")
            .bind(&id.0)
            .bind(beat)
            .run(self.engine.writer())
            .await;
        forgotten.map(drop).map_err(failed("forgetting a node"))
    }

    /// Takes the row of a node away that is known to have ended.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn forget_node(&self, id: &NodeId) -> Result<(), StoreError> {
        let forgotten = sql("DELETE FROM nodes WHERE id = $1")
            .bind(&id.0)
            .run(self.engine.writer())
            .await;
        forgotten.map(drop).map_err(failed("leaving the nodes"))
    }
}

impl Line {
    /// Renews the lease, and looks at the nodes as they were before it. On disk when it returns: no
    /// crash of the server takes it back.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; so for everything here.
    pub async fn beat(
        &mut self,
        card: &Card,
        beat: i64,
        applied: FeedNumber,
    ) -> Result<Vec<NodeRow>, StoreError> {
        let rows = sql(concat!(
            "WITH beat AS (
                 INSERT INTO nodes (id, name, version, started, seen, beat, applied, lease)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, beat = excluded.beat,
                     applied = excluded.applied, lease = excluded.lease) ",
            nodes!()
        ))
        .bind(&card.id.0)
        .bind(&card.name)
        .bind(&card.version)
        .bind(card.started.millis())
        .bind(self.store.clock.now().millis())
        .bind(beat)
        .bind(applied.0)
        .bind(card.lease)
        .all(&mut self.connection)
        .await
        .map_err(failed("renewing the lease"))?;
        Ok(rows.into_iter().map(node).collect())
    }

    /// Says up to where the feed was applied, and what was closed for it. No renewal.
    pub async fn report(
        &mut self,
        node: &NodeId,
        applied: FeedNumber,
        closings: Vec<(FeedNumber, i64)>,
    ) -> Result<(), StoreError> {
        let doing = "reporting what was applied";
        let (seqs, closed): (Vec<_>, Vec<_>) = closings
            .into_iter()
            .map(|(number, closed)| (number.0, closed))
            .unzip();
        // What a crash of the server forgets of this is said again with the next renewal.
        sql(
            "WITH quick AS (SELECT set_config('synchronous_commit', 'off', TRUE)),
                  closing AS (INSERT INTO closings (seq, node, closed)
                      SELECT seq, $1, closed FROM quick, unnest($3, $4) AS each (seq, closed)
                      ON CONFLICT (seq, node) DO NOTHING)
             UPDATE nodes SET applied = $2 FROM quick WHERE id = $1 AND applied < $2",
        )
        .bind(&node.0)
        .bind(applied.0)
        .bind(seqs)
        .bind(closed)
        .run(&mut self.connection)
        .await
        .map(drop)
        .map_err(failed(doing))
    }

    /// Every node that there is a row of.
    pub async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreError> {
        nodes((&mut self.connection).into()).await
    }

    /// Forgets what nobody asks for any more, before `head`.
    pub async fn tidy(&mut self, head: FeedNumber) -> Result<(), StoreError> {
        let now = self.store.clock.now().millis();
        let old = head.0.saturating_sub(KEPT);
        for (statement, bound) in [
            (forget!("closings", "seq <= $1"), old),
            (forget!("feed", "seq <= $1"), old),
            (
                // A row of failures goes on after its window.
                forget!(
                    "guesses",
                    "window_ends < $1
                     AND (in_a_row = 0 OR key NOT LIKE 'name/%' AND key NOT LIKE 'device/%')"
                ),
                now,
            ),
            (
                forget!("guesses", "window_ends < $1 AND key LIKE 'device/%'"),
                now.saturating_sub(DEVICES_KEPT),
            ),
            (
                forget!("ended_sessions", "at < $1"),
                self.store.clock.now().minus(ENDED_KEPT).millis(),
            ),
            (
                // As `Store::forget_sign_ins`.
                forget!(
                    "sign_ins",
                    "(ends <= $1 OR generation <> (SELECT generation FROM users WHERE id = user_id))"
                ),
                now,
            ),
        ] {
            sql(statement)
                .bind(bound)
                .run(&mut self.connection)
                .await
                .map_err(failed("forgetting what is over"))?;
        }
        Ok(())
    }
}

async fn nodes(on: On<'_>) -> Result<Vec<NodeRow>, StoreError> {
    let rows = sql(nodes!()).all(on).await;
    let rows = rows.map_err(failed("reading the nodes"))?;
    Ok(rows.into_iter().map(node).collect())
}

fn node((id, name, version, started, seen, beat, applied, lease): Row) -> NodeRow {
    NodeRow {
        id: NodeId(id),
        name,
        version,
        started: Timestamp::from_millis(started),
        seen: Timestamp::from_millis(seen),
        beat,
        applied: FeedNumber(applied),
        lease,
    }
}
