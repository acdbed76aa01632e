//! One request head of HTTP/1.x, judged line by line as its bytes arrive.
//!
//! Everything that two parsers read differently is refused here, on the raw bytes, before hyper
//! normalises it away: line ends, a `#` in the target, repeated `Host`, two ways to frame a body.

use memchr::memchr;

use super::fault::HeadFault;
use super::request_line::{RequestLine, Version};
use super::{FIELD_LIMIT, HEAD_LIMIT};
use crate::wire::framing::Framing;

/// Reads one head. Given again and again all bytes of the head so far, it goes on where it stopped.
#[derive(Debug, Default)]
pub(super) struct HeadReader {
    /// Where the line that is being read begins.
    line: usize,
    /// How far no line feed was found.
    scanned: usize,
    skipped_empty_line: bool,
    request: Option<RequestLine>,
    fields: Fields,
}

/// A head that may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, with the empty line.
    pub(super) length: usize,
    /// What follows it.
    pub(super) framing: Framing,
}

#[derive(Debug, Default)]
struct Fields {
    count: usize,
    hosts: usize,
    length: Option<u64>,
    encodings: usize,
}

impl HeadReader {
    /// Reads on; `None` when the head is not complete. `bytes` begins with the head.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Option<Head>, HeadFault> {
        while let Some(end) = find(bytes, self.scanned, b'\n') {
            if end >= HEAD_LIMIT {
                break;
            }
            let line = bytes.get(self.line..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").ok_or(HeadFault::BareLineFeed)?;
            self.line = end + 1;
            self.scanned = end + 1;
            if self.line(line)? {
                return self.judged().map(Some);
            }
        }
        if bytes.len() > HEAD_LIMIT {
            return Err(HeadFault::TooLarge);
        }
        self.scanned = bytes.len();
        Ok(None)
    }

    /// Judges one line without its end; `true` when it is the empty one after the fields.
    fn line(&mut self, line: &[u8]) -> Result<bool, HeadFault> {
        match (&self.request, line.is_empty()) {
            (Some(_), true) => return Ok(true),
            (Some(_), false) => self
                .fields
                .add(line)
                .map_err(|fault| or_bare(line, fault))?,
            (None, true) if self.skipped_empty_line => return Err(HeadFault::EmptyLines),
            (None, true) => self.skipped_empty_line = true,
            (None, false) => {
                let judged = RequestLine::judge(line);
                self.request = Some(judged.map_err(|fault| or_bare(line, fault))?);
            }
        }
        Ok(false)
    }

    /// What only the whole head tells.
    fn judged(&self) -> Result<Head, HeadFault> {
        let version = self.request.ok_or(HeadFault::RequestLine)?.version;
        let fields = &self.fields;
        if fields.hosts == 0 && version == Version::Http11 {
            return Err(HeadFault::HostMissing);
        }
        let framing = match (fields.encodings, fields.length) {
            (0, length) => Framing::Length(length.unwrap_or(0)),
            (_, Some(_)) => return Err(HeadFault::LengthAndEncoding),
            (1, None) if version == Version::Http11 => Framing::chunked(),
            _ => return Err(HeadFault::Encoding),
        };
        Ok(Head {
            length: self.line,
            framing,
        })
    }
}

/// What is wrong with a line where nothing may stand that could end another one: a carriage return in
/// the middle is the cause of whatever else is wrong.
fn or_bare(line: &[u8], fault: HeadFault) -> HeadFault {
    match memchr(b'\r', line) {
        Some(_) => HeadFault::BareCarriageReturn,
        None => fault,
    }
}

/// The first `wanted` at or after `from`.
fn find(bytes: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let position = memchr(wanted, bytes.get(from..)?)?;
    Some(from + position)
}

impl Fields {
    fn add(&mut self, line: &[u8]) -> Result<(), HeadFault> {
        if matches!(line, [b' ' | b'\t', ..]) {
            return Err(HeadFault::Folded);
        }
        let colon = line.iter().position(|&byte| !is_token(byte));
        let (name, rest) = line
            .split_at_checked(colon.ok_or(HeadFault::FieldSyntax)?)
            .ok_or(HeadFault::FieldSyntax)?;
        let value = rest.strip_prefix(b":").ok_or(HeadFault::FieldSyntax)?;
        if name.is_empty() {
            return Err(HeadFault::FieldSyntax);
        }
        if has_control(value) {
            return Err(HeadFault::FieldCharacter);
        }
        self.count += 1;
        if self.count > FIELD_LIMIT {
            return Err(HeadFault::TooManyFields);
        }
        self.note(name, value)
    }

    /// Remembers the fields that say where the message belongs and where it ends.
    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadFault> {
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
            if self.hosts > 1 {
                return Err(HeadFault::HostRepeated);
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if self.length.is_some() {
                return Err(HeadFault::LengthRepeated);
            }
            self.length = Some(judge_length(trim(value))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encodings += 1;
            if self.encodings > 1 || !trim(value).eq_ignore_ascii_case(b"chunked") {
                return Err(HeadFault::Encoding);
            }
        }
        Ok(())
    }
}

/// Up to eighteen digits, which always fit; a sign, a list or a blank is no digit.
fn judge_length(value: &[u8]) -> Result<u64, HeadFault> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadFault::LengthInvalid);
    }
    let digits = value.iter().map(|digit| u64::from(digit - b'0'));
    Ok(digits.fold(0, |length, digit| length * 10 + digit))
}

/// Without the blanks around it, which are space and tab only (RFC 9110 §5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte));
    let end = value.iter().rposition(|byte| !blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => value.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    TOKENS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Looked up, as every byte of every name is asked about.
const TOKENS: [bool; 256] = {
    let mut tokens = [false; 256];
    let mut byte = 0;
    while byte < tokens.len() {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "constant, within the loop's bound"
        )]
        {
            tokens[byte] = matches!(byte as u8, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%'
                | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        }
        byte += 1;
    }
    tokens
};

/// Whether a byte stands in it that no field value may hold. Eight at a time: this looks at every byte
/// of every head, and most heads are text.
fn has_control(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<8>();
    let is_text = |word: &[u8; 8]| !may_have_control(u64::from_ne_bytes(*word));
    words
        .iter()
        .any(|word| !is_text(word) && word.iter().copied().any(is_control))
        || rest.iter().copied().any(is_control)
}

/// Whether one of eight bytes is below a blank, or the delete; tabs are among the former.
fn may_have_control(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    let below_blank = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
    let deletes = word ^ (ONES * 0x7f);
    let is_delete = deletes.wrapping_sub(ONES) & !deletes & TOPS;
    below_blank | is_delete != 0
}

/// What no field value may hold (RFC 9110 §5.5).
fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(text: &[u8]) -> Result<Option<Head>, HeadFault> {
        HeadReader::default().read(text)
    }

    /// Given byte by byte groups, as a slow network would.
    fn judge_in_pieces(text: &[u8], cuts: &[usize]) -> Result<Option<Head>, HeadFault> {
        let mut reader = HeadReader::default();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
        cuts.push(text.len());
        cuts.sort_unstable();
        for cut in cuts {
            if let Some(head) = reader.read(&text[..cut])? {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    #[test]
    fn heads_that_pass_tell_what_follows() {
        let cases: [(&str, Framing); 12] = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            ("GET / HTTP/1.0\r\n\r\n", Framing::Length(0)),
            (
                "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
                Framing::Length(0),
            ),
            (
                "GET HTTPS://a:8443?x HTTP/1.1\r\nHost: a\r\n\r\n",
                Framing::Length(0),
            ),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12 \r\n\r\n",
                Framing::Length(12),
            ),
            (
                "POST / HTTP/1.1\r\nHost:a\r\ncontent-length:0\r\n\r\n",
                Framing::Length(0),
            ),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                Framing::chunked(),
            ),
            ("GET /a|b HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
            (
                "GET /%zz?\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
                Framing::Length(0),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nX: \u{e9}\t b\r\nY:\r\n\r\n",
                Framing::Length(0),
            ),
        ];
        for (text, framing) in cases {
            let expected = Head {
                length: text.len(),
                framing,
            };
            let followed = format!("{text}GET /next HTTP/1.1\r\n\r\n");
            assert_eq!(judge(followed.as_bytes()), Ok(Some(expected)), "{text:?}");
        }
    }

    #[test]
    fn fields_that_are_refused() {
        use HeadFault::*;
        let cases: [(&[u8], HeadFault); 27] = [
            (b"X: 1\r\n", HostMissing),
            (b"Host: a\r\nHost: a\r\n", HostRepeated),
            (b"Host: a\r\nhOST: b\r\n", HostRepeated),
            (
                b"Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                LengthAndEncoding,
            ),
            (
                b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
                LengthAndEncoding,
            ),
            (
                b"Host: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
                LengthRepeated,
            ),
            (b"Host: a\r\nContent-Length: 1, 1\r\n", LengthInvalid),
            (b"Host: a\r\nContent-Length: +1\r\n", LengthInvalid),
            (b"Host: a\r\nContent-Length: 0x1\r\n", LengthInvalid),
            (b"Host: a\r\nContent-Length:\r\n", LengthInvalid),
            (b"Host: a\r\nContent-Length: 1 1\r\n", LengthInvalid),
            (
                b"Host: a\r\nContent-Length: 99999999999999999999\r\n",
                LengthInvalid,
            ),
            (
                b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Encoding,
            ),
            (b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", Encoding),
            (b"Host: a\r\nTransfer-Encoding: ,chunked\r\n", Encoding),
            (b"Host: a\r\nTransfer-Encoding: identity\r\n", Encoding),
            (
                b"Host: a\r\nTransfer-Encoding: \x0bchunked\r\n",
                FieldCharacter,
            ),
            (b"Host: a\r\nTransfer-Encoding : chunked\r\n", FieldSyntax),
            (b"Host: a\r\nX\r\n", FieldSyntax),
            (b"Host: a\r\n: x\r\n", FieldSyntax),
            (b"Host: a\r\nX\xff: x\r\n", FieldSyntax),
            (b"Host: a\r\n folded\r\n", Folded),
            (b" Host: a\r\n", Folded),
            (b"Host: a\r\nX: a\0b\r\n", FieldCharacter),
            (b"Host: a\r\nX: a\rb\r\n", BareCarriageReturn),
            (b"Host: a\r\nX: a\n", BareLineFeed),
            (b"Host: a\r\nX: a\r\r\n", BareCarriageReturn),
        ];
        for (fields, fault) in cases {
            let text = [b"POST / HTTP/1.1\r\n", fields, b"\r\n"].concat();
            assert_eq!(
                judge(&text),
                Err(fault),
                "{:?}",
                fields.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn chunked_needs_http_1_1() {
        let text = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(judge(text), Err(HeadFault::Encoding));
    }

    #[test]
    fn a_second_empty_line_before_the_request_is_one_too_many() {
        assert_eq!(judge(b"\r\n\r\n"), Err(HeadFault::EmptyLines));
        assert_eq!(judge(b"\n"), Err(HeadFault::BareLineFeed));
    }

    #[test]
    fn size_and_number_of_fields_are_limited() {
        let fields = |count: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "A: b\r\n".repeat(count)
            )
        };
        assert!(matches!(judge(fields(99).as_bytes()), Ok(Some(_))));
        assert_eq!(judge(fields(100).as_bytes()), Err(HeadFault::TooManyFields));
        let long = |length: usize| {
            let frame = "GET / HTTP/1.1\r\nHost: \r\n\r\n".len();
            format!(
                "GET / HTTP/1.1\r\nHost: {}\r\n\r\n",
                "a".repeat(length - frame)
            )
        };
        assert!(matches!(judge(long(HEAD_LIMIT).as_bytes()), Ok(Some(_))));
        assert_eq!(
            judge(long(HEAD_LIMIT + 1).as_bytes()),
            Err(HeadFault::TooLarge)
        );
        assert_eq!(judge(&vec![b'a'; HEAD_LIMIT + 1]), Err(HeadFault::TooLarge));
    }

    proptest! {
        #[test]
        fn controls_are_found_wherever_they_stand(
            text in proptest::collection::vec(proptest::sample::select(
                &[0u8, 1, 8, 9, 10, 13, 31, 32, 33, 65, 126, 127, 128, 129, 159, 160, 255][..]), 0..40),
        ) {
            prop_assert_eq!(has_control(&text), text.iter().copied().any(is_control));
        }

        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            parts in proptest::collection::vec(
                "(GET |/| HTTP/1.1|\r\n|Host: a\r\n|Content-Length: 5\r\n|\n|\r|#|X: y\r\n)", 0..14),
            cuts in proptest::collection::vec(0usize..128, 0..8),
        ) {
            let text = parts.concat().into_bytes();
            prop_assert_eq!(judge_in_pieces(&text, &cuts), judge(&text));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = judge_in_pieces(&bytes, &[1, 2, 3]);
        }
    }
}
