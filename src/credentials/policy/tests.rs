//! What is taken and what is not, and the sentence for it.

use super::*;

fn place<'a>() -> Place<'a> {
    Place {
        user: "ada.lovelace",
        names: vec!["wiki.analytical-engines.example", "Ledger"],
    }
}

#[test]
fn what_is_guessed_first_is_not_taken() {
    for password in [
        "password1234",
        "P@ssw0rd!2026",
        "passwordpassword",
        "1234567890123",
        "aaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "zyxwvutsrqponm",
        "Portcullis2026!",
        "letmeinplease",
        "username1234",
        "iloveyoubaby",
        "unbelievable",
        "Unbelievable",
        "UNBELIEVABLE!1",
        "1qaz2wsx3edc",
        "butterfly2024!",
        "qwertyuiop[]",
        "Sommer2026!!!!",
        "Firma2026!!!!",
        "Winter-2025-26",
        "F1rma.2026.!!",
        "Ledger2026!!!",
        "analytical2026",
        "Engines#2027##",
        "lovelace202611",
        "AdaLovelace!1",
        "l0velace2026!",
        "Januar.2026.!",
        "19841984198419",
        "asdfasdfasdf12",
        "December25th2025",
    ] {
        assert!(judge(password, 12, &place()).is_err(), "{password}");
    }
    assert_eq!(judge("short", 12, &place()), Err(Weakness::Short(12)));
    assert_eq!(judge("pässwörd123", 12, &place()), Err(Weakness::Short(12)));
    assert_eq!(
        judge("lovelace202611", 12, &place()),
        Err(Weakness::OwnName)
    );
    assert_eq!(
        judge("Firma2026!!!!", 12, &place()),
        Err(Weakness::ThisPlace)
    );
    assert_eq!(
        judge("Ledger2026!!!", 12, &place()),
        Err(Weakness::ThisPlace)
    );
    assert_eq!(judge(&"x".repeat(1025), 12, &place()), Err(Weakness::Long));
}

#[test]
fn no_common_password_that_is_long_enough_is_taken() {
    let list = include_str!("../guessed/passwords.txt");
    let long: Vec<_> = list.lines().filter(|word| word.len() >= 12).collect();
    assert!(long.len() >= 180, "{}", long.len());
    for word in long {
        assert!(judge(word, 12, &place()).is_err(), "{word}");
        assert!(judge(&word.to_uppercase(), 12, &place()).is_err(), "{word}");
        // What is no word, such as a number of a spreadsheet, is another password with a sign behind it.
        if word.chars().all(char::is_alphabetic) {
            for end in ["!", "1", "2026!"] {
                let longer = format!("{word}{end}");
                assert!(judge(&longer, 12, &place()).is_err(), "{longer}");
            }
        }
    }
}

#[test]
fn a_hash_and_what_can_not_be_typed_are_called_that() {
    for hash in [
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "$6$saltsalt$hashhashhash",
        "$apr1$salt$hashhashhash",
        "$y$j9T$salt$hash",
        "{SSHA}aGFzaGhhc2hoYXNo",
        "{CRYPT}$6$x$y",
        "pbkdf2_sha256$600000$salt$aGFzaA==",
        "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8",
    ] {
        assert_eq!(judge(hash, 12, &place()), Err(Weakness::Hash), "{hash}");
    }
    for password in [
        "plum tractor\nelbow",
        "plum tractor\relbow",
        "plum tractor elbow\n",
        "\u{feff}plum tractor elbow",
        "plum\0tractor elbow",
        "plum\ttractor elbow",
        "plum tractor\u{2028}elbow",
        "plum\u{200b}tractor elbow",
        "plum\u{85}tractor elbow",
    ] {
        assert_eq!(
            judge(password, 12, &place()),
            Err(Weakness::Untypable),
            "{password:?}"
        );
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
        "$6 for three plum tractors",
        "{blue} tractor elbow",
        "a summer with Ada and forty plums",
    ] {
        assert_eq!(judge(password, 12, &place()), Ok(()), "{password}");
    }
}
