//! One spelling for texts that some program takes for the same.
//!
//! File systems, databases and frameworks compare names without letter case, width, accents or
//! characters that have no shape, and some replace a character by the nearest one that they know. Where
//! a name decides who may enter, two that any of them takes for one are one. Unicode §3.13 (full case
//! folding), UAX #15 (compatibility decomposition); the replacements are those of Windows code pages.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text in lower case, decomposed, without accents and characters that have no shape, the letters
/// that code pages replace by others replaced, and `\` as `/`.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        let seen = text.chars().filter(|&c| !has_no_shape(c));
        return seen.map(|c| nearest(c.to_ascii_lowercase())).collect();
    }
    text.nfkd()
        .filter(|&c| !is_combining_mark(c) && !has_no_shape(c))
        // Upper case first: `ı`, `ſ` and `ß` meet `i`, `s` and `ss` only there.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|&c| !is_combining_mark(c))
        .map(nearest)
        .collect()
}

/// Default_Ignorable_Code_Point (Unicode §5.21), and controls, which URL parsers of browsers' kind drop.
fn has_no_shape(c: char) -> bool {
    (c.is_control() && c != '\0')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What Windows code pages write for a character that they do not have ("best fit").
fn nearest(c: char) -> char {
    match c {
        '\\' | '¥' | '₩' | '⁄' | '∕' | '∖' | '⧵' | '⧸' => '/',
        'ı' => 'i',
        'ø' => 'o',
        'đ' | 'ð' | 'δ' => 'd',
        'ł' => 'l',
        'ħ' => 'h',
        'ŧ' | 'τ' | 'þ' => 't',
        'ƒ' | 'φ' => 'f',
        'α' => 'a',
        'ε' => 'e',
        'γ' => 'g',
        'θ' => 't',
        'π' => 'p',
        'σ' => 's',
        'ω' => 'o',
        'µ' => 'u',
        '‐'..='―' | '−' => '-',
        '·' | '•' | '∙' | '⋅' => '.',
        '´' | 'ʹ' | 'ʻ' | 'ʼ' | '‘' | '’' | '′' => '\'',
        'ʺ' | '“' | '”' | '″' => '"',
        '∶' | 'ː' | '׃' => ':',
        '¦' => '|',
        '‹' | '\u{2329}' | '\u{3008}' => '<',
        '›' | '\u{232a}' | '\u{3009}' => '>',
        '∗' => '*',
        '٪' => '%',
        ';' | '⁏' => ';',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_program_takes_for_one_is_one() {
        let wide = "\u{ff55}\u{ff53}\u{ff45}\u{ff52}\u{ff53}";
        for spelling in [
            wide,
            "users",
            "USERS",
            "u\u{17f}ers",
            "\u{fc}sers",
            "u\u{301}sers",
            "us\u{200b}ers",
            "us\u{ad}ers",
            "\u{24e4}\u{24e2}\u{24d4}\u{24e1}\u{24e2}",
            "u\u{3c3}ers",
            "us\u{feff}ers",
            "\u{1d42e}\u{1d42c}\u{1d41e}\u{1d42b}\u{1d42c}",
            "us\ners",
        ] {
            assert_eq!(folded(spelling), "users", "{spelling:?}");
        }
        for (spelling, same) in [
            ("stoc\u{212a}s", "stocks"),
            ("adm\u{131}n", "admin"),
            ("ADM\u{130}N", "admin"),
            ("stra\u{df}e", "strasse"),
            ("of\u{fb01}ce", "office"),
            ("a\u{ff0f}b", "a/b"),
            ("a\\b", "a/b"),
            ("a\u{ff3c}b", "a/b"),
            ("a\u{2215}b", "a/b"),
            ("\u{2025}", ".."),
            ("\u{ff05}", "%"),
            ("\u{ff1f}", "?"),
            ("\u{37e}", ";"),
            ("a\u{3000}", "a "),
        ] {
            assert_eq!(folded(spelling), same, "{spelling:?}");
        }
        assert_eq!(folded("страница"), "страница");
        for text in ["u\u{17f}ers", "ADM\u{130}N", "Σίσυφος", "ǰ", "ΐ"] {
            assert_eq!(folded(&folded(text)), folded(text), "{text:?}");
        }
    }
}
