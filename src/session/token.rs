//! The token of a session: 256 random bits in the browser's cookie, and nowhere else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::TokenHash;
use crate::secret::{Secret, random_bytes, sha256};

/// A token as the browser has it.
#[derive(Debug)]
pub struct Token(Secret<String>);

/// 32 bytes in base64 without padding.
const LENGTH: usize = 43;

impl Token {
    /// A fresh one.
    pub fn random() -> Self {
        Self(Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>())))
    }

    /// The value of the cookie.
    pub fn cookie_value(&self) -> &str {
        self.0.expose()
    }

    /// The key of its session.
    pub fn hash(&self) -> TokenHash {
        TokenHash(sha256(self.0.expose()))
    }

    /// The key of the session that a cookie value would name, without keeping the value; `None` for
    /// a text that the gateway never gives out.
    pub fn hash_of(cookie_value: &str) -> Option<TokenHash> {
        let symbol = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let possible = cookie_value.len() == LENGTH && cookie_value.bytes().all(symbol);
        possible.then(|| TokenHash(sha256(cookie_value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_exact_text() {
        let token = Token::random();
        let text = token.cookie_value().to_owned();
        assert_eq!(Token::hash_of(&text), Some(token.hash()));
        for other in [
            text[1..].to_owned(),
            format!("{text}="),
            format!("{text}A"),
            String::new(),
            format!("\"{}\"", &text[2..]),
        ] {
            assert_eq!(Token::hash_of(&other), None, "{other}");
        }
        assert_ne!(
            Token::hash_of(&Token::random().0.expose().clone()),
            Some(token.hash())
        );
    }
}
