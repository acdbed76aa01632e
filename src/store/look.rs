//! A look at a store that no gateway has open, which changes nothing.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::seal::{self, Seal};
use super::{DATABASE, StoreError, guard, schema};
use crate::config::KeySource;

/// Whether a gateway could start on the store in `data_dir`; `false` where there is none yet.
///
/// # Errors
/// As [`super::Store::open_under`].
pub async fn look(data_dir: &Path, key: &KeySource) -> Result<bool, StoreError> {
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
    schema::is_known(&path, &mut connection).await?;
    connection.close().await.map_err(cannot_open)?;
    sealed.map_or(Ok(()), |word| seal.is_the_one(&word))?;
    Ok(true)
}
