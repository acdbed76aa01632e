//! Management tokens: shown once, kept as a hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Secret, random_bytes, sha256};

/// A token as a program has it: `pct_` and 256 random bits. The prefix lets scanners of source code
/// and logs find one that was left there.
#[derive(Debug)]
pub(super) struct ApiToken(Secret<String>);

impl ApiToken {
    /// A fresh one.
    pub(super) fn random() -> Self {
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>()));
        Self(Secret::new(text))
    }

    /// The text, to be shown once.
    pub(super) fn text(&self) -> &str {
        self.0.expose()
    }

    /// The form in which the store keeps it.
    pub(super) fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose())
    }

    /// The hash of a text that could be a token; `None` for one that was never given out.
    ///
    /// Tokens are found by their hash, so that comparing takes the same time for every wrong one.
    pub(super) fn hash_of(text: &str) -> Option<[u8; 32]> {
        let symbol = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let random = text.strip_prefix(PREFIX)?;
        (random.len() == LENGTH && random.bytes().all(symbol)).then(|| sha256(text))
    }
}

const PREFIX: &str = "pct_";
/// 32 bytes in base64 without padding.
const LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_exact_text() {
        let token = ApiToken::random();
        let text = token.text().to_owned();
        assert_eq!(text.len(), 47);
        assert_eq!(ApiToken::hash_of(&text), Some(token.hash()));
        for other in [
            "",
            "pct_",
            &text[4..],
            &format!("{text}A"),
            &format!(" {text}"),
        ] {
            assert_eq!(ApiToken::hash_of(other), None, "{other}");
        }
        let bytes = format!("{}!", &text[..46]);
        assert_eq!(ApiToken::hash_of(&bytes), None);
    }
}
