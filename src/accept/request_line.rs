//! The first line of a request: method, target and version (RFC 9112 §3).

use super::fault::HeadFault;
use super::head::is_token;

/// A request line that may pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestLine {
    pub(super) version: Version,
}

/// The versions that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

impl RequestLine {
    pub(super) fn judge(line: &[u8]) -> Result<Self, HeadFault> {
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HeadFault::RequestLine);
        };
        if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
            return Err(HeadFault::RequestLine);
        }
        let version = Version::judge(version)?;
        judge_target(method, target)?;
        Ok(Self { version })
    }
}

impl Version {
    fn judge(text: &[u8]) -> Result<Self, HeadFault> {
        match text {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                Err(HeadFault::Version)
            }
            _ => Err(HeadFault::RequestLine),
        }
    }
}

/// The forms of RFC 9112 §3.2, of which a gateway serves three.
fn judge_target(method: &[u8], target: &[u8]) -> Result<(), HeadFault> {
    if method == b"CONNECT" {
        return Err(HeadFault::Connect);
    }
    if target.contains(&b'#') {
        return Err(HeadFault::Fragment);
    }
    match target {
        [b'/', ..] => {}
        b"*" if method == b"OPTIONS" => return Ok(()),
        _ => judge_authority(target)?,
    }
    if target.iter().all(|&byte| is_plain(byte)) {
        return Ok(());
    }
    // Rare characters: hyper makes a `Uri` of the target, so that decides.
    match http::Uri::try_from(target) {
        Ok(_) => Ok(()),
        Err(_) => Err(HeadFault::TargetCharacter),
    }
}

fn judge_authority(target: &[u8]) -> Result<(), HeadFault> {
    let rest = after_scheme(target).ok_or(HeadFault::TargetForm)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    if authority.contains(&b'@') {
        return Err(HeadFault::UserInfo);
    }
    if authority.is_empty() || http::Uri::try_from(target).is_err() {
        return Err(HeadFault::TargetForm);
    }
    Ok(())
}

fn after_scheme(target: &[u8]) -> Option<&[u8]> {
    [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        })
}

/// Characters that a target may hold as they are (RFC 3986 §3.3 and §3.4).
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'/' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$'
        | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' | b'%' | b'?')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn request_lines_that_are_refused() {
        use HeadFault::{Connect, Fragment, TargetCharacter, TargetForm, UserInfo};
        let (line, version) = (HeadFault::RequestLine, HeadFault::Version);
        let cases: [(&[u8], HeadFault); 31] = [
            (b"GET /a#b HTTP/1.1", Fragment),
            (b"GET http://a/#b HTTP/1.1", Fragment),
            (b"GET # HTTP/1.1", Fragment),
            (b"GET x HTTP/1.1", TargetForm),
            (b"GET * HTTP/1.1", TargetForm),
            (b"GET ftp://a/ HTTP/1.1", TargetForm),
            (b"GET http:///x HTTP/1.1", TargetForm),
            (b"GET http://?x HTTP/1.1", TargetForm),
            (b"GET http:/a HTTP/1.1", TargetForm),
            (b"GET a:80 HTTP/1.1", TargetForm),
            (b"GET http://u@a/ HTTP/1.1", UserInfo),
            (b"GET http://u:p@a HTTP/1.1", UserInfo),
            (b"CONNECT a:443 HTTP/1.1", Connect),
            (b"CONNECT / HTTP/1.1", Connect),
            (b"GET /\xc0\xaf HTTP/1.1", TargetCharacter),
            (b"GET /a<b HTTP/1.1", TargetCharacter),
            (b"GET /a\tb HTTP/1.1", TargetCharacter),
            (b"GET /a\x7fb HTTP/1.1", TargetCharacter),
            (b"GET /a\0b HTTP/1.1", TargetCharacter),
            (b"GET / HTTP/1.2", version),
            (b"GET / HTTP/2.0", version),
            (b"PRI * HTTP/2.0", version),
            (b"GET / HTTP/1.10", line),
            (b"GET / http/1.1", line),
            (b"GET /", line),
            (b"GET  / HTTP/1.1", line),
            (b"GET / HTTP/1.1 ", line),
            (b" GET / HTTP/1.1", line),
            (b"GET\t/ HTTP/1.1", line),
            (b"G(T / HTTP/1.1", line),
            (b"GET / / HTTP/1.1", line),
        ];
        for (line, fault) in cases {
            assert_eq!(
                RequestLine::judge(line).map(|line| line.version),
                Err(fault),
                "{:?}",
                line.escape_ascii().to_string()
            );
        }
    }

    proptest! {
        /// What passes here is never refused by hyper's reading of the target.
        #[test]
        fn a_target_that_passes_is_a_uri(target in "(/|\\*|http://)?[ -~]{0,20}") {
            let line = format!("GET {target} HTTP/1.1");
            if RequestLine::judge(line.as_bytes()).is_ok() {
                prop_assert!(http::Uri::try_from(target.as_str()).is_ok());
            }
        }
    }
}
