//! Where a person goes after signing in: only ever a path on the same host.
//!
//! Browsers read `/\host`, `//host` and paths with tabs or line ends in them as other hosts or drop
//! parts of them (CVE-2020-4037, CVE-2021-21291). No request can have such a target here, so they lead
//! home. Anything else of an address is kept: what a header field could not carry is percent-encoded
//! (RFC 3986 §2.1), and the rest stays as it was written.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// A path with query and fragment on this host; never an act of the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextPath(String);

/// What browsers encode themselves, and a backslash, which they would read as a slash.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\');

/// The longest path in the form that [`NextPath::in_query`] gives it: it has to fit into the head of a
/// request, beside what a browser sends with it.
const MAX_LENGTH: usize = 56 * 1024;

impl NextPath {
    /// Reads a path from a link or a form; `None` for anything that could lead elsewhere.
    pub fn parse(text: &str) -> Option<Self> {
        let (path, _) = split(text);
        let could_leave = !text.starts_with('/')
            || text.starts_with("//")
            || path.contains('\\')
            || text.chars().any(char::is_control);
        let dots = |segment: &str| {
            let segment = segment.to_ascii_lowercase().replace("%2e", ".");
            segment == "." || segment == ".."
        };
        if could_leave || path.split('/').any(dots) || !leads_to_a_page(path) {
            return None;
        }
        let next = Self(utf8_percent_encode(text, UNSAFE).to_string());
        (next.in_query().len() <= MAX_LENGTH).then_some(next)
    }

    /// The start page of the panel.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// The path with its query and fragment.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path alone.
    pub fn path(&self) -> &str {
        split(&self.0).0
    }

    /// As the value of a field in a query.
    pub fn in_query(&self) -> String {
        utf8_percent_encode(&self.0, NON_ALPHANUMERIC).to_string()
    }

    /// Whether it is a page of the gateway's own.
    pub fn is_of_the_portal(&self) -> bool {
        is_below_the_portal(self.path())
    }
}

impl fmt::Display for NextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The path, and what comes after it.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(['?', '#']).unwrap_or(text.len()))
}

fn is_below_the_portal(path: &str) -> bool {
    path.get(..12)
        .is_some_and(|start| start.eq_ignore_ascii_case("/.portcullis"))
}

/// Of the portal only the pages of people who are signed in are places to arrive at: no step of signing in,
/// which would lead to itself, and no act.
fn leads_to_a_page(path: &str) -> bool {
    if !is_below_the_portal(path) {
        return true;
    }
    let one_user = path.strip_prefix("/.portcullis/users/");
    [
        "/.portcullis/",
        "/.portcullis/account",
        "/.portcullis/users",
        "/.portcullis/audit",
    ]
    .contains(&path)
        || one_user.is_some_and(|user| !user.is_empty() && !user.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_on_this_host_are_taken() {
        for path in [
            "/",
            "/users/?page=2&q=%2F",
            "/a/b.c",
            "/@e.com",
            "/.portcullis/account",
            "/.portcullis/users",
            "/.portcullis/users/ada%2Elovelace",
            "/.portcullis/audit?before=12",
            "/x?next=//e",
            "/q?{a}|b^c`d[0]=1&e='f'~!$()*,;:@",
            "/{a}|b^c`d",
            "/a#b/../c?d#e",
            "/q?../..&a=%",
        ] {
            assert_eq!(
                NextPath::parse(path).as_ref().map(NextPath::as_str),
                Some(path)
            );
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_not() {
        for path in [
            "",
            "//e.com",
            "/\\e.com",
            "/\t/e.com",
            "\\\\e.com",
            "https:e.com",
            "https:/e.com",
            "javascript:alert(1)",
            "/q\u{0}",
            "/q?\u{85}",
            "/.portcullis/logout",
            "/.portcullis/login?next=/",
            "/.portcullis/second-factor",
            "/.portcullis/enrol",
            "/.portcullis/setup?token=x",
            "/.portcullis/users/",
            "/.portcullis/users/ada/disable",
            "/.portcullis/account/password",
            "/.portcullis/Account",
            "/.portcullisx",
            "/.Portcullis/logout",
            "/x\r\nSet-Cookie: a=b",
            "///e.com",
            "/..//e.com",
            "/%2e%2E//e.com",
        ] {
            assert_eq!(NextPath::parse(path), None, "{path:?}");
        }
        assert_eq!(
            NextPath::parse(&format!("/{}", "a".repeat(MAX_LENGTH))),
            None
        );
    }

    #[test]
    fn what_a_field_can_not_carry_is_encoded() {
        for (path, encoded) in [
            (
                "/\u{e9}?q=\u{1f980}#\u{df}",
                "/%C3%A9?q=%F0%9F%A6%80#%C3%9F",
            ),
            ("/a b?c d", "/a%20b?c%20d"),
            ("/?q=\"<x>\"", "/?q=%22%3Cx%3E%22"),
            ("/?q=a\\b#\\", "/?q=a%5Cb#%5C"),
            ("/%C3%A9?%ff", "/%C3%A9?%ff"),
        ] {
            let next = NextPath::parse(path).unwrap();
            assert_eq!(next.as_str(), encoded);
            // Reading it once more changes nothing.
            assert_eq!(NextPath::parse(encoded), Some(next));
        }
        for length in [2_049, 8_192, 18_000] {
            let long = format!("/{}", "%2F".repeat(length / 3));
            assert_eq!(NextPath::parse(&long).unwrap().as_str(), long);
        }
    }
}
