//! Codes as people type, paste and dictate them: what is no part of a code is skipped, and digits of every
//! script are read.
//!
//! Codes have ASCII letters and digits alone, so that nothing of one is lost by this. Passwords are not read
//! so: in them every sign counts.

use unicode_normalization::UnicodeNormalization;

/// Longer than any spelling of a code, in bytes: not worth looking at.
const MOST: usize = 512;

/// A code without dashes, blanks and signs that can't be seen, in compatibility form (NFKC: full-width
/// letters are plain ones) and with decimal digits of every script as ASCII. Empty when it is too long.
pub fn folded(text: &str) -> String {
    if text.len() > MOST {
        return String::new();
    }
    text.chars()
        .filter(|sign| !is_unseen(*sign))
        .nfkc()
        .filter(|sign| !is_dash(*sign) && !sign.is_whitespace())
        .map(plain_digit)
        .collect()
}

/// Whether a sign is a dash, or what keyboards and programs put in its place: the category Pd, minus signs,
/// hyphen bullets, and the Katakana sign that lies beside the zero on Japanese keyboards.
pub(super) fn is_dash(sign: char) -> bool {
    matches!(
        sign,
        '-' | '\u{58a}' | '\u{5be}' | '\u{1400}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2e17}'
                | '\u{2e1a}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{2e40}'
                | '\u{2e5d}'
                | '\u{301c}'
                | '\u{3030}'
                | '\u{30a0}'
                | '\u{fe31}'
                | '\u{fe32}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{ff0d}'
                | '\u{10d6e}'
                | '\u{10ead}'
                | '\u{2d7}'
                | '\u{2043}'
                | '\u{207b}'
                | '\u{208b}'
                | '\u{2212}'
                | '\u{2796}'
                | '\u{30fc}'
                | '\u{ff70}'
    )
}

/// Signs that are not seen: the property `Default_Ignorable_Code_Point`, the empty Braille sign, and what
/// makes a digit a key cap.
pub(super) fn is_unseen(sign: char) -> bool {
    matches!(
        sign,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{20e3}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// A decimal digit as the ASCII one of its value; any other sign as it is.
pub(super) fn plain_digit(sign: char) -> char {
    let digit = ZEROS.iter().find_map(|zero| {
        let value = u32::from(sign).checked_sub(*zero)?;
        char::from_digit(value, 10)
    });
    digit.unwrap_or(sign)
}

/// The zeros of Unicode 16 that NFKC leaves as they are; each is followed by its nine digits
/// (`DerivedNumericType`).
const ZEROS: [u32; 67] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0,
    0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0,
    0x11f50, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e5f1, 0x1e950,
    0x1ccf0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_part_of_a_code_is_skipped() {
        for typed in [
            "287082",
            " 287 082\t",
            "287-082",
            "287\u{2013}082",
            "287\u{2212}082",
            "287\u{30fc}082",
            "287\u{ff0d}082",
            "287\u{ad}082",
            "\u{feff}287082",
            "\u{200b}287\u{2060}082\u{200e}",
            "\u{202a}287082\u{202c}",
            "287\u{a0}082",
            "287\u{202f}082",
            "287\u{3000}082",
            "287\u{2800}082\r\n",
            "２８７０８２",
            "٢٨٧٠٨٢",
            "۲۸۷۰۸۲",
            "२८७०८२",
            "𝟐𝟖𝟕𝟎𝟖𝟐",
            "2\u{fe0f}\u{20e3}87082",
        ] {
            assert_eq!(folded(typed), "287082", "{typed:?}");
        }
    }

    #[test]
    fn other_signs_stay_and_a_long_text_is_nothing() {
        for (typed, folded_text) in [
            ("28708a", "28708a"),
            ("287082\0", "287082\0"),
            ("+28708", "+28708"),
            ("ＡＢｃｄ", "ABcd"),
            ("二八七", "二八七"),
            ("", ""),
        ] {
            assert_eq!(folded(typed), folded_text, "{typed:?}");
        }
        assert_eq!(folded(&"-".repeat(513)), "");
        assert_eq!(folded(&format!("{}1", "-".repeat(511))), "1");
    }

    #[test]
    fn every_zero_begins_ten_digits_and_no_two_scripts_share_one() {
        for zero in ZEROS {
            for value in 0..10 {
                let digit = char::from_u32(zero + value).unwrap();
                assert!(digit.is_numeric() || zero > 0x1_0000, "{digit:?}");
                assert_eq!(plain_digit(digit), char::from_digit(value, 10).unwrap());
            }
        }
        let mut sorted = ZEROS.to_vec();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0] + 10 <= pair[1]));
    }
}
