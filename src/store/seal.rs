//! Encryption under the master key, which is not in the database (promise 4).
//!
//! AES-256-GCM with a random nonce; what is sealed is bound to the place that it is kept at, so that
//! a row copied onto another user's opens nothing.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::statement::{On, sql};
use super::{Store, StoreError, failed};
use crate::config::KeySource;
use crate::secret::{Secret, random_bytes};
use crate::secret_file::{self, Own, SecretFileError};

/// Seals and opens small values.
#[derive(Clone)]
pub(super) struct Seal(Arc<Keys>);

/// What is made of the master key.
struct Keys {
    sealing: RandomizedNonceKey,
    /// For the hidden fields of forms.
    forms: Secret<[u8; 32]>,
    /// For the cookies of devices.
    devices: Secret<[u8; 32]>,
    /// For what names are counted by.
    names: hmac::Key,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

impl Seal {
    /// Reads the master key; makes one only in `data_dir`, and only together with a new database. Beside
    /// it, what there is to say of its file.
    pub(super) fn load(
        source: &KeySource,
        data_dir: &Path,
        database_is_new: bool,
        own: Own,
    ) -> Result<(Self, Option<String>), StoreError> {
        let ((text, remark), place) = match source {
            KeySource::DataDir => {
                let path = data_dir.join("master.key");
                if database_is_new && !path.exists() {
                    make_key(&path).map_err(|cause| {
                        StoreError::Key(format!("can't write {}: {cause}", path.display()))
                    })?;
                }
                (read_key(&path, own)?, path.display().to_string())
            }
            KeySource::File(path) => (read_key(path, own)?, path.display().to_string()),
            KeySource::Environment(name) => {
                let text = std::env::var(name).map(Secret::new).map_err(|_| {
                    StoreError::Key(format!(
                        "the variable {name} of the environment is not set; it has to hold the key \
                         that the database was made with"
                    ))
                })?;
                ((text, None), format!("the variable {name}"))
            }
        };
        let master = STANDARD
            .decode(text.expose().trim())
            .map(Secret::new)
            .ok()
            .filter(|key| key.expose().len() == 32)
            .ok_or_else(|| StoreError::Key(format!("{place} is not 32 bytes in base64")))?;
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, master.expose())
            .map_err(|_| StoreError::Key(format!("{place} is no AES-256 key")))?;
        let keys = Keys {
            sealing,
            forms: derived(&master, "forms")?,
            devices: derived(&master, "devices")?,
            names: hmac::Key::new(hmac::HMAC_SHA256, derived(&master, "names")?.expose()),
        };
        Ok((Self(Arc::new(keys)), remark))
    }

    /// Seals `plain` for `place`: nonce, ciphertext, tag.
    pub(super) fn seal(&self, place: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .0
            .sealing
            .seal_in_place_append_tag(Aad::from(place), &mut sealed)
            .map_err(|_| StoreError::Key("sealing failed".to_owned()))?;
        Ok([nonce.as_ref().as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for `place` under this key.
    pub(super) fn open(&self, place: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, StoreError> {
        let unreadable = || StoreError::Unreadable(format!("the sealed value of {place}"));
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or_else(unreadable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unreadable())?;
        let mut text = text.to_vec();
        let plain = self
            .0
            .sealing
            .open_in_place(nonce, Aad::from(place), &mut text)
            .map_err(|_| unreadable())?;
        Ok(Secret::new(plain.to_vec()))
    }

    /// Whether this is the key that a sealed word was sealed with.
    pub(super) fn is_the_one(&self, word: &[u8]) -> Result<(), StoreError> {
        self.open(PLACE, word).map(drop).map_err(|_| {
            StoreError::Key(
                "this is not the key that this database was made with; put the right one back"
                    .to_owned(),
            )
        })
    }

    /// The key for the hidden fields of forms.
    pub(super) fn for_forms(&self) -> &Secret<[u8; 32]> {
        &self.0.forms
    }

    /// The key for the cookies of devices.
    pub(super) fn for_devices(&self) -> &Secret<[u8; 32]> {
        &self.0.devices
    }

    /// What a name is known by here, to those alone who have the master key.
    pub(super) fn tag_of_name(&self, name: &str) -> hmac::Tag {
        hmac::sign(&self.0.names, name.as_bytes())
    }
}

/// A key for one purpose, from which neither the master key nor any other can be told (RFC 5869).
fn derived(master: &Secret<Vec<u8>>, purpose: &str) -> Result<Secret<[u8; 32]>, StoreError> {
    let purposes = [b"portcullis/", purpose.as_bytes()];
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, &[])
        .extract(master.expose())
        .expand(&purposes, HKDF_SHA256)
        .and_then(|made| made.fill(&mut key))
        .map_err(|_| StoreError::Key(format!("no key for {purpose} can be derived")))?;
    Ok(Secret::new(key))
}

impl Store {
    /// Leaves a sealed word in a new database, and tells at the next start when the key is another.
    pub(super) async fn check_seal(&self) -> Result<(), StoreError> {
        let found = word_of(&self.engine).await;
        let Some(value) = found.map_err(failed("reading the seal check"))? else {
            // Of two nodes that begin together one is first, and the other may have another key.
            let written = sql(
                "INSERT INTO seal_check (\"only\", value) VALUES (1, $1) ON CONFLICT DO NOTHING",
            )
            .bind(self.seal.seal(PLACE, b"portcullis")?)
            .run(self.engine.writer())
            .await
            .map_err(failed("writing the seal check"))?;
            return match written {
                1 => Ok(()),
                _ => Box::pin(self.check_seal()).await,
            };
        };
        self.seal.is_the_one(&value)
    }
}

/// The place of the sealed word, by which a database knows its key.
const PLACE: &str = "seal_check";

/// The sealed word; a new database has none yet.
pub(super) async fn word_of<'c>(
    database: impl Into<On<'c>>,
) -> Result<Option<Vec<u8>>, sqlx::Error> {
    let word = sql("SELECT value FROM seal_check");
    let found: Option<(Vec<u8>,)> = word.maybe(database).await?;
    Ok(found.map(|(value,)| value))
}

fn read_key(path: &Path, own: Own) -> Result<(Secret<String>, Option<String>), StoreError> {
    secret_file::read_text(path, own).map_err(|fault| match fault {
        SecretFileError::Read { path, cause } => StoreError::Key(format!(
            "can't read {}: {cause}; the database can't be used without the key it was made with",
            path.display()
        )),
        fault => fault.into(),
    })
}

/// A fresh key in a file that only its owner can read; whole or not at all, and never over another.
fn make_key(path: &Path) -> std::io::Result<()> {
    let text = Secret::new(STANDARD.encode(random_bytes::<32>()));
    let draft = path.with_extension("draft");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", text.expose())?;
    file.sync_all()?;
    fs::hard_link(&draft, path)?;
    fs::remove_file(&draft)
}
