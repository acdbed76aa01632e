//! What must never be in a log: every token, password and code that this test binary used.
//!
//! Whatever the harness sends or is given is kept here, and a gateway that goes has its whole output
//! searched for it, in the spellings in which a URL or a form would carry it.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

static USED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Something that may be in no log from now on.
pub fn keep(secret: &str) {
    if !secret.is_empty() {
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(secret.to_owned());
    }
}

/// The secrets that a text gives away.
pub fn given_away_by(text: &str) -> Vec<String> {
    let used = USED.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |secret: &&String| spellings(secret).iter().any(|form| stands_in(text, form));
    used.iter().filter(told).cloned().collect()
}

fn spellings(secret: &str) -> [String; 3] {
    let encoded = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    [secret.to_owned(), secret.replace(' ', "+"), encoded]
}

/// Six digits may be a part of any number, such as the fraction of a second.
fn stands_in(text: &str, secret: &str) -> bool {
    if !(secret.len() == 6 && secret.bytes().all(|byte| byte.is_ascii_digit())) {
        return text.contains(secret);
    }
    let in_a_number = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
    text.match_indices(secret).any(|(at, _)| {
        !text[..at].ends_with(in_a_number) && !text[at + secret.len()..].starts_with(in_a_number)
    })
}
