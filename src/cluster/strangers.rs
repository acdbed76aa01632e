//! Tokens that the store does not know. Nobody but a gateway makes tokens, and it keeps each before
//! it gives it away: what is unknown once is unknown for ever.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::model::TokenHash;

/// The latest of them: of two halves the older is forgotten when the newer is full.
#[derive(Debug, Default)]
pub(super) struct Strangers(Mutex<Halves>);

#[derive(Debug, Default)]
struct Halves {
    newer: HashSet<TokenHash>,
    older: HashSet<TokenHash>,
}

/// How many a half holds: some four megabytes for both.
const HALF: usize = 50_000;

impl Strangers {
    pub(super) fn knows(&self, token: &TokenHash) -> bool {
        let halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        halves.newer.contains(token) || halves.older.contains(token)
    }

    pub(super) fn note(&self, token: TokenHash) {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if halves.newer.len() >= HALF {
            halves.older = std::mem::take(&mut halves.newer);
        }
        halves.newer.insert(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::sha256;

    #[test]
    fn the_latest_are_remembered_and_never_more_than_two_halves() {
        let strangers = Strangers::default();
        let token = |number: usize| TokenHash(sha256(&number.to_string()));
        for number in 0..3 * HALF {
            strangers.note(token(number));
        }
        assert!((2 * HALF..3 * HALF).all(|number| strangers.knows(&token(number))));
        assert!(!strangers.knows(&token(0)));
        let halves = strangers.0.lock().unwrap();
        assert!(halves.newer.len() + halves.older.len() <= 2 * HALF);
    }
}
