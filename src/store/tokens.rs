//! Management tokens as they are kept: looked up by their hash, listed, and when they were last used.

use ipnet::IpNet;

use super::read::read_as;
use super::statement::sql;
use super::{Store, StoreError, failed};
use crate::clock::Timestamp;
use crate::model::Scope;

/// A management token, without the token.
#[derive(Debug)]
pub struct ManagementToken {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// `None` for one that was made to last.
    pub expires: Option<Timestamp>,
    /// From where it may be used; from anywhere when there are none.
    pub networks: Vec<IpNet>,
    /// To some minutes.
    pub last_used: Option<Timestamp>,
    /// Until when the secret from before the last rotation is good.
    pub former_ends: Option<Timestamp>,
    /// Whether it was told that it runs out soon.
    pub announced: bool,
}

type Row = (
    String,
    String,
    Option<i64>,
    String,
    Option<i64>,
    Option<i64>,
    bool,
);

impl Store {
    /// The management token of this hash, also when it has expired. By its former secret it is found
    /// with the end of that.
    ///
    /// # Errors
    /// [`StoreError::Failed`], [`StoreError::Unreadable`]; so for everything here.
    pub async fn token(&self, hash: &[u8; 32]) -> Result<Option<ManagementToken>, StoreError> {
        let row: Option<Row> = sql("SELECT name, scopes,
                 CASE WHEN hash = $1 THEN expires ELSE coalesce(former_ends, 0) END,
                 networks, last_used, former_ends, announced
             FROM tokens WHERE hash = $1 OR former_hash = $1")
        .bind(hash.as_slice())
        .maybe(&self.engine)
        .await
        .map_err(failed("looking up a token"))?;
        row.map(token).transpose()
    }

    /// Every management token, by name, also those that have expired.
    pub async fn tokens(&self) -> Result<Vec<ManagementToken>, StoreError> {
        let rows: Vec<Row> = sql(
            "SELECT name, scopes, expires, networks, last_used, former_ends, announced
             FROM tokens ORDER BY name",
        )
        .all(&self.engine)
        .await
        .map_err(failed("listing tokens"))?;
        rows.into_iter().map(token).collect()
    }

    /// Writes when tokens were last used, by their hashes. Another node may know of a later use.
    pub async fn tokens_were_used(&self, uses: &[([u8; 32], Timestamp)]) -> Result<(), StoreError> {
        for (hash, at) in uses {
            sql("UPDATE tokens SET last_used = $2
                 WHERE (hash = $1 OR former_hash = $1) AND (last_used IS NULL OR last_used < $2)")
            .bind(hash.as_slice())
            .bind(at.millis())
            .run(self.engine.writer())
            .await
            .map_err(failed("writing when tokens were used"))?;
        }
        Ok(())
    }
}

fn token(row: Row) -> Result<ManagementToken, StoreError> {
    let (name, scopes, expires, networks, last_used, former_ends, announced) = row;
    let each = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    Ok(ManagementToken {
        name,
        scopes: each(&scopes)
            .iter()
            .map(|scope| read_as(scope))
            .collect::<Result<_, _>>()?,
        expires: expires.map(Timestamp::from_millis),
        networks: each(&networks)
            .iter()
            .map(|network| read_as(network))
            .collect::<Result<_, _>>()?,
        last_used: last_used.map(Timestamp::from_millis),
        former_ends: former_ends.map(Timestamp::from_millis),
        announced,
    })
}
