//! Lists in header fields, read from their right end: what a proxy has added stands there.
//!
//! Quoted strings are parsed from the right as well. Read from the left, a quote that a client has
//! left open would swallow what the proxy wrote behind it (RFC 7239 §4, RFC 9110 §5.6.4).

use http::{HeaderMap, HeaderName};

/// The elements of all lines of a field, the last one first. Empty ones are left out (RFC 9110
/// §5.6.1.2).
pub(super) fn from_the_right<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| parts_from_the_right(line.as_bytes(), b','))
}

/// What stands between the separators outside of quoted strings, the last part first, without blanks
/// around it. Empty parts are left out.
pub(super) fn parts_from_the_right(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(text);
    let parts = std::iter::from_fn(move || {
        let text = left?;
        let (before, part) = split_last(text, separator);
        left = before;
        Some(part.trim_ascii())
    });
    parts.filter(|part| !part.is_empty())
}

/// The text before the last separator, and what follows it.
fn split_last(text: &[u8], separator: u8) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (at, &byte) in text.iter().enumerate().rev() {
        let (before, from_here) = text.split_at_checked(at).unwrap_or_default();
        if byte == b'"' && !ends_in_escape(before) {
            is_quoted = !is_quoted;
        } else if byte == separator && !is_quoted {
            return (Some(before), from_here.get(1..).unwrap_or_default());
        }
    }
    (None, text)
}

/// Whether the next byte is escaped: an odd number of backslashes stands before it.
fn ends_in_escape(text: &[u8]) -> bool {
    let escapes = text.iter().rev().take_while(|&&byte| byte == b'\\').count();
    escapes % 2 == 1
}

/// The text of a token or of a quoted string. `None` for an open quote, and for one with escapes: no
/// address, scheme or host needs any.
pub(super) fn plain(value: &[u8]) -> Option<&str> {
    let text = str::from_utf8(value).ok()?.trim_ascii();
    let inner = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text,
    };
    (!inner.contains(['"', '\\'])).then_some(inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        let parts = parts_from_the_right(text.as_bytes(), b',');
        parts.map(|part| str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn commas_in_quotes_part_nothing() {
        for (text, expected) in [
            ("", &[][..]),
            (" , ,\t,", &[]),
            ("a", &["a"]),
            ("a, b ,c", &["c", "b", "a"]),
            (r#"a="1,2",b"#, &["b", r#"a="1,2""#]),
            (r#"a="1\",2",b"#, &["b", r#"a="1\",2""#]),
            (r#"a="1\\",2"#, &["2", r#"a="1\\""#]),
            // A quote that a client has left open ends where the proxy's own words begin.
            (
                r#"for="evil, for=1.2.3.4"#,
                &["for=1.2.3.4", r#"for="evil"#],
            ),
            (r#"x"y, for="[::1]""#, &[r#"for="[::1]""#, r#"x"y"#]),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_tokens_or_quoted_strings() {
        for (value, expected) in [
            ("a", Some("a")),
            (" a ", Some("a")),
            (r#""a b""#, Some("a b")),
            (r#""""#, Some("")),
            (r#"""#, None),
            (r#""a"#, None),
            (r#"a""#, None),
            (r#""a\b""#, None),
        ] {
            assert_eq!(plain(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(plain(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn what_stands_on_the_left_changes_no_part_on_the_right(left in "[ -~]{0,40}") {
            for own in [r#"for="[2001:db8::1]:1";host="a,b""#, "for=1.2.3.4;proto=https", "203.0.113.9"] {
                let text = format!("{left}, {own}");
                prop_assert_eq!(parts(&text)[0], own);
            }
        }
    }
}
