//! Which passwords are taken: long enough, and not among those that are guessed first.
//!
//! No demands on kinds of characters and no expiry, as NIST SP 800-63B and ASVS 5.0 §6.2 say.

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
}

/// Judges a new password for a user of this name; `min_length` in characters.
///
/// # Errors
/// The first weakness that was found.
pub fn judge(password: &str, min_length: usize, user: &str) -> Result<(), Weakness> {
    if password.len() > MAX_BYTES {
        return Err(Weakness::Long);
    }
    let password = normal_form(password);
    if password.chars().count() < min_length {
        return Err(Weakness::Short(min_length));
    }
    let letters = bare(&password);
    if is_common(&letters) || is_pattern(&password) {
        return Err(Weakness::Common);
    }
    // "ada.lovelace2026" is the name with a year.
    let name = bare(user);
    if name.len() >= 3 && letters.contains(&name) && letters.replace(&name, "").len() < 4 {
        return Err(Weakness::OwnName);
    }
    Ok(())
}

/// Lower case, digits and punctuation at the ends cut off, and the usual stand-ins for letters read
/// as letters: what a guesser varies first.
fn bare(text: &str) -> String {
    let text = text.to_lowercase();
    let inner = text.trim_matches(|c: char| !c.is_alphabetic());
    inner
        .chars()
        .filter(|c| c.is_alphanumeric() || "@$!".contains(*c))
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect()
}

fn is_common(bare: &str) -> bool {
    // "passwordpassword" is "password" once more.
    let is_two = |word: &&str| {
        bare.strip_prefix(*word)
            .is_some_and(|rest| COMMON.contains(&rest))
    };
    COMMON.contains(&bare) || COMMON.iter().any(is_two)
}

/// One character or a short group again and again, or a run along the alphabet, digits or keyboard.
fn is_pattern(password: &str) -> bool {
    let characters: Vec<char> = password.to_lowercase().chars().collect();
    let repeats = |period: usize| {
        characters.iter().skip(period).eq(characters
            .iter()
            .take(characters.len().saturating_sub(period)))
    };
    let text: String = characters.iter().collect();
    let runs = RUNS.iter().any(|run| {
        let doubled = run.repeat(2 + characters.len() / run.len());
        doubled.contains(&text) || doubled.chars().rev().collect::<String>().contains(&text)
    });
    runs || (1..=4).any(|period| characters.len() > period && repeats(period))
}

const RUNS: &[&str] = &[
    "0123456789",
    "1234567890",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
];

/// The words that lists of leaked passwords are made of, with nothing but letters, and words of this
/// place.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passwd",
    "passord",
    "motdepasse",
    "contrasena",
    "letmein",
    "letmeinplease",
    "welcome",
    "welcometo",
    "administrator",
    "adminadmin",
    "admin",
    "root",
    "toor",
    "superuser",
    "sysadmin",
    "changeme",
    "changemenow",
    "changeit",
    "default",
    "secret",
    "topsecret",
    "mysecret",
    "iloveyou",
    "iloveyoubaby",
    "ihateyou",
    "iloveu",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "basketball",
    "superman",
    "batman",
    "spiderman",
    "starwars",
    "pokemon",
    "dragon",
    "monkey",
    "shadow",
    "master",
    "michael",
    "jennifer",
    "jessica",
    "ashley",
    "daniel",
    "charlie",
    "thomas",
    "jordan",
    "hunter",
    "buster",
    "killer",
    "george",
    "andrew",
    "joshua",
    "matthew",
    "freedom",
    "whatever",
    "trustno",
    "trustnoone",
    "nothing",
    "computer",
    "internet",
    "samsung",
    "google",
    "facebook",
    "microsoft",
    "windows",
    "linux",
    "ubuntu",
    "debian",
    "correcthorsebatterystaple",
    "opensesame",
    "abracadabra",
    "access",
    "login",
    "loginlogin",
    "guest",
    "user",
    "username",
    "testtest",
    "test",
    "testing",
    "demo",
    "temporary",
    "temppassword",
    "qwerty",
    "qwertyqwerty",
    "qwertz",
    "azerty",
    "asdfgh",
    "asdfghjkl",
    "zxcvbn",
    "zxcvbnm",
    "summer",
    "winter",
    "spring",
    "autumn",
    "monday",
    "january",
    "portcullis",
    "gateway",
    "phpmyadmin",
    "mypassword",
    "newpassword",
    "thepassword",
    "passwordis",
    "yourpassword",
    "enterpassword",
    "nopassword",
    "company",
    "companyname",
    "blahblahblah",
    "fuckyou",
    "babygirl",
    "lovely",
    "loveme",
    "liverpool",
    "chelsea",
    "arsenal",
    "barcelona",
    "realmadrid",
    "manchester",
    "chocolate",
    "cookie",
    "cheese",
    "flower",
    "butterfly",
    "purple",
    "orange",
    "banana",
    "summertime",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_guessed_first_is_not_taken() {
        for (password, weakness) in [
            ("short", Weakness::Short(12)),
            ("pässwörd123", Weakness::Short(12)),
            ("password1234", Weakness::Common),
            ("P@ssw0rd!2026", Weakness::Common),
            ("passwordpassword", Weakness::Common),
            ("1234567890123", Weakness::Common),
            ("aaaaaaaaaaaaaaa", Weakness::Common),
            ("abcabcabcabcabc", Weakness::Common),
            ("zyxwvutsrqponm", Weakness::Common),
            ("Portcullis2026!", Weakness::Common),
            ("lovelace202611", Weakness::OwnName),
            ("letmeinplease", Weakness::Common),
            ("username1234", Weakness::Common),
            ("iloveyoubaby", Weakness::Common),
        ] {
            let judged = judge(password, 12, "lovelace");
            assert_eq!(judged, Err(weakness), "{password}");
        }
        assert_eq!(judge(&"x".repeat(1025), 12, "ada"), Err(Weakness::Long));
    }

    #[test]
    fn every_common_word_is_found() {
        for word in COMMON {
            assert!(is_common(word), "{word}");
        }
    }

    #[test]
    fn anything_else_is_taken_whatever_it_is_made_of() {
        for password in [
            "plum tractor elbow",
            "pässwörd-über-alles",
            "🦀🦀🐙🐙🦑🦑🐡🐠🐟🐬🐳🐋",
            "            leading blanks",
            "passwords are a bad idea",
            "kXw92-1mzPq-44",
        ] {
            assert_eq!(judge(password, 12, "ada"), Ok(()), "{password}");
        }
    }
}
