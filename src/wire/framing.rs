//! Where a body of HTTP/1.1 ends, read along while the bytes pass (RFC 9112 §6 and §7.1).
//!
//! Strict on purpose, in both directions: what two programs could read in two ways is refused, so
//! that the next head is looked for exactly where everybody looks for it.

/// Bytes of the extensions of one chunk, blanks included.
const LINE_LIMIT: usize = 4 * 1024;
/// Bytes of the extensions of all chunks of one body beside what its data allows.
const EXTENSION_LIMIT: u64 = 64 * 1024;
/// Bytes of extensions that each byte of data allows.
const EXTENSIONS_PER_BYTE: u64 = 128;
/// Bytes of trailer fields in one body.
const TRAILER_LIMIT: usize = 16 * 1024;
/// Digits of a chunk size: as many as fit into 64 bits.
const DIGIT_LIMIT: u8 = 16;

/// Why the framing of a chunked body was refused. Reaches whoever reads the body as the source of
/// its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingFault {
    /// Not one to sixteen hexadecimal digits.
    #[error("a chunk size must be one to sixteen hexadecimal digits")]
    Size,
    /// A line that does not end in CRLF.
    #[error("a line of the chunked body does not end in CRLF")]
    LineEnd,
    /// Data that is longer than its chunk says.
    #[error("a chunk is longer than its size says")]
    ChunkEnd,
    /// Extensions beyond what anybody needs.
    #[error(
        "the extensions of a chunk are larger than 4 KiB, or those of all chunks out of proportion"
    )]
    Extensions,
    /// Trailer fields beyond what anybody needs.
    #[error("the trailer fields are larger than 16 KiB")]
    Trailers,
}

/// How a body is framed, and how far it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// This many bytes are still to come.
    Length(u64),
    Chunked(Chunks),
}

/// What was read of a body: so many bytes of framing, and then so many of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub framing: usize,
    pub data: usize,
}

/// Reader of a chunked body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chunks {
    at: At,
    /// Of the chunk that is read.
    line: usize,
    /// Of all chunks so far.
    spent: u64,
    data: u64,
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size {
        digits: u8,
        value: u64,
    },
    /// Blanks after the size, which a recipient must tolerate before `;` (RFC 9112 §7.1.1).
    Blank {
        value: u64,
    },
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataEnd,
    DataLineFeed,
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    Over,
}

impl Default for At {
    fn default() -> Self {
        Self::Size {
            digits: 0,
            value: 0,
        }
    }
}

impl Framing {
    /// A chunked body from its beginning.
    pub fn chunked() -> Self {
        Self::Chunked(Chunks::default())
    }

    /// Whether all of it has been read.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.at == At::Over,
        }
    }

    /// Reads on, and says how many of `bytes` belong to this body.
    ///
    /// # Errors
    /// [`FramingFault`] at the first byte that may not stand where it does.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, FramingFault> {
        let mut read = 0;
        loop {
            let part = self.part(bytes.get(read..).unwrap_or_default())?;
            read += part.framing + part.data;
            if part.data == 0 {
                return Ok(read);
            }
        }
    }

    /// Reads on to the end of the next data in `bytes`, or of `bytes`.
    ///
    /// # Errors
    /// As [`Framing::advance`].
    pub fn part(&mut self, bytes: &[u8]) -> Result<Part, FramingFault> {
        match self {
            Self::Length(left) => Ok(Part {
                framing: 0,
                data: skip(left, bytes.len()),
            }),
            Self::Chunked(chunks) => chunks.part(bytes),
        }
    }
}

/// Takes up to `available` from what is `left`.
fn skip(left: &mut u64, available: usize) -> usize {
    let taken = usize::try_from(*left).map_or(available, |left| left.min(available));
    *left -= taken as u64;
    taken
}

impl Chunks {
    fn part(&mut self, bytes: &[u8]) -> Result<Part, FramingFault> {
        let mut framing = 0;
        while self.at != At::Over {
            let rest = bytes.get(framing..).unwrap_or_default();
            if let At::Data { left } = &mut self.at {
                let data = skip(left, rest.len());
                self.data = self.data.saturating_add(data as u64);
                if *left == 0 {
                    self.at = At::DataEnd;
                }
                return Ok(Part { framing, data });
            }
            let Some(&byte) = rest.first() else { break };
            self.at = self.step(byte)?;
            framing += 1;
        }
        Ok(Part { framing, data: 0 })
    }

    fn step(&mut self, byte: u8) -> Result<At, FramingFault> {
        match self.at {
            At::Size { digits, value } => size(digits, value, byte),
            At::Blank { value } => match byte {
                b' ' | b'\t' => self.extension(At::Blank { value }),
                b';' => self.extension(At::Extension { value }),
                b'\r' => Ok(At::SizeEnd { value }),
                _ => Err(FramingFault::Size),
            },
            At::Extension { value } => match byte {
                b'\r' => Ok(At::SizeEnd { value }),
                b'\n' => Err(FramingFault::LineEnd),
                _ => self.extension(At::Extension { value }),
            },
            At::SizeEnd { value: 0 } => {
                expect(byte, b'\n', At::TrailerStart, FramingFault::LineEnd)
            }
            At::SizeEnd { value } => {
                expect(byte, b'\n', At::Data { left: value }, FramingFault::LineEnd)
            }
            At::Data { .. } | At::Over => Ok(self.at),
            At::DataEnd => {
                self.line = 0;
                expect(byte, b'\r', At::DataLineFeed, FramingFault::ChunkEnd)
            }
            At::DataLineFeed => expect(byte, b'\n', At::default(), FramingFault::LineEnd),
            At::TrailerStart if byte == b'\r' => Ok(At::LastLineFeed),
            At::TrailerStart | At::Trailer => self.trailer(byte),
            At::TrailerLineFeed => expect(byte, b'\n', At::TrailerStart, FramingFault::LineEnd),
            At::LastLineFeed => expect(byte, b'\n', At::Over, FramingFault::LineEnd),
        }
    }

    fn extension(&mut self, next: At) -> Result<At, FramingFault> {
        self.line += 1;
        self.spent += 1;
        let allowed = self.data.saturating_mul(EXTENSIONS_PER_BYTE);
        if self.line > LINE_LIMIT || self.spent > allowed.saturating_add(EXTENSION_LIMIT) {
            return Err(FramingFault::Extensions);
        }
        Ok(next)
    }

    fn trailer(&mut self, byte: u8) -> Result<At, FramingFault> {
        self.trailers += 1;
        match byte {
            _ if self.trailers > TRAILER_LIMIT => Err(FramingFault::Trailers),
            b'\n' => Err(FramingFault::LineEnd),
            b'\r' => Ok(At::TrailerLineFeed),
            _ => Ok(At::Trailer),
        }
    }
}

/// Digits are looked at one by one: `from_str_radix` would take a sign.
fn size(digits: u8, value: u64, byte: u8) -> Result<At, FramingFault> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        _ if digits == 0 => return Err(FramingFault::Size),
        b'\r' => return Ok(At::SizeEnd { value }),
        b';' => return Ok(At::Extension { value }),
        b' ' | b'\t' => return Ok(At::Blank { value }),
        b'\n' => return Err(FramingFault::LineEnd),
        _ => return Err(FramingFault::Size),
    };
    if digits == DIGIT_LIMIT {
        return Err(FramingFault::Size);
    }
    Ok(At::Size {
        digits: digits + 1,
        value: (value << 4) | u64::from(digit),
    })
}

fn expect(byte: u8, wanted: u8, next: At, fault: FramingFault) -> Result<At, FramingFault> {
    if byte == wanted { Ok(next) } else { Err(fault) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces cut at `cuts`, and says where the body ended.
    fn read(
        mut framing: Framing,
        bytes: &[u8],
        cuts: &[usize],
    ) -> Result<Option<usize>, FramingFault> {
        let mut at = 0;
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.push(bytes.len());
        cuts.sort_unstable();
        for cut in cuts {
            while at < cut && !framing.is_over() {
                at += framing.advance(&bytes[at..cut])?;
            }
        }
        Ok(framing.is_over().then_some(at))
    }

    #[test]
    fn chunked_bodies_end_where_they_should() {
        let cases: [(&str, Result<Option<usize>, FramingFault>); 22] = [
            ("0\r\n\r\nGET /", Ok(Some(5))),
            ("3\r\nabc\r\n0\r\n\r\nGET /", Ok(Some(13))),
            ("A\r\n0123456789\r\n0\r\n\r\n", Ok(Some(20))),
            ("3;a=b\r\nabc\r\n0\r\n\r\n", Ok(Some(17))),
            ("3 ;a\r\nabc\r\n0\r\n\r\n", Ok(Some(16))),
            ("0\r\nX: y\r\n\r\n", Ok(Some(11))),
            ("0\r\nX: y\r\n", Ok(None)),
            ("3\r\nab", Ok(None)),
            ("\r\n", Err(FramingFault::Size)),
            ("+3\r\nabc", Err(FramingFault::Size)),
            ("-3\r\nabc", Err(FramingFault::Size)),
            ("0x3\r\nabc", Err(FramingFault::Size)),
            ("0_2e\r\n", Err(FramingFault::Size)),
            ("3 x\r\nabc", Err(FramingFault::Size)),
            ("00000000000000003\r\nabc", Err(FramingFault::Size)),
            ("3\nabc\r\n0\r\n\r\n", Err(FramingFault::LineEnd)),
            ("3\rXabc", Err(FramingFault::LineEnd)),
            ("3;a\nabc\r\n0\r\n\r\n", Err(FramingFault::LineEnd)),
            ("3\r\nabcd\r\n", Err(FramingFault::ChunkEnd)),
            ("3\r\nabc\n0\r\n\r\n", Err(FramingFault::ChunkEnd)),
            ("0\r\n\n", Err(FramingFault::LineEnd)),
            ("0\r\nX: y\n\r\n", Err(FramingFault::LineEnd)),
        ];
        for (text, expected) in cases {
            let got = read(Framing::chunked(), text.as_bytes(), &[]);
            assert_eq!(got, expected, "{text:?}");
        }
    }

    #[test]
    fn extensions_are_limited_by_the_line_and_in_proportion() {
        let chunk = |extension: usize| format!("1;{}\r\na\r\n", "x".repeat(extension));
        let end = |text: &str| Ok(Some(text.len()));
        for (chunk, times) in [
            (chunk(4000), 15),
            (chunk(100), 5000),
            ("1   \t \r\na\r\n".to_owned(), 5000),
            (
                format!("1000;{}\r\n{}\r\n", "x".repeat(4000), "a".repeat(4096)),
                100,
            ),
        ] {
            let text = chunk.repeat(times) + "0;x\r\n\r\n";
            assert_eq!(read(Framing::chunked(), text.as_bytes(), &[7]), end(&text));
        }
        for text in [
            chunk(5000),
            chunk(4000).repeat(18),
            format!("0;{}", "x".repeat(5000)),
        ] {
            let fault = Err(FramingFault::Extensions);
            assert_eq!(read(Framing::chunked(), text.as_bytes(), &[]), fault);
        }
    }

    #[test]
    fn trailers_are_limited_in_total() {
        let many = format!("0\r\n{}", "A: b\r\n".repeat(4000));
        assert_eq!(
            read(Framing::chunked(), many.as_bytes(), &[]),
            Err(FramingFault::Trailers)
        );
    }

    #[test]
    fn a_length_is_counted_down() {
        assert_eq!(read(Framing::Length(3), b"abcdef", &[1]), Ok(Some(3)));
        assert_eq!(read(Framing::Length(9), b"abcdef", &[4]), Ok(None));
        assert_eq!(read(Framing::Length(0), b"abcdef", &[]), Ok(Some(0)));
    }

    proptest! {
        #[test]
        fn where_the_bytes_are_cut_makes_no_difference(
            parts in proptest::collection::vec("(0|3|a|;x| |\r\n|abc|\n|\r|0\r\n\r\n)", 0..20),
            cuts in proptest::collection::vec(0usize..64, 0..8),
        ) {
            let bytes = parts.concat().into_bytes();
            prop_assert_eq!(
                read(Framing::chunked(), &bytes, &cuts),
                read(Framing::chunked(), &bytes, &[])
            );
        }

        #[test]
        fn whole_chunks_are_read_to_their_end(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            cuts in proptest::collection::vec(0usize..400, 0..8),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            let end = bytes.len();
            bytes.extend(b"GET / HTTP/1.1\r\n");
            prop_assert_eq!(read(Framing::chunked(), &bytes, &cuts), Ok(Some(end)));
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(Framing::chunked(), &bytes, &[3, 7]);
        }
    }
}
