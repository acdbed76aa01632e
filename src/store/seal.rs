//! Encryption under the master key, which is not in the database (promise 4).
//!
//! A sealed value is, in this order:
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `pcs` and the version, 1 |
//! | 8 | the id of the master key |
//! | 12 | a random nonce |
//! | rest | AES-256-GCM under a key that is derived for sealing, and its tag |
//!
//! Version, id, column and row are authenticated, so that a value which is copied onto another row or
//! column opens nothing. No purpose has the key of another: each is derived from the master key by HKDF
//! (RFC 5869) with a label of its own.
//!
//! Versions before this one kept a nonce and what was sealed under the master key itself, bound to a place
//! alone. Such a value still opens, and is sealed with a derived key when its row is next written.

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
use zeroize::Zeroizing;

use super::statement::{On, sql};
use super::{Store, StoreError, failed};
use crate::config::KeySource;
use crate::secret::{Secret, random_bytes};
use crate::secret_file::{self, Own, SecretFileError};

/// Seals and opens small values.
#[derive(Clone)]
pub(super) struct Seal(Arc<Keys>);

/// Which master key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeyId([u8; 8]);

/// Where a sealed value is kept, which it is bound to.
#[derive(Debug)]
pub(super) struct Place {
    /// `table.column`.
    column: &'static str,
    row: String,
    /// What a version before this one bound it to.
    former: String,
}

/// What a sealed value begins with.
const VERSION: [u8; 4] = *b"pcs\x01";

/// What is made of the master key.
struct Keys {
    sealing: RandomizedNonceKey,
    /// For what a version before this one has sealed.
    former: RandomizedNonceKey,
    /// By which values say what they are sealed with. It follows from the key, and not the key from it.
    id: KeyId,
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
        let aes = |key: &[u8]| {
            RandomizedNonceKey::new(&AES_256_GCM, key)
                .map_err(|_| StoreError::Key(format!("{place} is no AES-256 key")))
        };
        let keys = Keys {
            sealing: aes(derived(&master, "sealing")?.expose())?,
            former: aes(master.expose())?,
            id: KeyId::of(&derived(&master, "key-id")?),
            forms: derived(&master, "forms")?,
            devices: derived(&master, "devices")?,
            names: hmac::Key::new(hmac::HMAC_SHA256, derived(&master, "names")?.expose()),
        };
        Ok((Self(Arc::new(keys)), remark))
    }

    /// Seals `plain` for `place`.
    pub(super) fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .0
            .sealing
            .seal_in_place_append_tag(place.bound_to(self.0.id), &mut sealed)
            .map_err(|_| StoreError::Key("sealing failed".to_owned()))?;
        let head = [VERSION.as_slice(), &self.0.id.0, nonce.as_ref()];
        Ok([&head.concat(), sealed.as_slice()].concat())
    }

    /// Opens what was sealed for `place` under this key.
    pub(super) fn open(&self, place: &Place, sealed: &[u8]) -> Result<Secret<Vec<u8>>, StoreError> {
        let unreadable = || StoreError::Unreadable(format!("the sealed value of {place}"));
        let head = parted(sealed);
        if let Some((id, text)) = head
            && id == self.0.id
            && let Some(plain) = opened(&self.0.sealing, place.bound_to(id), text)
        {
            return Ok(plain);
        }
        // A value of before begins with a nonce, which may look like anything.
        let former = Aad::from(place.former.clone().into_bytes());
        opened(&self.0.former, former, sealed).ok_or_else(|| match head {
            Some((id, _)) if id != self.0.id => StoreError::Key(format!(
                "the sealed value of {place} was sealed with the key {id}, and this is the key {}",
                self.0.id
            )),
            _ => unreadable(),
        })
    }

    /// Whether a value was sealed by a version before this one.
    pub(super) fn is_former(sealed: &[u8]) -> bool {
        !sealed.starts_with(&VERSION)
    }

    /// Whether this is the key that a sealed word was sealed with.
    pub(super) fn is_the_one(&self, word: &[u8]) -> Result<(), StoreError> {
        self.open(&word_place(), word).map(drop).map_err(|_| {
            let this = self.0.id;
            let ids = match parted(word) {
                Some((id, _)) if id != this => format!("it asks for the key {id}, and this is {this}"),
                _ => format!("this is the key {this}"),
            };
            StoreError::Key(format!(
                "this is not the key that this database was made with ({ids}); put the right one back"
            ))
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

/// The id of the key, and what follows it.
fn parted(sealed: &[u8]) -> Option<(KeyId, &[u8])> {
    let (id, text) = sealed.strip_prefix(&VERSION)?.split_first_chunk()?;
    Some((KeyId(*id), text))
}

/// What a nonce and a text are under a key, if they are anything.
fn opened(
    key: &RandomizedNonceKey,
    bound_to: Aad<Vec<u8>>,
    sealed: &[u8],
) -> Option<Secret<Vec<u8>>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = Zeroizing::new(text.to_vec());
    let plain = key.open_in_place(nonce, bound_to, &mut text).ok()?;
    Some(Secret::new(plain.to_vec()))
}

impl KeyId {
    fn of(derived: &Secret<[u8; 32]>) -> Self {
        let mut id = [0; 8];
        for (byte, made) in id.iter_mut().zip(derived.expose()) {
            *byte = *made;
        }
        Self(id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Place {
    /// `column` is `table.column`.
    pub(super) fn new(column: &'static str, row: String, former: String) -> Self {
        Self {
            column,
            row,
            former,
        }
    }

    fn bound_to(&self, id: KeyId) -> Aad<Vec<u8>> {
        let place = self.to_string();
        Aad::from([VERSION.as_slice(), &id.0, place.as_bytes()].concat())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.column, self.row)
    }
}

/// A key for one purpose, which reveals neither the master key nor any other (RFC 5869).
fn derived(master: &Secret<Vec<u8>>, purpose: &str) -> Result<Secret<[u8; 32]>, StoreError> {
    let purposes = [b"portcullis/", purpose.as_bytes()];
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, &[])
        .extract(master.expose())
        .expand(&purposes, HKDF_SHA256)
        .and_then(|made| made.fill(key.as_mut_slice()))
        .map_err(|_| StoreError::Key(format!("no key for {purpose} can be derived")))?;
    Ok(Secret::new(*key))
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
            .bind(self.seal.seal(&word_place(), WORD)?)
            .run(self.engine.writer())
            .await
            .map_err(failed("writing the seal check"))?;
            return match written {
                1 => Ok(()),
                _ => Box::pin(self.check_seal()).await,
            };
        };
        self.seal.is_the_one(&value)?;
        if Seal::is_former(&value) {
            // From now on it says which key it asks for. Another node may have been first.
            sql("UPDATE seal_check SET value = $1 WHERE value = $2")
                .bind(self.seal.seal(&word_place(), WORD)?)
                .bind(value)
                .run(self.engine.writer())
                .await
                .map_err(failed("writing the seal check"))?;
        }
        Ok(())
    }
}

const WORD: &[u8] = b"portcullis";

/// The place of the sealed word, by which a database knows its key.
fn word_place() -> Place {
    Place::new("seal_check.value", "1".to_owned(), "seal_check".to_owned())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: u8) -> Seal {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, STANDARD.encode([key; 32])).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(&path, private).unwrap();
        Seal::load(&KeySource::File(path), folder.path(), false, Own::Report)
            .unwrap()
            .0
    }

    fn place(column: &'static str, row: &str) -> Place {
        Place::new(column, row.to_owned(), format!("former/{row}"))
    }

    impl Seal {
        /// As the version before sealed it.
        pub(in crate::store) fn as_before(&self, place: &Place, plain: &[u8]) -> Vec<u8> {
            let mut text = plain.to_vec();
            let bound_to = Aad::from(place.former.clone());
            let nonce = self.0.former.seal_in_place_append_tag(bound_to, &mut text);
            [nonce.unwrap().as_ref().as_slice(), &text].concat()
        }
    }

    #[test]
    fn a_value_opens_under_its_key_in_its_row_and_column_alone() {
        let (seal, other) = (seal(1), seal(2));
        let mine = place("a.secret", "7");
        let sealed = seal.seal(&mine, b"plain").unwrap();
        assert_eq!(seal.open(&mine, &sealed).unwrap().expose(), b"plain");
        assert_ne!(
            sealed,
            seal.seal(&mine, b"plain").unwrap(),
            "a nonce of its own"
        );
        for elsewhere in [
            place("a.secret", "8"),
            place("b.secret", "7"),
            place("a.other", "7"),
        ] {
            assert!(seal.open(&elsewhere, &sealed).is_err(), "{elsewhere}");
        }
        for at in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert!(seal.open(&mine, &changed).is_err(), "bit {at}");
        }
        for length in 0..sealed.len() {
            assert!(
                seal.open(&mine, &sealed[..length]).is_err(),
                "{length} bytes"
            );
        }
        // Which keys these are is said, and both by ids from which neither follows.
        let told = other.open(&mine, &sealed).unwrap_err().to_string();
        let (id, this) = (seal.0.id.to_string(), other.0.id.to_string());
        assert!(told.contains(&id) && told.contains(&this), "{told}");
        let word = seal.seal(&word_place(), WORD).unwrap();
        let told = other.is_the_one(&word).unwrap_err().to_string();
        assert!(told.contains(&id) && told.contains(&this), "{told}");
        assert!(seal.is_the_one(&word).is_ok());
    }

    #[test]
    fn what_was_sealed_before_opens_and_is_known_as_such() {
        let (seal, other) = (seal(1), seal(2));
        let mine = place("a.secret", "7");
        let sealed = seal.as_before(&mine, b"plain");
        assert!(Seal::is_former(&sealed));
        assert!(!Seal::is_former(&seal.seal(&mine, b"plain").unwrap()));
        assert_eq!(seal.open(&mine, &sealed).unwrap().expose(), b"plain");
        assert!(seal.open(&place("a.secret", "8"), &sealed).is_err());
        assert!(other.open(&mine, &sealed).is_err());
        let word = seal.as_before(&word_place(), WORD);
        assert!(seal.is_the_one(&word).is_ok());
        let told = other.is_the_one(&word).unwrap_err().to_string();
        assert!(told.contains(&other.0.id.to_string()), "{told}");
    }

    #[test]
    fn no_purpose_has_the_key_of_another() {
        let seal = seal(1);
        let (forms, devices) = (seal.for_forms().expose(), seal.for_devices().expose());
        assert_ne!(forms, devices);
        assert_ne!(forms, &[1; 32]);
        // RFC 5869 with no salt, as the label says.
        let master = Secret::new(vec![1; 32]);
        assert_ne!(
            derived(&master, "a").unwrap().expose(),
            derived(&master, "b").unwrap().expose()
        );
    }
}
