//! Which passwords are taken: long enough, not among those that are guessed first, and not quickly guessed
//! by whoever knows the place.
//!
//! No demands on kinds of characters and no expiry, as NIST SP 800-63B and ASVS 5.0 §6.2 say. A password is
//! held against a list of common ones, the words of this place, and the estimator zxcvbn.

mod first_guesses;
mod place;

use zxcvbn::Score;
use zxcvbn::feedback::Warning;

use self::first_guesses::{is_common, is_pattern};
pub use self::place::Place;
use super::password::{MAX_BYTES, normal_form};

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weakness {
    #[error("a password here has at least {0} characters")]
    Short(usize),
    #[error("a password has at most {MAX_BYTES} bytes")]
    Long,
    #[error("this password is among those that are guessed first")]
    Common,
    #[error("a password that is mostly the user's own name is guessed first")]
    OwnName,
    #[error(
        "a password that is little more than a name of this place, a season, a month or a year is \
         guessed first"
    )]
    ThisPlace,
    /// With what the estimator found in it.
    #[error(
        "this password is guessed quickly: {0}; a few words that do not belong together are hard to guess"
    )]
    Guessable(&'static str),
    #[error("this is the hash of a password, not a password; give the password itself")]
    Hash,
    #[error(
        "this password has a sign that can't be typed, such as a line break or a byte order mark; leave it out"
    )]
    Untypable,
}

/// How much of a password the estimator looks at: its work grows with the length (CVE-2013-1443 is the
/// kind), and what makes a password weak shows in the first hundred.
const ESTIMATED: usize = 100;

/// Judges a new password for a user of this place; `min_length` in characters.
///
/// # Errors
/// The first weakness that was found.
pub fn judge(password: &str, min_length: usize, place: &Place<'_>) -> Result<(), Weakness> {
    if password.len() > MAX_BYTES {
        return Err(Weakness::Long);
    }
    if is_hash(password) {
        return Err(Weakness::Hash);
    }
    if password.chars().any(is_untypable) {
        return Err(Weakness::Untypable);
    }
    let password = normal_form(password);
    if password.chars().count() < min_length {
        return Err(Weakness::Short(min_length));
    }
    if is_common(&password) || is_pattern(&password) {
        return Err(Weakness::Common);
    }
    if place.is_mostly_the_user(&password) {
        return Err(Weakness::OwnName);
    }
    if place.is_most_of(&password) {
        return Err(Weakness::ThisPlace);
    }
    estimate(&password, place)
}

fn estimate(password: &str, place: &Place<'_>) -> Result<(), Weakness> {
    let first: String = password.chars().take(ESTIMATED).collect();
    let words = place.words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let estimated = zxcvbn::zxcvbn(&first, &words);
    if estimated.score() >= Score::Three {
        return Ok(());
    }
    let warning = estimated.feedback().and_then(|feedback| feedback.warning());
    Err(Weakness::Guessable(
        warning.map_or("it is short for what it is made of", in_words),
    ))
}

fn in_words(warning: Warning) -> &'static str {
    match warning {
        Warning::StraightRowsOfKeysAreEasyToGuess
        | Warning::ShortKeyboardPatternsAreEasyToGuess => "it runs along the keyboard",
        Warning::RepeatsLikeAaaAreEasyToGuess
        | Warning::RepeatsLikeAbcAbcAreOnlySlightlyHarderToGuess => "it repeats itself",
        Warning::SequencesLikeAbcAreEasyToGuess => "it counts or follows the alphabet",
        Warning::RecentYearsAreEasyToGuess | Warning::DatesAreOftenEasyToGuess => {
            "it is mostly a date or a year"
        }
        Warning::NamesAndSurnamesByThemselvesAreEasyToGuess
        | Warning::CommonNamesAndSurnamesAreEasyToGuess => "it is mostly a name",
        _ => "it is mostly a common word or password",
    }
}

/// The forms in which programs keep passwords: PHC strings and modular crypt (`$argon2id$`, `$2b$`, `$6$`),
/// LDAP (`{SSHA}`), Django (`pbkdf2_sha256$`), MySQL's, and digests in hexadecimal.
fn is_hash(password: &str) -> bool {
    let text = password.trim();
    let modular = text.strip_prefix('$').and_then(|rest| rest.split_once('$'));
    let is_modular = modular.is_some_and(|(kind, rest)| {
        (1..=16).contains(&kind.len())
            && kind
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && rest.len() >= 8
            && rest.bytes().all(|byte| byte.is_ascii_graphic())
    });
    let scheme = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    let is_ldap = scheme.is_some_and(|(scheme, rest)| {
        let known = [
            "SHA",
            "MD5",
            "CRYPT",
            "SMD5",
            "PBKDF2",
            "ARGON2",
            "BCRYPT",
            "NTLM",
            "CLEARTEXT",
        ];
        let scheme = scheme.to_ascii_uppercase();
        !rest.is_empty() && known.iter().any(|known| scheme.contains(known))
    });
    let is_django = text.split_once('$').is_some_and(|(kind, rest)| {
        ["pbkdf2_", "bcrypt", "argon2", "scrypt", "sha1", "md5"]
            .iter()
            .any(|known| kind.starts_with(known))
            && rest.contains('$')
    });
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_mysql = text
        .strip_prefix('*')
        .is_some_and(|rest| rest.len() == 40 && is_hex(rest));
    let is_digest = [32, 40, 56, 64, 96, 128].contains(&text.len()) && is_hex(text);
    is_modular || is_ldap || is_django || is_mysql || is_digest
}

/// What no keyboard makes, or what a form would not send again as it was piped in.
fn is_untypable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{feff}' | '\u{200b}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{fffd}'
        )
}

#[cfg(test)]
mod tests;
