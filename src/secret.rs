//! Values that are never printed and are wiped when they go.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::{Zeroize, Zeroizing};

/// A password, a token or a key: `Debug` shows nothing of it, and its memory is overwritten on drop.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes charge of `value`.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself. Every call is a place to look at in review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// `N` bytes from the operating system's generator.
///
/// Without randomness nothing here may go on (promise 4): a failure ends the process, as the
/// operating system's generator fails only where the machine is broken.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "no safe way on without randomness")]
    getrandom::fill(&mut bytes).expect("the operating system gives no random bytes");
    bytes
}

/// SHA-256: how the gateway keeps what it has to know again and must not be able to give away. Only
/// for values of enough random bits; passwords are hashed at a cost.
pub fn sha256(value: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    for (byte, made) in hash
        .iter_mut()
        .zip(digest(&SHA256, value.as_bytes()).as_ref())
    {
        *byte = *made;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes::<32>(), random_bytes::<32>());
    }
}
