//! The PROXY protocol, versions 1 and 2: a trusted proxy introduces the client of a connection.
//!
//! Read before TLS and before HTTP. Nothing of it is repaired: a connection that begins with anything
//! between a good header and none is closed without a word, as there is nobody to talk to yet.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::time::timeout;

use super::clocks::Clocks;
use super::socket::Stream;

/// What a connection began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Introduction {
    /// Something else.
    None,
    /// The connection is of this client.
    Of(IpAddr),
    /// The proxy speaks for itself, or does not say for whom.
    OfNobody,
}

/// Why an introduction is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the PROXY header is not as the protocol says")]
    Malformed,
    #[error("the PROXY header is longer than it may be")]
    TooLong,
    #[error("the PROXY header is missing")]
    Missing,
    #[error("the PROXY header was not complete in time")]
    TooSlow,
    #[error("the connection ended before its first request: {0}")]
    Ended(#[from] io::Error),
}

const SIGNATURE_1: &[u8] = b"PROXY ";
const SIGNATURE_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, its end included.
const LONGEST_1: usize = 107;
/// Bytes before the addresses of version 2, and how much there may be in all.
const FIXED_2: usize = 16;
const LONGEST_2: usize = 536;

/// Reads the introduction, if the connection begins with one, and what came with it of the bytes
/// that follow. With `required` there must be one.
pub(super) async fn read(
    stream: &mut Stream,
    clocks: &Clocks,
    required: bool,
) -> Result<(Introduction, Vec<u8>), Fault> {
    let mut bytes = Vec::new();
    let first = timeout(clocks.first_byte, stream.read_some(&mut bytes));
    first.await.map_err(|_| Fault::TooSlow)??;
    let whole = timeout(clocks.introduction, async {
        loop {
            if let Some(found) = parse(&bytes)? {
                return Ok::<_, Fault>(found);
            }
            stream.read_some(&mut bytes).await?;
        }
    });
    let (introduction, length) = whole.await.map_err(|_| Fault::TooSlow)??;
    if required && introduction == Introduction::None {
        return Err(Fault::Missing);
    }
    bytes.drain(..length);
    Ok((introduction, bytes))
}

/// The introduction at the beginning of these bytes, and its length; `None` when more are needed to
/// tell.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Introduction, usize)>, Fault> {
    if bytes.starts_with(SIGNATURE_1) {
        return line(bytes);
    }
    if bytes.starts_with(SIGNATURE_2) {
        return block(bytes);
    }
    let undecided = SIGNATURE_1.starts_with(bytes) || SIGNATURE_2.starts_with(bytes);
    Ok((!undecided).then_some((Introduction::None, 0)))
}

/// Version 1: `PROXY TCP4 source destination source-port destination-port CRLF`.
fn line(bytes: &[u8]) -> Result<Option<(Introduction, usize)>, Fault> {
    let window = bytes.get(..LONGEST_1).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() {
            LONGEST_1.. => Err(Fault::TooLong),
            _ => Ok(None),
        };
    };
    let text = bytes.get(SIGNATURE_1.len()..end).unwrap_or_default();
    let text = str::from_utf8(text).map_err(|_| Fault::Malformed)?;
    let words: Vec<&str> = text.split(' ').collect();
    let introduction = match words.as_slice() {
        ["TCP4", source, destination, from, to] => {
            endpoints::<Ipv4Addr>([source, destination], [from, to])
        }
        ["TCP6", source, destination, from, to] => {
            endpoints::<Ipv6Addr>([source, destination], [from, to])
        }
        // What follows it must be ignored.
        ["UNKNOWN", ..] => Some(Introduction::OfNobody),
        _ => None,
    };
    let introduction = introduction.ok_or(Fault::Malformed)?;
    Ok(Some((introduction, end + 2)))
}

fn endpoints<A>(addresses: [&str; 2], ports: [&str; 2]) -> Option<Introduction>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let [source, destination] = addresses.map(|text| text.parse::<A>().ok());
    destination?;
    ports.into_iter().all(is_port).then_some(())?;
    source.map(|address| Introduction::Of(address.into().to_canonical()))
}

fn is_port(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && text.parse::<u16>().is_ok()
}

/// Version 2: binary.
fn block(bytes: &[u8]) -> Result<Option<(Introduction, usize)>, Fault> {
    let Some(fixed) = bytes.get(SIGNATURE_2.len()..FIXED_2) else {
        return Ok(None);
    };
    let &[command, family, high, low] = fixed else {
        return Err(Fault::Malformed);
    };
    let length = FIXED_2 + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_2 {
        return Err(Fault::TooLong);
    }
    let Some(payload) = bytes.get(FIXED_2..length) else {
        return Ok(None);
    };
    let introduction = match (command, family) {
        // LOCAL, as for a check of health: what is said of addresses must be ignored.
        (0x20, _) => Introduction::OfNobody,
        (0x21, 0x00) => Introduction::OfNobody,
        (0x21, 0x11) => {
            let (ends, more) = payload.split_first_chunk::<12>().ok_or(Fault::Malformed)?;
            let &[a, b, c, d, ..] = ends;
            extensions(more)?;
            Introduction::Of(Ipv4Addr::new(a, b, c, d).into())
        }
        (0x21, 0x21) => {
            let (ends, more) = payload.split_first_chunk::<36>().ok_or(Fault::Malformed)?;
            let source = ends.first_chunk::<16>().ok_or(Fault::Malformed)?;
            extensions(more)?;
            Introduction::Of(IpAddr::from(*source).to_canonical())
        }
        // A UNIX socket before the proxy, which has no address that would be of use here.
        (0x21, 0x31) => Introduction::OfNobody,
        _ => return Err(Fault::Malformed),
    };
    Ok(Some((introduction, length)))
}

/// What follows the addresses is not used, but must be what it says: a type, a length, a value.
fn extensions(mut bytes: &[u8]) -> Result<(), Fault> {
    while let Some((&[_, high, low], rest)) = bytes.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        bytes = rest.get(length..).ok_or(Fault::Malformed)?;
    }
    match bytes {
        [] => Ok(()),
        _ => Err(Fault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_of(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [SIGNATURE_2, &[command, family], &length, payload].concat()
    }

    fn found(bytes: &[u8]) -> Option<Introduction> {
        let followed = [bytes, b"GET / HTTP/1.1\r\n\r\n"].concat();
        let (introduction, length) = parse(&followed).ok()??;
        let expected = match introduction {
            Introduction::None => 0,
            _ => bytes.len(),
        };
        assert_eq!(length, expected, "{bytes:?}");
        Some(introduction)
    }

    #[test]
    fn good_introductions_are_read() {
        let of = |text: &str| Some(Introduction::Of(text.parse().unwrap()));
        let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 1, 2, 1, 187];
        let mut v6 = [0; 36];
        (v6[0], v6[15]) = (0x20, 1);
        let cases = [
            (
                b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 443\r\n".to_vec(),
                of("192.0.2.7"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 0 65535\r\n".to_vec(),
                of("2001:db8::7"),
            ),
            (
                b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n".to_vec(),
                of("192.0.2.7"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(Introduction::OfNobody)),
            (
                b"PROXY UNKNOWN a b c\r\n".to_vec(),
                Some(Introduction::OfNobody),
            ),
            (block_of(0x21, 0x11, &v4), of("192.0.2.7")),
            (
                block_of(0x21, 0x11, &[&v4[..], &[3, 0, 1, 9]].concat()),
                of("192.0.2.7"),
            ),
            (block_of(0x21, 0x21, &v6), of("2000::1")),
            (block_of(0x20, 0, &[]), Some(Introduction::OfNobody)),
            (block_of(0x20, 0x11, &v4), Some(Introduction::OfNobody)),
            (block_of(0x21, 0, &[]), Some(Introduction::OfNobody)),
            (
                block_of(0x21, 0x31, &[0; 216]),
                Some(Introduction::OfNobody),
            ),
            (vec![], Some(Introduction::None)),
            (
                b"PROPFIND / HTTP/1.1\r\n".to_vec(),
                Some(Introduction::None),
            ),
            (b"\x16\x03\x01".to_vec(), Some(Introduction::None)),
            (b"\r\n".to_vec(), Some(Introduction::None)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(
                found(&bytes),
                expected,
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn bad_introductions_are_refused() {
        let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 1, 2, 1, 187];
        let cases = [
            b"PROXY TCP4 192.0.2.7 127.0.0.1 5000\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 443 1\r\n".to_vec(),
            b"PROXY TCP4  192.0.2.7 127.0.0.1 5000 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 5000 65536\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 05000 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 127.0.0.1 +5000 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.07 127.0.0.1 5000 443\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.7 evil 5000 443\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 5000 443\r\n".to_vec(),
            b"PROXY TCP6 192.0.2.7 127.0.0.1 1 2\r\n".to_vec(),
            b"PROXY tcp4 192.0.2.7 127.0.0.1 1 2\r\n".to_vec(),
            b"PROXY \r\n".to_vec(),
            b"PROXY UNKNOWN\xff\r\n".to_vec(),
            [b"PROXY UNKNOWN ", [b'x'; 200].as_slice()].concat(),
            block_of(0x11, 0x11, &v4),
            block_of(0x22, 0x11, &v4),
            block_of(0x21, 0x12, &v4),
            block_of(0x21, 0x11, &v4[..11]),
            block_of(0x21, 0x21, &v4),
            block_of(0x21, 0x41, &v4),
            block_of(0x21, 0x11, &[&v4[..], &[3, 0]].concat()),
            block_of(0x21, 0x11, &[&v4[..], &[3, 0, 2, 9]].concat()),
            block_of(0x20, 0x00, &[0; 521]),
        ];
        for bytes in cases {
            assert!(
                parse(&bytes).is_err(),
                "{:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }

    #[test]
    fn it_is_known_soon_whether_it_is_too_long() {
        let line = [b"PROXY ".as_slice(), &[b'x'; 101]].concat();
        assert!(matches!(parse(&line[..106]), Ok(None)));
        assert!(matches!(parse(&line), Err(Fault::TooLong)));
        let block = [SIGNATURE_2, &[0x21, 0x11, 0xff, 0xff]].concat();
        assert!(matches!(parse(&block), Err(Fault::TooLong)));
    }

    proptest! {
        #[test]
        fn a_header_in_pieces_is_the_same_header(
            ports in any::<(u16, u16)>(),
            source in any::<[u8; 16]>(),
            cut in 0_usize..100,
        ) {
            let source = Ipv6Addr::from(source);
            let line = format!("PROXY TCP6 {source} ::1 {} {}\r\n", ports.0, ports.1);
            let cut = cut.min(line.len() - 1);
            prop_assert!(cut == 0 || parse(&line.as_bytes()[..cut]).is_ok_and(|found| found.is_none()));
            let expected = Introduction::Of(IpAddr::from(source).to_canonical());
            prop_assert_eq!(found(line.as_bytes()), Some(expected));
        }

        #[test]
        fn no_bytes_bring_it_down(signature in 0_usize..3, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let begun = [b"".as_slice(), SIGNATURE_1, SIGNATURE_2][signature];
            let _ = parse(&[begun, &bytes].concat());
        }
    }
}
