//! Host names and addresses of the file: the external URL, panels' hosts, upstreams.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::value;

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
    /// Plain HTTP; the host without brackets.
    Http { host: String, port: u16 },
    /// HTTP over TLS; the host without brackets.
    Https { host: String, port: u16 },
    /// A UNIX socket.
    Unix(PathBuf),
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
        no_more_than_authority(rest)?;
        let (host, port) = split_port(rest)?;
        let host = canonical(host)?;
        let authority = match port {
            None | Some(443) => host.clone(),
            Some(port) => format!("{host}:{port}"),
        };
        Ok(Self { host, authority })
    }

    /// The host in lower case, without the port; IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
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
                no_more_than_authority(name)?;
                match split_port(name)? {
                    (host, None) => canonical(host).map(Self::Named),
                    (host, Some(_)) => Err(format!(
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
        no_more_than_authority(rest)?;
        let (host, port) = split_port(rest)?;
        let host = canonical(host)?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .map_or(host.clone(), str::to_owned);
        Ok(if tls {
            let port = port.unwrap_or(443);
            Self::Https { host, port }
        } else {
            let port = port.unwrap_or(80);
            Self::Http { host, port }
        })
    }

    /// Whether nobody but this machine can reach it by this address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Http { host, .. } | Self::Https { host, .. } => {
                host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
            }
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Http { host, port } => ("http", host, port),
            Self::Https { host, port } => ("https", host, port),
        };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// Schemes are compared without letter case (RFC 3986 §3.1).
fn strip_scheme<'t>(text: &'t str, scheme: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

fn no_more_than_authority(text: &str) -> Result<(), String> {
    if text.contains('@') {
        return Err(
            "a name or password has no place in this address; leave out all up to the @".to_owned(),
        );
    }
    match text.find(['/', '?', '#']) {
        Some(at) => Err(format!(
            "only a host and a port are possible here; leave out {:?}",
            text.get(at..).unwrap_or_default()
        )),
        None => Ok(()),
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let Some(port) = port else {
        return Ok((host, None));
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits && number > 0 => Ok((host, Some(number))),
        _ => Err(format!(
            "{port:?} is no port; a number from 1 to 65535 is possible"
        )),
    }
}

/// A host in its one spelling: lower case, addresses as the standard writes them, IPv6 in brackets.
fn canonical(host: &str) -> Result<String, String> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Option<Ipv6Addr> = inner.strip_suffix(']').and_then(|a| a.parse().ok());
        return address
            .map(|address| format!("[{address}]"))
            .ok_or_else(|| format!("{host:?} is no IPv6 address in brackets"));
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    let lower = host.to_ascii_lowercase();
    // A name that ends in a number is an IPv4 address to browsers (WHATWG URL, "ends in a number").
    let numeric_end = lower
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    if lower.len() > 253 || numeric_end || !lower.split('.').all(is_label) {
        return Err(format!(
            "{host:?} is no host; letters a to z, digits, hyphens and single dots are possible \
             (write other letters as their xn-- form)"
        ));
    }
    Ok(lower)
}

fn is_label(label: &str) -> bool {
    let possible = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(possible)
        && !label.starts_with('-')
        && !label.ends_with('-')
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
        let http = |host: &str, port| Upstream::Http {
            host: host.into(),
            port,
        };
        for (text, upstream, local) in [
            ("http://127.0.0.1:8080", http("127.0.0.1", 8080), true),
            ("http://[::1]/", http("::1", 80), true),
            ("http://Localhost", http("localhost", 80), true),
            ("http://panel:81", http("panel", 81), false),
            (
                "https://panel",
                Upstream::Https {
                    host: "panel".into(),
                    port: 443,
                },
                false,
            ),
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
    fn panel_hosts_are_read() {
        assert_eq!(PanelHost::parse(""), Ok(PanelHost::External));
        assert_eq!(PanelHost::parse("*"), Ok(PanelHost::Any));
        assert_eq!(PanelHost::parse("A.b"), Ok(PanelHost::Named("a.b".into())));
        for text in ["a:1", "https://a", "*.a", "a/b"] {
            assert!(PanelHost::parse(text).is_err(), "{text:?}");
        }
    }
}
