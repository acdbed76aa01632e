//! The authority of a URL (RFC 3986 §3.2): a host, and a port where one is written.
//!
//! One type with one parser and one spelling, so that two places which compare authorities can't
//! disagree about letter case, brackets, closing dots or default ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host with or without a port, in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Authority {
    /// Lower case, no closing dot, an IPv6 address without brackets.
    host: String,
    port: Option<u16>,
}

/// Why a text is no authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityFault {
    #[error("a name or password has no place in this address; leave out all up to the @")]
    UserInformation,
    #[error("only a host and a port are possible here; leave out {0:?}")]
    More(String),
    #[error("{0:?} is no port; a number from 1 to 65535 is possible")]
    Port(String),
    #[error("{0:?} is no IPv6 address in brackets")]
    Ipv6(String),
    #[error(
        "{0:?} is no host; letters a to z, digits, hyphens and single dots are possible \
         (write other letters as their xn-- form)"
    )]
    Host(String),
}

impl Authority {
    /// Reads `HOST[:PORT]`: a name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`AuthorityFault`] for anything else. A name may have underscores, as those of containers do.
    pub fn parse(text: &str) -> Result<Self, AuthorityFault> {
        if text.contains('@') {
            return Err(AuthorityFault::UserInformation);
        }
        if let Some(more) = text.find(['/', '\\', '?', '#']) {
            let more = text.get(more..).unwrap_or_default();
            return Err(AuthorityFault::More(more.to_owned()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(read_port(port)?)),
            _ => (text, None),
        };
        Ok(Self {
            host: read_host(host)?,
            port,
        })
    }

    /// The host without brackets: what is connected to, and what a certificate is for.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as it stands in a URL: an IPv6 address in brackets.
    pub fn host_in_url(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The port that is meant where the scheme's is `default`.
    pub fn port_or(&self, default: u16) -> u16 {
        self.port.unwrap_or(default)
    }

    /// The same without its port, where that is the scheme's `default`.
    #[must_use]
    pub fn without_default(mut self, default: u16) -> Self {
        self.port = self.port.filter(|port| *port != default);
        self
    }

    /// Whether both name the same host and port where the scheme's port is `default`.
    pub fn is_same(&self, other: &Self, default: u16) -> bool {
        self.host == other.host && self.port_or(default) == other.port_or(default)
    }

    /// Whether only this machine can be meant.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match (host.contains(':'), self.port) {
            (false, None) => f.write_str(host),
            (false, Some(port)) => write!(f, "{host}:{port}"),
            (true, None) => write!(f, "[{host}]"),
            (true, Some(port)) => write!(f, "[{host}]:{port}"),
        }
    }
}

/// Digits only: `parse` would take a sign.
fn read_port(text: &str) -> Result<u16, AuthorityFault> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && *number > 0);
    number.ok_or_else(|| AuthorityFault::Port(text.to_owned()))
}

fn read_host(text: &str) -> Result<String, AuthorityFault> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Option<Ipv6Addr> = inner.strip_suffix(']').and_then(|a| a.parse().ok());
        return address
            .map(|address| address.to_string())
            .ok_or_else(|| AuthorityFault::Ipv6(text.to_owned()));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    // A name that ends in a number is an IPv4 address to browsers (WHATWG URL, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit());
    if name.len() > 253 || ends_in_number || !name.split('.').all(is_label) {
        return Err(AuthorityFault::Host(text.to_owned()));
    }
    Ok(name.to_owned())
}

fn is_label(label: &str) -> bool {
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(possible)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_authority_has_one_spelling() {
        for (text, host, port, spelled) in [
            ("a.example", "a.example", None, "a.example"),
            ("A.Example.:80", "a.example", Some(80), "a.example:80"),
            ("my_panel:8080", "my_panel", Some(8080), "my_panel:8080"),
            ("127.0.0.1:1", "127.0.0.1", Some(1), "127.0.0.1:1"),
            ("[2001:DB8::0:1]", "2001:db8::1", None, "[2001:db8::1]"),
            ("[::1]:443", "::1", Some(443), "[::1]:443"),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host(), authority.port()), (host, port), "{text}");
            assert_eq!(authority.to_string(), spelled, "{text}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for text in [
            "",
            "a/b",
            "a\\b",
            "a?x",
            "a#x",
            "u@a",
            "a:",
            "a:0",
            "a:99999",
            "a:+1",
            "a:b",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a b",
            "b\u{fc}cher",
            "[::1",
            "[::1]x",
            "[1.2.3.4]",
            "1.2.3",
            "::1",
            "*",
            "%61",
            "[fe80::1%25eth0]",
            "a:1:2",
        ] {
            assert!(Authority::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_default_port_is_the_same_as_none() {
        let parse = |text| Authority::parse(text).unwrap();
        assert!(parse("a").is_same(&parse("A:80"), 80));
        assert!(!parse("a").is_same(&parse("a:80"), 443));
        assert!(!parse("a").is_same(&parse("b"), 80));
        assert_eq!(parse("a:443").without_default(443).to_string(), "a");
        assert_eq!(parse("a:80").without_default(443).to_string(), "a:80");
    }

    proptest! {
        #[test]
        fn what_is_spelled_is_read_as_the_same(text in "(\\[[0-9a-f:.]{0,20}\\]|[a-zA-Z0-9._-]{0,20})(:[0-9]{1,5})?") {
            if let Ok(authority) = Authority::parse(&text) {
                prop_assert_eq!(Authority::parse(&authority.to_string()), Ok(authority));
            }
        }
    }
}
