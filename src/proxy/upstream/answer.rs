//! The head of a panel's answer, read strictly (RFC 9112 §4 and §6.3).
//!
//! What two programs could read in two ways is no answer: the browser gets a 502.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use memchr::memchr_iter;

use crate::wire::framing::Framing;

/// Fields of an answer.
const FIELD_LIMIT: usize = 100;

/// A head with what it says of what follows it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: Parts,
    pub(super) length: Length,
    /// Another request may follow on the connection.
    pub(super) keeps_alive: bool,
}

/// How long the body is (RFC 9112 §6.3).
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Length {
    Framed(Framing),
    /// It ends with the connection.
    UntilClose,
}

/// Why an answer can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    #[error("its answer is not HTTP/1.1: {0}")]
    Syntax(httparse::Error),
    #[error("its answer is not HTTP/1.1")]
    Head,
    #[error("it answers in TLS: write https:// in upstream")]
    Tls,
    #[error("a line in the head of its answer does not end in CRLF")]
    LineEnd,
    #[error("the head of its answer is too large")]
    TooLarge,
    #[error("it sent interim answers (1xx) without end")]
    Interim,
    #[error("its answer has a Content-Length that is no number, or two that differ")]
    ContentLength,
    #[error("its answer has a Transfer-Encoding other than chunked, or one in HTTP/1.0")]
    TransferEncoding,
}

/// Whether an answer begins as TLS does (RFC 8446 §5.1): an alert or a handshake of version 3.
pub(super) fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [21 | 22, 3, ..])
}

/// The length of the head at the beginning of `bytes`, its empty line included. `scanned`: how far it
/// was looked for before.
pub(super) fn head_length(bytes: &[u8], scanned: &mut usize) -> Option<usize> {
    // The end may begin in what was there before.
    let from = scanned.saturating_sub(2);
    *scanned = bytes.len();
    let mut ends = memchr_iter(b'\n', bytes.get(from..)?).map(|at| from + at + 1);
    ends.find_map(|next| match bytes.get(next..)? {
        [b'\n', ..] => Some(next + 1),
        [b'\r', b'\n', ..] => Some(next + 2),
        _ => None,
    })
}

/// Reads a whole head; `asked`: the method of the request that it answers.
pub(super) fn read(head: &Bytes, asked: &Method) -> Result<Head, AnswerFault> {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_LIMIT];
    let mut answer = httparse::Response::new(&mut fields);
    // RFC 9112 §2.2 lets a recipient take a bare LF; in chunks it is refused, so it is here.
    if memchr_iter(b'\n', head).any(|at| at == 0 || head.get(at - 1) != Some(&b'\r')) {
        return Err(AnswerFault::LineEnd);
    }
    let mut reading = httparse::ParserConfig::default();
    // The blank before the colon is removed (RFC 9112 §5.1).
    reading.allow_spaces_after_header_name_in_responses(true);
    match reading.parse_response(&mut answer, head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(AnswerFault::Head),
        Err(httparse::Error::TooManyHeaders) => return Err(AnswerFault::TooLarge),
        Err(fault) => return Err(AnswerFault::Syntax(fault)),
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = status.ok_or(AnswerFault::Head)?;
    parts.version = match answer.version {
        Some(1) => Version::HTTP_11,
        _ => Version::HTTP_10,
    };
    parts.headers.reserve(answer.headers.len());
    for field in answer.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| AnswerFault::Head)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
        parts
            .headers
            .append(name, value.map_err(|_| AnswerFault::Head)?);
    }
    let is_bare = is_bare(&parts, asked);
    let length = length(&mut parts, is_bare)?;
    // Some panels send a body where none may be, and later than its head: what would be read as the
    // next answer goes with the connection.
    let keeps_alive = keeps_alive(&parts) && length != Length::UntilClose && !is_bare;
    Ok(Head {
        parts,
        length,
        keeps_alive,
    })
}

/// Whether it has no body, whatever its fields say.
fn is_bare(parts: &Parts, asked: &Method) -> bool {
    parts.status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&parts.status)
        || *asked == Method::HEAD
}

fn length(parts: &mut Parts, is_bare: bool) -> Result<Length, AnswerFault> {
    let has_encoding = has_encoding(parts)?;
    let said = content_length(&mut parts.headers)?;
    Ok(if is_bare {
        Length::Framed(Framing::Length(0))
    } else if has_encoding {
        Length::Framed(Framing::chunked())
    } else {
        match said {
            Some(length) => Length::Framed(Framing::Length(length)),
            None => Length::UntilClose,
        }
    })
}

/// Whether the body is chunked: that, or nothing.
fn has_encoding(parts: &Parts) -> Result<bool, AnswerFault> {
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else {
        return Ok(false);
    };
    let is_chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if is_chunked && encodings.next().is_none() && parts.version == Version::HTTP_11 {
        Ok(true)
    } else {
        Err(AnswerFault::TransferEncoding)
    }
}

/// The one length that is said; said twice it is kept once (RFC 9110 §8.6).
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, AnswerFault> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let is_repeated = lines.next().is_some() || first.as_bytes().contains(&b',');
    let mut said = headers
        .get_all(CONTENT_LENGTH)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(|text| number(text.trim_ascii()));
    let length = said.next().flatten().ok_or(AnswerFault::ContentLength)?;
    if !said.all(|other| other == Some(length)) {
        return Err(AnswerFault::ContentLength);
    }
    if is_repeated {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Ok(Some(length))
}

/// Digits only: `parse` would take a sign.
fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// RFC 9112 §9.3.
fn keeps_alive(parts: &Parts) -> bool {
    let says = |wanted: &str| {
        let lines = parts.headers.get_all(CONNECTION).iter();
        let mut options = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()))
    };
    match parts.version {
        Version::HTTP_11 => !says("close"),
        _ => says("keep-alive") && !says("close"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(text: &str, asked: &Method) -> Result<(Length, bool), AnswerFault> {
        let head = read(&Bytes::from(text.to_owned()), asked)?;
        Ok((head.length, head.keeps_alive))
    }

    fn framed(length: u64) -> Length {
        Length::Framed(Framing::Length(length))
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    #[test]
    fn a_head_says_how_long_its_body_is() {
        let chunked = || Length::Framed(Framing::chunked());
        let cases = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                framed(5),
                true,
            ),
            ("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", framed(5), true),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
                framed(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
                framed(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                chunked(),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                chunked(),
                true,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", Length::UntilClose, false),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                framed(5),
                false,
            ),
            (
                "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\n",
                framed(5),
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 5\r\n\r\n",
                framed(5),
                false,
            ),
            (
                "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
                framed(0),
                false,
            ),
            (
                "HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n",
                framed(0),
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length \t : 5\r\nA : b\r\n\r\n",
                framed(5),
                true,
            ),
        ];
        for (text, length, keeps_alive) in cases {
            assert_eq!(
                judge(text, &Method::GET),
                Ok((length, keeps_alive)),
                "{text}"
            );
        }
        let bare = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(judge(bare, &Method::HEAD), Ok((framed(0), false)));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_answer() {
        use AnswerFault::{ContentLength, TransferEncoding};
        for (fields, fault) in [
            ("Content-Length: 5\r\nContent-Length: 6\r\n", ContentLength),
            ("Content-Length: 5, 6\r\n", ContentLength),
            ("Content-Length: +5\r\n", ContentLength),
            ("Content-Length:\r\n", ContentLength),
            ("Content-Length: 99999999999999999999\r\n", ContentLength),
            ("Transfer-Encoding: gzip, chunked\r\n", TransferEncoding),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                TransferEncoding,
            ),
            ("Transfer-Encoding: identity\r\n", TransferEncoding),
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert_eq!(judge(&text, &Method::GET), Err(fault), "{fields}");
        }
        let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judge(old, &Method::GET), Err(TransferEncoding));
        for text in [
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n a\r\n\r\n",
            "HTTP/1.1 200 OK\r\n : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
        ] {
            assert!(
                judge(text, &Method::GET).is_err() || text.starts_with('\r'),
                "{text:?}"
            );
        }
    }

    #[test]
    fn every_line_of_a_head_ends_in_crlf() {
        for text in [
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nSet-Cookie: c=d\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n\n",
        ] {
            let fault = Err(AnswerFault::LineEnd);
            assert_eq!(judge(text, &Method::GET), fault, "{text:?}");
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_in_pieces() {
        let text = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n\n";
        for step in 1..text.len() {
            let mut scanned = 0;
            let found = (0..=text.len())
                .step_by(step)
                .chain([text.len()])
                .find_map(|end| head_length(&text[..end], &mut scanned));
            assert_eq!(found, Some(25), "in steps of {step}");
        }
        assert_eq!(head_length(b"HTTP/1.1 200 OK\n\n", &mut 0), Some(17));
        assert_eq!(head_length(b"HTTP/1.1 200 OK\r\n\r", &mut 0), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            text.extend(bytes);
            text.extend(b"\r\n\r\n");
            if let Some(length) = head_length(&text, &mut 0) {
                let _ = read(&Bytes::copy_from_slice(&text[..length]), &Method::GET);
            }
        }
    }
}
