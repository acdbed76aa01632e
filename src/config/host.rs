//! Host names and addresses of the file: the external URL, panels' hosts, upstreams.

use std::fmt;
use std::path::PathBuf;

use super::value;
use crate::wire::authority::{Authority, AuthorityFault};

/// What people type to reach the gateway: `https://` and one host, with a port where it is not 443.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    host: String,
    authority: String,
}

/// For which `Host` a panel is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PanelHost {
    /// The host of the external URL.
    External,
    /// Any host.
    Any,
    /// This one, in its canonical form: lower case, no port, IPv6 in brackets.
    Named(String),
}

/// Where a panel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// Plain HTTP.
    Http(Authority),
    /// HTTP over TLS.
    Https(Authority),
    /// A UNIX socket.
    Unix(PathBuf),
}

/// The one certificate that an `https` upstream may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinnedCertificate {
    /// The first in this PEM file.
    File(PathBuf),
    /// The one whose DER encoding has this digest.
    Sha256([u8; 32]),
}

impl ExternalUrl {
    /// Reads `https://HOST[:PORT]`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let rest = strip_scheme(text, "https://").ok_or_else(|| {
            format!(
                "{text:?} does not begin with https://; write it like \"https://admin.example.org\""
            )
        })?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority = of_public_dns(rest)?.without_default(443);
        Ok(Self {
            host: authority.host_in_url(),
            authority: authority.to_string(),
        })
    }

    /// As it would be written.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        Self::parse(text).unwrap()
    }

    /// The same with another host.
    pub(super) fn at(&self, host: &str) -> Self {
        let port = self.authority.strip_prefix(&self.host).unwrap_or_default();
        Self {
            host: host.to_owned(),
            authority: format!("{host}{port}"),
        }
    }

    /// The host in lower case, without the port; IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is reached on its own machine alone.
    pub fn is_loopback(&self) -> bool {
        Authority::parse(&self.authority).is_ok_and(|authority| authority.is_loopback())
    }

    /// The host, and the port where it is not 443: what a browser sends as `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The URL of a path, which begins with `/`.
    pub fn join(&self, path: &str) -> String {
        format!("{self}{path}")
    }
}

impl Default for ExternalUrl {
    /// `https://localhost:8443`
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            authority: "localhost:8443".to_owned(),
        }
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

impl PanelHost {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::External),
            "*" => Ok(Self::Any),
            name => {
                let authority = of_public_dns(name)?;
                let host = authority.host_in_url();
                match authority.port() {
                    None => Ok(Self::Named(host)),
                    Some(_) => Err(format!(
                        "a host stands here without its port: {host:?}, or \"\" for external_url's host"
                    )),
                }
            }
        }
    }
}

impl PanelHost {
    /// Whether a request for `host`, which is canonical, is meant.
    pub fn is_for(&self, host: &str, external_host: &str) -> bool {
        match self {
            Self::External => host == external_host,
            Self::Any => true,
            Self::Named(name) => host == name,
        }
    }

    /// Whether both mean exactly the same hosts.
    pub(super) fn is_same(&self, other: &Self, external_host: &str) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Any, _) | (_, Self::Any) => false,
            (one, Self::External) => one.is_for(external_host, external_host),
            (one, Self::Named(name)) => one.is_for(name, external_host),
        }
    }
}

impl PinnedCertificate {
    /// Reads a path, or `sha256:` and 64 hexadecimal digits, in pairs between colons if one likes: as
    /// `openssl x509 -fingerprint -sha256` prints them.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some(digits) = strip_scheme(text, "sha256:") else {
            return match text {
                "" => Ok(None),
                text => value::path(text).map(Self::File).map(Some),
            };
        };
        let digits = digits.replace(':', "");
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let digits = pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
            let pair = str::from_utf8(pair).ok().filter(|_| digits)?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
        let digest = bytes.and_then(|bytes| bytes.try_into().ok());
        digest
            .map(|digest| Some(Self::Sha256(digest)))
            .ok_or_else(|| {
                format!(
                    "{text:?} is no fingerprint; write \"sha256:\" and 64 hexadecimal digits, as \
                 `openssl x509 -noout -fingerprint -sha256 -in FILE` prints them"
                )
            })
    }
}

impl Upstream {
    /// Reads `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/path`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return value::path(path).map(Self::Unix);
        }
        let (rest, tls) = match (
            strip_scheme(text, "http://"),
            strip_scheme(text, "https://"),
        ) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => {
                return Err(format!(
                    "{text:?} is no upstream; write it like \"http://127.0.0.1:8080\", \
                     \"https://panel.internal\" or \"unix:/run/panel.sock\""
                ));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let authority = Authority::parse(rest).map_err(|fault| fault.to_string())?;
        Ok(if tls {
            Self::Https(authority.without_default(443))
        } else {
            Self::Http(authority.without_default(80))
        })
    }

    /// The scheme of its URL with the port that is meant where none is written, and its authority;
    /// `None` for a UNIX socket.
    pub fn of_url(&self) -> Option<(&'static str, u16, &Authority)> {
        match self {
            Self::Http(authority) => Some(("http", 80, authority)),
            Self::Https(authority) => Some(("https", 443, authority)),
            Self::Unix(_) => None,
        }
    }

    /// Whether nobody but this machine can reach it by this address.
    pub fn is_local(&self) -> bool {
        self.of_url()
            .is_none_or(|(_, _, authority)| authority.is_loopback())
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(authority) => write!(f, "http://{authority}"),
            Self::Https(authority) => write!(f, "https://{authority}"),
        }
    }
}

/// Schemes are compared without letter case (RFC 3986 §3.1).
fn strip_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// An authority without what only some readers take: an underscore, and a dot at the end.
fn of_public_dns(text: &str) -> Result<Authority, String> {
    let authority = Authority::parse(text).map_err(|fault| fault.to_string())?;
    let (host, _) = text.rsplit_once(':').unwrap_or((text, ""));
    if host.ends_with('.') || text.ends_with('.') || text.contains('_') {
        return Err(AuthorityFault::Host(text.to_owned()).to_string());
    }
    Ok(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_urls_have_one_spelling() {
        for (text, host, authority) in [
            ("https://localhost:8443", "localhost", "localhost:8443"),
            (
                "HTTPS://Admin.Example.ORG:443/",
                "admin.example.org",
                "admin.example.org",
            ),
            (
                "https://[2001:DB8::0:1]:1",
                "[2001:db8::1]",
                "[2001:db8::1]:1",
            ),
            ("https://10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ] {
            let url = ExternalUrl::parse(text).unwrap();
            assert_eq!((url.host(), url.authority()), (host, authority));
            assert_eq!(url.join("/x"), format!("https://{authority}/x"));
        }
    }

    #[test]
    fn what_is_no_external_url_is_refused() {
        for text in [
            "",
            "https://",
            "http://a",
            "https:/a",
            "a.example",
            "https://a/b",
            "https://a?x",
            "https://u@a",
            "https://a:",
            "https://a:0",
            "https://a:99999",
            "https://a:+1",
            "https://a..b",
            "https://a.",
            "https://-a",
            "https://a b",
            "https://b\u{fc}cher.example",
            "https://[::1",
            "https://1.2.3",
            "https://::1",
            "https://a_b",
            "https://*",
        ] {
            assert!(ExternalUrl::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn upstreams_are_read() {
        let authority = |text| Authority::parse(text).unwrap();
        let http = |text| Upstream::Http(authority(text));
        for (text, upstream, local) in [
            ("http://127.0.0.1:8080", http("127.0.0.1:8080"), true),
            ("http://[::1]/", http("[::1]"), true),
            ("http://Localhost", http("localhost"), true),
            ("http://my_panel:80", http("my_panel"), false),
            ("http://panel:81", http("panel:81"), false),
            ("https://panel", Upstream::Https(authority("panel")), false),
            (
                "unix:/run/p.sock",
                Upstream::Unix("/run/p.sock".into()),
                true,
            ),
        ] {
            assert_eq!(Upstream::parse(text), Ok(upstream.clone()), "{text}");
            assert_eq!(upstream.is_local(), local, "{text}");
        }
        for text in [
            "",
            "127.0.0.1:8080",
            "ftp://x",
            "http://x/app",
            "unix:",
            "http://x:y",
        ] {
            assert!(Upstream::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn pinned_certificates_are_read() {
        let colons = vec!["AB"; 32].join(":");
        for text in [
            format!("sha256:{}", "ab".repeat(32)),
            format!("SHA256:{colons}"),
        ] {
            let pinned = Some(PinnedCertificate::Sha256([0xab; 32]));
            assert_eq!(PinnedCertificate::parse(&text), Ok(pinned), "{text}");
        }
        let file = Some(PinnedCertificate::File("panel.pem".into()));
        assert_eq!(PinnedCertificate::parse("panel.pem"), Ok(file));
        assert_eq!(PinnedCertificate::parse(""), Ok(None));
        for digits in ["", "ab", "+b", "\u{e9}"] {
            let text = format!("sha256:{digits}");
            assert!(PinnedCertificate::parse(&text).is_err(), "{text}");
        }
        let odd = format!("sha256:{}", "+b".repeat(32));
        assert!(PinnedCertificate::parse(&odd).is_err());
    }

    #[test]
    fn panel_hosts_are_read() {
        assert_eq!(PanelHost::parse(""), Ok(PanelHost::External));
        assert_eq!(PanelHost::parse("*"), Ok(PanelHost::Any));
        assert_eq!(PanelHost::parse("A.b"), Ok(PanelHost::Named("a.b".into())));
        for text in ["a:1", "https://a", "*.a", "a/b"] {
            assert!(PanelHost::parse(text).is_err(), "{text:?}");
        }
    }
}
