//! What somebody knows who guesses passwords of this place: whose account it is, and what the place is called.

use super::first_guesses::{letters, unleet};

/// The words that a guesser tries first for one user.
#[derive(Debug, Clone, Default)]
pub struct Place<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The hosts of the gateway and its panels, and the names of panels.
    pub names: Vec<&'a str>,
}

/// Less than so many letters and digits beside known words are no password of their own.
const OWN: usize = 5;

/// The shortest part of a name that is looked for.
const SHORTEST: usize = 3;

impl Place<'_> {
    /// Every word that the estimator is told.
    pub(super) fn words(&self) -> Vec<String> {
        let whole = self.names.iter().map(|name| name.to_lowercase());
        let mut words: Vec<String> = whole.collect();
        words.push(self.user.to_lowercase());
        words.extend(parts(self.user));
        words.extend(self.names.iter().flat_map(|name| parts(name)));
        words.extend(EVERYWHERE.iter().map(|&word| word.to_owned()));
        words
    }

    /// Whether it is the user's name with little else.
    pub(super) fn is_mostly_the_user(&self, password: &str) -> bool {
        let mut words = parts(self.user);
        words.push(letters(&self.user.to_lowercase()));
        is_mostly(password, &words)
    }

    /// Whether it is made of words of this place, seasons, months and years with little else.
    pub(super) fn is_most_of(&self, password: &str) -> bool {
        let mut words: Vec<String> = self.names.iter().flat_map(|name| parts(name)).collect();
        words.extend(self.names.iter().map(|name| letters(&name.to_lowercase())));
        words.extend(parts(self.user));
        words.extend(EVERYWHERE.iter().map(|&word| word.to_owned()));
        is_mostly(password, &words)
    }
}

/// The words of a name: `wiki.example.org` is `wiki` and `example`, and `ada.lovelace` is two as well.
fn parts(name: &str) -> Vec<String> {
    let name = name.to_lowercase();
    let words = name.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| word.chars().count() >= SHORTEST)
        .map(str::to_owned)
        .collect()
}

/// Whether little is left of a password without these words and without years, as it is written or with
/// the usual stand-ins read as letters; and at least one of the words is in it.
fn is_mostly(password: &str, words: &[String]) -> bool {
    let lower = password.to_lowercase();
    let mut words: Vec<&String> = words
        .iter()
        .filter(|word| word.chars().count() >= SHORTEST)
        .collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    let inner = lower.trim_matches(|c: char| !c.is_alphabetic());
    [lower.clone(), unleet(inner)].into_iter().any(|text| {
        let mut left: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
        let mut has_one = false;
        for word in &words {
            has_one |= left.contains(word.as_str());
            left = left.replace(word.as_str(), " ");
        }
        has_one && without_years(&left).chars().filter(|c| *c != ' ').count() < OWN
    })
}

/// Without 1900 to 2099.
fn without_years(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut left = String::new();
    let mut rest = characters.as_slice();
    while let [first, others @ ..] = rest {
        if let ['1', '9', a, b, after @ ..] | ['2', '0', a, b, after @ ..] = rest
            && a.is_ascii_digit()
            && b.is_ascii_digit()
        {
            rest = after;
            continue;
        }
        left.push(*first);
        rest = others;
    }
    left
}

/// Seasons, months, days and what places call themselves, in the languages that such passwords are mostly
/// made in. Longer ones first where one holds another does not matter: they are taken out by length.
const EVERYWHERE: &[&str] = &[
    "spring",
    "summer",
    "autumn",
    "fall",
    "winter",
    "fruehling",
    "frühling",
    "fruhling",
    "sommer",
    "herbst",
    "printemps",
    "automne",
    "hiver",
    "primavera",
    "verano",
    "otoño",
    "otono",
    "invierno",
    "estate",
    "autunno",
    "inverno",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "januar",
    "februar",
    "märz",
    "maerz",
    "juni",
    "juli",
    "oktober",
    "dezember",
    "janvier",
    "fevrier",
    "février",
    "mars",
    "avril",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "decembre",
    "décembre",
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "montag",
    "dienstag",
    "mittwoch",
    "donnerstag",
    "freitag",
    "samstag",
    "sonntag",
    "company",
    "firma",
    "firm",
    "corporation",
    "corp",
    "inc",
    "gmbh",
    "ltd",
    "unternehmen",
    "entreprise",
    "empresa",
    "azienda",
    "business",
    "office",
    "team",
    "staff",
    "portcullis",
    "gateway",
    "panel",
    "login",
    "admin",
    "administrator",
    "root",
    "password",
    "passwort",
    "kennwort",
    "passwd",
    "motdepasse",
    "contraseña",
    "welcome",
    "willkommen",
    "bienvenue",
    "bienvenido",
    "changeme",
    "letmein",
    "hello",
    "hallo",
    "localhost",
    "server",
    "intern",
    "internal",
    "test",
    "temp",
    "start",
    "the",
    "and",
    "und",
    "www",
    "com",
    "org",
    "net",
];
