//! Passwords to hand on: random, and easy to read out on the telephone.

use crate::secret::{Secret, random_bytes};

/// Without i, l, o and u, which are misread or spell words (Crockford).
const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Seven groups of four symbols of five bits: 140 random bits.
const LENGTH: usize = 28;
const GROUP: usize = 4;

/// A fresh password, `xxxx-xxxx-xxxx-xxxx-xxxx-xxxx-xxxx`.
pub fn password() -> Secret<String> {
    let mut text = String::with_capacity(LENGTH + LENGTH / GROUP);
    for (at, byte) in random_bytes::<LENGTH>().iter().enumerate() {
        if at > 0 && at % GROUP == 0 {
            text.push('-');
        }
        let symbol = SYMBOLS.get(usize::from(byte % 32));
        text.extend(symbol.map(|&symbol| char::from(symbol)));
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::policy;

    #[test]
    fn a_generated_password_is_one_that_the_policy_takes() {
        for _ in 0..200 {
            let made = password();
            assert_eq!(made.expose().len(), 34);
            assert!(policy::judge(made.expose(), 15, &policy::Place::default()).is_ok());
        }
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(password().expose(), password().expose());
    }
}
