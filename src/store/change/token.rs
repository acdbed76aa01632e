//! Changes of management tokens.

use ipnet::IpNet;

use super::{Change, Desk};
use crate::clock::Timestamp;
use crate::model::Scope;
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Adds a management token. [`StoreError::TokenNameTaken`] if the name exists and is not replaced.
#[derive(Debug)]
pub struct AddToken {
    pub name: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    pub scopes: Vec<Scope>,
    pub expires: Option<Timestamp>,
    /// From where it may be used; from anywhere when there are none.
    pub networks: Vec<IpNet>,
    /// Puts it in the place of the one of this name that has this hash, whose secret was never shown.
    pub replaces: Option<[u8; 32]>,
}

/// Gives a management token a new secret. The one before stays good until `former_ends`, or its own end
/// if that is earlier. [`StoreError::NoSuchToken`].
#[derive(Debug)]
pub struct RotateToken {
    pub name: String,
    /// SHA-256 of the new secret.
    pub hash: [u8; 32],
    pub expires: Option<Timestamp>,
    pub former_ends: Timestamp,
    /// The hash of a secret that an earlier rotation made and that was never shown: this one takes its place,
    /// and the one before both stays good as it was, or as long as is asked for now if that is shorter.
    pub replaces: Option<[u8; 32]>,
}

/// Notes that it was told that a token runs out soon. [`StoreError::NoSuchToken`] when that was told
/// before, by this node or another.
#[derive(Debug)]
pub struct AnnounceTokenEnd {
    pub name: String,
}

/// Takes a management token away; what is shown with it next is refused.
/// [`StoreError::NoSuchToken`].
#[derive(Debug)]
pub struct RemoveToken {
    pub name: String,
}

impl Change for AddToken {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let networks: Vec<String> = self.networks.iter().map(IpNet::to_string).collect();
        let added = sql(
            "INSERT INTO tokens (name, hash, scopes, expires, created, networks)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, scopes = excluded.scopes,
                 expires = excluded.expires, created = excluded.created,
                 networks = excluded.networks
             WHERE tokens.hash = $7",
        )
        .bind(self.name)
        .bind(self.hash.as_slice())
        .bind(scopes.join(" "))
        .bind(self.expires.map(Timestamp::millis))
        .bind(desk.now.millis())
        .bind(networks.join(" "))
        .bind(self.replaces.map(|hash| hash.to_vec()))
        .run(desk.connection())
        .await
        .map_err(failed("adding a token"))?;
        match added {
            1 => Ok(()),
            _ => Err(StoreError::TokenNameTaken),
        }
    }
}

impl Change for RotateToken {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let rotated = sql(
            "UPDATE tokens SET hash = $2, expires = $3, announced = FALSE,
                 former_hash = CASE WHEN hash = $5 THEN former_hash ELSE hash END,
                 former_ends = CASE
                     WHEN hash = $5 THEN CASE WHEN former_ends < $4 THEN former_ends ELSE $4 END
                     WHEN expires < $4 THEN expires ELSE $4 END
             WHERE name = $1",
        )
        .bind(self.name)
        .bind(self.hash.as_slice())
        .bind(self.expires.map(Timestamp::millis))
        .bind(self.former_ends.millis())
        .bind(self.replaces.map(|hash| hash.to_vec()))
        .run(desk.connection())
        .await
        .map_err(failed("rotating a token"))?;
        is_there(rotated)
    }
}

impl Change for AnnounceTokenEnd {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let noted = sql("UPDATE tokens SET announced = TRUE WHERE name = $1 AND NOT announced")
            .bind(self.name)
            .run(desk.connection())
            .await
            .map_err(failed("noting that a token runs out"))?;
        is_there(noted)
    }
}

impl Change for RemoveToken {
    type Outcome = ();

    async fn apply(self, desk: &mut Desk<'_>) -> Result<(), StoreError> {
        let removed = sql("DELETE FROM tokens WHERE name = $1")
            .bind(self.name)
            .run(desk.connection())
            .await
            .map_err(failed("removing a token"))?;
        is_there(removed)
    }
}

fn is_there(changed: u64) -> Result<(), StoreError> {
    match changed {
        1 => Ok(()),
        _ => Err(StoreError::NoSuchToken),
    }
}
