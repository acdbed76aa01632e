//! A look at a store that no gateway has open, which changes nothing.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::seal::{self, Seal};
use super::{DATABASE, StoreError, guard, postgres, sqlite};
use crate::config::{KeySource, Place, Storage};

/// Whether a gateway could start on the store; `false` where there is none yet.
///
/// # Errors
/// As [`super::Store::open_at`].
pub async fn look(storage: &Storage, data_dir: &Path) -> Result<bool, StoreError> {
    let key = &storage.master_key;
    if let Place::Shared(server) = &storage.place {
        let Some(word) = postgres::look(server).await? else {
            return Ok(false);
        };
        Seal::load(key, data_dir, false)?.is_the_one(&word)?;
        return Ok(true);
    }
    let path = data_dir.join(DATABASE);
    if !path.exists() {
        if *key != KeySource::DataDir {
            Seal::load(key, data_dir, false)?;
        }
        return Ok(false);
    }
    guard::only_mine(&path)?;
    let seal = Seal::load(key, data_dir, false)?;
    let cannot_open = |cause| StoreError::Open {
        path: path.clone(),
        cause,
    };
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true)
        .pragma("trusted_schema", "OFF");
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(cannot_open)?;
    let sealed = seal::word_of(&mut connection).await.map_err(cannot_open)?;
    sqlite::is_known(&path, &mut connection).await?;
    connection.close().await.map_err(cannot_open)?;
    sealed.map_or(Ok(()), |word| seal.is_the_one(&word))?;
    Ok(true)
}
