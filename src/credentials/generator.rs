//! Passwords to hand on: random, and easy to read out on the telephone.

use unicode_normalization::UnicodeNormalization;

use super::typed::{is_dash, is_unseen, plain_digit};
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

/// A password of this shape that was typed or pasted with other dashes, full-width signs or signs that can't
/// be seen, as it was made; `None` for any other text, and passwords that people choose are as they are.
pub(super) fn as_made(text: &str) -> Option<String> {
    if text.len() > 256 {
        return None;
    }
    let made: String = text
        .chars()
        .filter(|sign| !is_unseen(*sign))
        .nfkc()
        .map(|sign| match is_dash(sign) {
            true => '-',
            false => plain_digit(sign),
        })
        .collect();
    let mut groups = made.split('-');
    let is_group =
        |group: &str| group.len() == GROUP && group.bytes().all(|byte| SYMBOLS.contains(&byte));
    let has_its_shape = made.len() == LENGTH + LENGTH / GROUP - 1 && groups.all(is_group);
    has_its_shape.then_some(made)
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
    fn a_generated_password_is_known_as_it_is_typed_and_no_other_is_changed() {
        let made = password();
        let made = made.expose();
        let wide = |sign: char| char::from_u32(u32::from(sign) - 0x21 + 0xff01).unwrap();
        for typed in [
            made.clone(),
            made.replace('-', "\u{2013}"),
            made.replace('-', "\u{2212}"),
            made.replace('-', "\u{30fc}"),
            format!("\u{feff}{}\u{200b}", made.replace('-', "\u{200b}-")),
            made.chars().map(wide).collect(),
        ] {
            assert_eq!(as_made(&typed).as_ref(), Some(made), "{typed:?}");
        }
        for chosen in [
            made.replace('-', ""),
            made.replace('-', " "),
            made.to_uppercase() + "x",
            "plum\u{2013}tractor\u{2013}elbow".to_owned(),
            format!("{made}-"),
            format!("{made}-0000"),
            String::new(),
        ] {
            assert_eq!(as_made(&chosen), None, "{chosen:?}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        assert_ne!(password().expose(), password().expose());
    }
}
