//! Changes of management tokens.

use super::{Change, Desk};
use crate::clock::Timestamp;
use crate::model::Scope;
use crate::store::statement::sql;
use crate::store::{StoreError, failed};

/// Adds a management token. [`StoreError::TokenNameTaken`] if the name exists.
#[derive(Debug)]
pub struct AddToken {
    pub name: String,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    pub scopes: Vec<Scope>,
    pub expires: Option<Timestamp>,
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
        let added = sql(
            "INSERT INTO tokens (name, hash, scopes, expires, created) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (name) DO NOTHING",
        )
        .bind(self.name)
        .bind(self.hash.as_slice())
        .bind(scopes.join(" "))
        .bind(self.expires.map(Timestamp::millis))
        .bind(desk.now.millis())
        .run(desk.connection())
        .await
        .map_err(failed("adding a token"))?;
        match added {
            1 => Ok(()),
            _ => Err(StoreError::TokenNameTaken),
        }
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
        match removed {
            1 => Ok(()),
            _ => Err(StoreError::NoSuchToken),
        }
    }
}
