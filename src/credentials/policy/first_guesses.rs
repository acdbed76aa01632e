//! The passwords that are tried first: a list of common ones, and what is made of them by the usual changes.

/// What people choose most often, in lower case, sorted; source and licence in `../guessed/README.md`.
const LIST: &str = include_str!("../guessed/passwords.txt");

/// A word of the list counts with digits and signs around it, too, from so many letters on: shorter ones are
/// parts of anything.
const WORD: usize = 5;

/// Whether a password is a common one as it stands, in another case, with the usual stand-ins for letters,
/// with digits and signs at its ends, or twice in a row.
pub(super) fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    let halves = |text: &str| {
        let middle = text.len() / 2;
        text.is_char_boundary(middle) && text.get(..middle) == text.get(middle..)
    };
    let bare = bare(&lower);
    let spellings = [
        lower.clone(),
        unleet(&lower),
        letters(&lower),
        without_signs(&lower),
    ];
    let is_listed = |text: &str| {
        listed(text) || (halves(text) && listed(text.get(..text.len() / 2).unwrap_or("")))
    };
    spellings
        .iter()
        .any(|text| is_listed(text) || is_listed(core(text)))
        || (bare.chars().count() >= WORD && is_listed(&bare))
        || is_two_words(&bare)
}

/// Without the digits and signs at its ends, where enough is left.
fn core(text: &str) -> &str {
    let inner = text.trim_matches(|c: char| !c.is_alphabetic());
    if inner.chars().count() >= WORD {
        inner
    } else {
        text
    }
}

fn without_signs(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The letters alone.
pub(super) fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

/// The usual stand-ins for letters, read as letters.
pub(super) fn unleet(text: &str) -> String {
    text.chars()
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

/// Digits and punctuation at the ends cut off, and stand-ins read as letters: what a guesser varies first.
fn bare(lower: &str) -> String {
    let inner = lower.trim_matches(|c: char| !c.is_alphabetic());
    let kept: String = inner
        .chars()
        .filter(|c| c.is_alphanumeric() || "@$!".contains(*c))
        .collect();
    unleet(&kept)
}

/// Halving finds a line of the sorted list.
fn listed(text: &str) -> bool {
    let (mut from, mut to) = (0, LIST.len());
    while from < to {
        let middle = from + (to - from) / 2;
        let start = LIST
            .as_bytes()
            .get(..middle)
            .and_then(|before| before.iter().rposition(|&byte| byte == b'\n'))
            .map_or(0, |at| at + 1)
            .max(from);
        let line = LIST.get(start..).and_then(|rest| rest.lines().next());
        let Some(line) = line else { return false };
        match line.as_bytes().cmp(text.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = start + line.len() + 1,
            std::cmp::Ordering::Greater => to = start,
        }
    }
    false
}

/// "passwordpassword" is "password" once more, and "welcomeadmin" no better.
fn is_two_words(bare: &str) -> bool {
    let is_two = |word: &str| {
        bare.strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || COMMON.contains(&rest))
    };
    COMMON.contains(&bare) || COMMON.iter().any(|word| is_two(word))
}

/// One character or a short group again and again, or a run along the alphabet, digits or keyboard.
pub(super) fn is_pattern(password: &str) -> bool {
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
    fn every_common_password_is_found() {
        assert!(LIST.lines().count() >= 10_000);
        assert!(LIST.lines().is_sorted());
        for word in LIST.lines() {
            assert!(listed(word), "{word}");
        }
        for word in COMMON {
            assert!(is_common(word), "{word}");
        }
        for other in ["", "a", "zzzzzzzzzzzzz", "~", "plum tractor elbow"] {
            assert!(!listed(other), "{other}");
        }
    }
}
