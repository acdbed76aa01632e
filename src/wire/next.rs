//! Where a person goes after signing in: only ever a path on the same host.
//!
//! Browsers read `/\host`, `//host` and paths with tabs or line ends in them as other hosts or drop
//! parts of them (CVE-2020-4037, CVE-2021-21291), so only what needs no repair is taken.

use std::fmt;

/// A path with query on this host that a browser takes as it stands; never an act of the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextPath(String);

impl NextPath {
    /// The longest path, in bytes. Longer ones lead home.
    pub const MAX_LENGTH: usize = 2048;

    /// Reads a path from a link or a form; `None` for anything that could lead elsewhere.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() <= Self::MAX_LENGTH
            && text.starts_with('/')
            && !text.starts_with("//")
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"\\<>\"`{}^|#".contains(&byte));
        let path = text.split('?').next().unwrap_or_default();
        let dots = |segment: &str| {
            let segment = segment.to_ascii_lowercase().replace("%2e", ".");
            segment == "." || segment == ".."
        };
        let allowed = plain && !path.split('/').any(dots) && leads_to_a_page(path);
        allowed.then(|| Self(text.to_owned()))
    }

    /// The start page of the panel.
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// The path with its query.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NextPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Of the portal only the account page is a place to arrive at.
fn leads_to_a_page(path: &str) -> bool {
    let portal = path
        .get(..12)
        .is_some_and(|start| start.eq_ignore_ascii_case("/.portcullis"));
    !portal || path == "/.portcullis/account"
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
            "/x?next=//e",
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
            "/.portcullis/logout",
            "/.Portcullis/logout",
            "/x\r\nSet-Cookie: a=b",
            "///e.com",
            "/..//e.com",
            "/%2e%2E//e.com",
            "/a#b",
            "/é",
        ] {
            assert_eq!(NextPath::parse(path), None, "{path:?}");
        }
        assert_eq!(NextPath::parse(&format!("/{}", "a".repeat(8192))), None);
    }
}
