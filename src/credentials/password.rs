//! Argon2id (RFC 9106), by turns.
//!
//! Hashing is the one thing here that costs on purpose: 19 MiB and some 20 ms of CPU each. So as many
//! run as there are cores, on threads of their own, each in memory that is used again; two lines wait
//! for them (`hashing`), and beyond a line the answer is "busy", not a longer wait.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use unicode_normalization::UnicodeNormalization;

use super::generator;
use super::hashing::Hall;
pub use super::hashing::Purpose;
use crate::secret::{Secret, random_bytes};

/// The longest password, in bytes of UTF-8. Checked before anything is hashed (CVE-2013-1443).
pub const MAX_BYTES: usize = 1024;

/// What a stored hash may ask for at the most: it obeys its own numbers, not ours.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

/// Hashes and verifies passwords. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    params: Params,
    hall: Hall,
    /// A hash of nothing anybody knows, so that an unknown user costs what a known one does.
    decoy: Secret<String>,
}

/// The outcome of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub right: bool,
    /// The stored hash has other costs than a new one would have.
    pub outdated: bool,
}

/// Why no password was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has at most {MAX_BYTES} bytes")]
    TooLong,
    #[error("too many sign-ins at once; try again in a moment")]
    Busy,
    #[error("the password could not be hashed")]
    Failed,
}

impl Passwords {
    /// Argon2id with 19 MiB, two passes and one lane: the least that OWASP and ASVS 5.0 (appendix C)
    /// name for it.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] when the machine has not the memory for one hash.
    pub fn new() -> Result<Self, PasswordError> {
        Self::with_costs(19 * 1024, 2)
    }

    /// How many are being hashed or wait for it.
    pub fn queue(&self) -> usize {
        self.0.hall.queue()
    }

    /// How many hashes were begun since the start.
    pub fn begun(&self) -> u64 {
        self.0.hall.begun()
    }

    /// The same with other costs: memory in KiB, and passes.
    ///
    /// # Errors
    /// [`PasswordError::Failed`] for costs that Argon2 does not know.
    pub fn with_costs(memory_kib: u32, passes: u32) -> Result<Self, PasswordError> {
        let params = Params::new(memory_kib, passes, 1, None).map_err(|_| PasswordError::Failed)?;
        let nobody = Secret::new(random_bytes::<32>().to_vec());
        let mut memory = vec![Block::new(); params.block_count()];
        let decoy = hash_in(&params, nobody.expose(), &mut memory)?;
        drop(memory);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let hall = Hall::open(cores, params.block_count()).map_err(|_| PasswordError::Failed)?;
        Ok(Self(Arc::new(Inner {
            params,
            hall,
            decoy,
        })))
    }

    /// The PHC string of a new password. It waits for its turn from this call on, so that several wait
    /// together; so does [`Passwords::verify`].
    ///
    /// # Errors
    /// [`PasswordError`]
    pub fn hash(
        &self,
        password: &Secret<String>,
    ) -> impl Future<Output = Result<Secret<String>, PasswordError>> + Send + use<> {
        let params = self.0.params.clone();
        let hashing = prepared(password).map(|password| {
            let work = move |memory: &mut Vec<_>| hash_in(&params, password.expose(), memory);
            self.0.hall.in_turn(Purpose::NewPassword, work)
        });
        async move { hashing?.await }
    }

    /// Whether a password belongs to a stored PHC string. Without one it costs the same and is wrong.
    ///
    /// # Errors
    /// [`PasswordError`]; a stored string that can't be read, or asks for too much, is
    /// [`PasswordError::Failed`].
    pub fn verify(
        &self,
        password: &Secret<String>,
        stored: Option<&Secret<String>>,
        purpose: Purpose,
    ) -> impl Future<Output = Result<Verified, PasswordError>> + Send + use<> {
        let params = self.0.params.clone();
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.0.decoy).clone();
        let verifying = prepared(password).map(|password| {
            let work = move |memory: &mut Vec<_>| {
                verify_in(&params, password.expose(), stored.expose(), memory)
            };
            self.0.hall.in_turn(purpose, work)
        });
        async move {
            let verified = verifying?.await?;
            Ok(Verified {
                right: verified.right && known,
                ..verified
            })
        }
    }
}

fn hash_in(
    params: &Params,
    password: &[u8],
    memory: &mut Vec<Block>,
) -> Result<Secret<String>, PasswordError> {
    let salt = random_bytes::<16>();
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    fill(params, password, &salt, &mut output, memory)?;
    let failed = |_| PasswordError::Failed;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(|_| PasswordError::Failed)?),
        hash: Some(Output::new(&output).map_err(|_| PasswordError::Failed)?),
    };
    Ok(Secret::new(phc.to_string()))
}

fn verify_in(
    params: &Params,
    password: &[u8],
    stored: &str,
    memory: &mut Vec<Block>,
) -> Result<Verified, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(|_| PasswordError::Failed)?;
    let costs = Params::try_from(&stored).map_err(|_| PasswordError::Failed)?;
    let bearable = costs.m_cost() <= MOST_MEMORY_KIB
        && costs.t_cost() <= MOST_PASSES
        && costs.p_cost() <= MOST_LANES
        && stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into());
    let (Some(salt), Some(hash), true) = (stored.salt, stored.hash, bearable) else {
        return Err(PasswordError::Failed);
    };
    let mut output = vec![0; hash.len()];
    fill(&costs, password, salt.as_ref(), &mut output, memory)?;
    Ok(Verified {
        right: verify_slices_are_equal(&output, hash.as_bytes()).is_ok(),
        outdated: (costs.m_cost(), costs.t_cost(), costs.p_cost())
            != (params.m_cost(), params.t_cost(), params.p_cost()),
    })
}

fn fill(
    params: &Params,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Vec<Block>,
) -> Result<(), PasswordError> {
    memory.resize(params.block_count(), Block::new());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password, salt, output, memory)
        .map_err(|_| PasswordError::Failed)
}

/// The bytes that are hashed: normal form C, and every kind of blank as U+0020 (RFC 8265 §4.2.2), so
/// that a password typed on another system is the same. Nothing is trimmed, cut or refused. One that has
/// the shape of a generated one is read as people type those.
fn prepared(password: &Secret<String>) -> Result<Secret<Vec<u8>>, PasswordError> {
    if password.expose().len() > MAX_BYTES {
        return Err(PasswordError::TooLong);
    }
    Ok(Secret::new(normal_form(password.expose()).into_bytes()))
}

/// Whether two passwords are the same once hashed.
pub fn are_same(one: &Secret<String>, another: &Secret<String>) -> bool {
    normal_form(one.expose()) == normal_form(another.expose())
}

/// A password as it is hashed and measured.
pub(super) fn normal_form(password: &str) -> String {
    let blank = |c: char| {
        if c != '\u{20}' && is_blank(c) { ' ' } else { c }
    };
    let normal: String = password.chars().map(blank).nfc().collect();
    generator::as_made(&normal).unwrap_or(normal)
}

/// The Unicode category Zs.
fn is_blank(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGN_IN: Purpose = Purpose::SignIn;

    impl Passwords {
        /// Lets every thread that hashes stand still until what is returned is dropped.
        pub(crate) async fn stop(&self) -> Vec<std::sync::mpsc::Sender<()>> {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            self.0.hall.stop(cores).await
        }
    }

    fn cheap() -> Passwords {
        Passwords::with_costs(64, 1).unwrap()
    }

    fn text(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other_is() {
        let passwords = cheap();
        let stored = passwords.hash(&text("correct horse")).await.unwrap();
        assert!(stored.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        for (shown, right) in [
            ("correct horse", true),
            ("correct\u{a0}horse", true),
            ("correct horse ", false),
            ("Correct horse", false),
            ("", false),
        ] {
            let verified = passwords
                .verify(&text(shown), Some(&stored), SIGN_IN)
                .await
                .unwrap();
            assert_eq!(verified.right, right, "{shown:?}");
            assert!(!verified.outdated);
        }
    }

    #[tokio::test]
    async fn composed_and_decomposed_letters_are_the_same() {
        let passwords = cheap();
        let stored = passwords.hash(&text("p\u{e4}ssword")).await.unwrap();
        let shown = text("pa\u{308}ssword");
        assert!(
            passwords
                .verify(&shown, Some(&stored), SIGN_IN)
                .await
                .unwrap()
                .right
        );
    }

    #[tokio::test]
    async fn nothing_is_cut_off() {
        let passwords = cheap();
        let stored = passwords.hash(&text(&"a".repeat(72))).await.unwrap();
        let longer = text(&"a".repeat(73));
        assert!(
            !passwords
                .verify(&longer, Some(&stored), SIGN_IN)
                .await
                .unwrap()
                .right
        );
        let most = text(&"a".repeat(MAX_BYTES));
        assert!(passwords.hash(&most).await.is_ok());
        let over = text(&"a".repeat(MAX_BYTES + 1));
        assert_eq!(
            passwords.hash(&over).await.map(drop),
            Err(PasswordError::TooLong)
        );
    }

    #[tokio::test]
    async fn other_costs_are_noticed_and_bounded() {
        let stored = cheap().hash(&text("correct horse")).await.unwrap();
        let dearer = Passwords::with_costs(128, 1).unwrap();
        let verified = dearer
            .verify(&text("correct horse"), Some(&stored), SIGN_IN)
            .await
            .unwrap();
        assert_eq!((verified.right, verified.outdated), (true, true));
        let monster = text(&stored.expose().replace("m=64", "m=4000000"));
        let refused = dearer.verify(&text("x"), Some(&monster), SIGN_IN).await;
        assert_eq!(refused, Err(PasswordError::Failed));
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        let passwords = cheap();
        let verified = passwords
            .verify(&text("anything"), None, SIGN_IN)
            .await
            .unwrap();
        assert!(!verified.right);
    }
}
