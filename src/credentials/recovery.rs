//! Recovery codes: shown once, each good for one sign-in without the app.
//!
//! 140 random bits each, so that a plain SHA-256 is enough to keep them by: a search through 2^140 has
//! no end, and the store has to find a code by its hash. Codes of before had eighty bits and serve until
//! they are used.

use super::typed::folded;
use crate::secret::{Secret, random_bytes, sha256};

/// How many are made at enrolment.
pub const COUNT: usize = 10;

/// Without i, l, o and u, which are misread or spell words (Crockford).
const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Symbols of five bits: seven groups of four.
const LENGTH: usize = 28;

/// The length of codes that were given out before.
const FORMER_LENGTH: usize = 16;

/// One code, in its one spelling.
#[derive(Debug)]
pub struct RecoveryCode(Secret<String>);

impl RecoveryCode {
    /// A fresh one.
    pub fn random() -> Self {
        let symbols = random_bytes::<LENGTH>()
            .iter()
            .filter_map(|byte| SYMBOLS.get(usize::from(byte % 32)))
            .map(|&symbol| char::from(symbol))
            .collect();
        Self(Secret::new(symbols))
    }

    /// Reads a code as typed ([`folded`]): in any case, with or without dashes and blanks, and with the
    /// letters that are taken for digits. `None` for anything that can't be a code.
    pub fn parse(text: &str) -> Option<Self> {
        let symbols: String = folded(text)
            .chars()
            .map(|c| match c.to_ascii_lowercase() {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            })
            .collect();
        let known = |byte: u8| SYMBOLS.contains(&byte);
        let is_whole = [LENGTH, FORMER_LENGTH].contains(&symbols.len());
        (is_whole && symbols.bytes().all(known)).then(|| Self(Secret::new(symbols)))
    }

    /// As people read it: `xxxx-xxxx-xxxx-xxxx-xxxx-xxxx-xxxx`.
    pub fn text(&self) -> String {
        let symbols: Vec<char> = self.0.expose().chars().collect();
        let groups: Vec<String> = symbols
            .chunks(4)
            .map(|group| group.iter().collect())
            .collect();
        groups.join("-")
    }

    /// As the store keeps it.
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_in_every_spelling() {
        let code = RecoveryCode::random();
        let text = code.text();
        assert_eq!(text.len(), 34);
        for spelling in [
            text.clone(),
            text.to_uppercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            text.replace('0', "O").replace('1', "l"),
            text.replace('0', "o").replace('1', "I"),
            text.replace('-', "\u{2013}"),
            text.replace('-', "\u{2212} "),
            text.replace('-', "\u{ff0d}").replace('0', "\u{ff2f}"),
            text.replace('-', "\u{200b}-\u{feff}"),
            text.chars().map(full_width).collect(),
        ] {
            assert_eq!(RecoveryCode::parse(&spelling).unwrap().hash(), code.hash());
        }
    }

    fn full_width(sign: char) -> char {
        let wide = u32::from(sign) - 0x21 + 0xff01;
        char::from_u32(wide).unwrap()
    }

    #[test]
    fn a_code_of_before_is_known() {
        let text = "abcd-efgh-jkmn-0123";
        let code = RecoveryCode::parse(text).unwrap();
        assert_eq!(code.text(), text);
        assert_eq!(code.hash(), sha256("abcdefghjkmn0123"));
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        for text in [
            "",
            "123456",
            "xxxx-xxxx-xxxx-xxx",
            "xxxx-xxxx-xxxx-xxxx-xxxx-xxxx-xxx",
            "xxxx-xxxx-xxxx-xxxx-xxxx",
            "uuuu-uuuu-uuuu-uuuu",
            &"0".repeat(29),
            &"-".repeat(1 << 20),
        ] {
            assert!(RecoveryCode::parse(text).is_none(), "{text}");
        }
    }
}
