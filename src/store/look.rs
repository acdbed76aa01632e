//! A look at a store that no gateway has open, which changes nothing.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use super::seal::{self, Seal};
use super::{DATABASE, StoreError, postgres, sqlite};
use crate::config::{KeySource, Place, Storage};
use crate::secret_file::{self, Own};

/// What was found.
#[derive(Debug, Default)]
pub struct Looked {
    /// `false` where there is no store yet.
    pub is_there: bool,
    /// What there is to say of its files.
    pub remarks: Vec<String>,
}

/// Whether a gateway could start on the store.
///
/// # Errors
/// As [`super::Store::open_at`].
pub async fn look(storage: &Storage, data_dir: &Path) -> Result<Looked, StoreError> {
    let load = || Seal::load(&storage.master_key, data_dir, false, Own::Report);
    if let Place::Shared(server) = &storage.place {
        let Some(word) = postgres::look(server).await? else {
            return Ok(Looked::default());
        };
        let (seal, remark) = load()?;
        seal.is_the_one(&word)?;
        return Ok(Looked::of(remark));
    }
    let path = data_dir.join(DATABASE);
    if !path.exists() {
        let remark = match storage.master_key {
            KeySource::DataDir => None,
            _ => load()?.1,
        };
        return Ok(Looked {
            is_there: false,
            ..Looked::of(remark)
        });
    }
    let of_database = secret_file::examine(&path, Own::Report)?;
    let (seal, remark) = load()?;
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
    Ok(Looked::of(of_database.into_iter().chain(remark)))
}

impl Looked {
    fn of(remarks: impl IntoIterator<Item = String>) -> Self {
        Self {
            is_there: true,
            remarks: remarks.into_iter().collect(),
        }
    }
}
