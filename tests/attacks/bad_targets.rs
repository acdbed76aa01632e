//! Item by item, what becomes over HTTP/2 of a target that is none. RFC 9113 §8.1.1 has a malformed
//! request end with a reset of its stream (PROTOCOL_ERROR), and lets a server say more before. What the HTTP/2
//! library lets through is answered with a sentence. What it resets itself is listed here too: no
//! request is made of it, so nothing can answer it, and the connection goes on for the others.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::gateway::Gateway;
use crate::support::http1::{Transport, tls};
use crate::support::panel::Panel;
use crate::support::soon;

/// What came of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    /// A head of an answer.
    Answer(u16),
    /// RST_STREAM with this code.
    Reset(u32),
    /// GOAWAY, or the end of the connection.
    Gone,
}

/// A field without index and without compression (RFC 7541 §6.2.2).
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |text: &[u8]| u8::try_from(text.len()).unwrap();
    assert!(name.len() < 127 && value.len() < 127);
    [&[0, length(name)], name, &[length(value)], value].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// A connection on which frames are written by hand.
struct Frames {
    stream: Box<dyn Transport>,
    next: u32,
}

impl Frames {
    async fn connect(port: u16) -> Self {
        let mut stream = tls(port, &[b"h2"]).await.unwrap();
        let begin = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            frame(4, 0, 0, b"").as_slice(),
        ]
        .concat();
        stream.write_all(&begin).await.unwrap();
        let stream = Box::new(stream);
        Self { stream, next: 1 }
    }

    /// Asks with these fields; what comes of it.
    async fn ask(&mut self, fields: &[(&[u8], &[u8])]) -> Came {
        let block: Vec<u8> = fields
            .iter()
            .flat_map(|(name, value)| field(name, value))
            .collect();
        let stream = self.next;
        self.next += 2;
        // END_HEADERS and END_STREAM.
        let _ = self.stream.write_all(&frame(1, 5, stream, &block)).await;
        let _ = self.stream.flush().await;
        loop {
            let mut head = [0; 9];
            if soon("a frame", self.stream.read_exact(&mut head))
                .await
                .is_err()
            {
                return Came::Gone;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            soon("a frame", self.stream.read_exact(&mut payload))
                .await
                .unwrap();
            let of = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match head[3] {
                7 => return Came::Gone,
                3 if of == stream => {
                    return Came::Reset(u32::from_be_bytes(payload.try_into().unwrap()));
                }
                1 if of == stream => return Came::Answer(status(&payload)),
                _ => {}
            }
        }
    }
}

/// The `:status` at the beginning of a header block, as h2 writes it.
fn status(block: &[u8]) -> u16 {
    let block = match block[0] & 0xe0 {
        0x20 => &block[1..], // a table size
        _ => block,
    };
    match block[0] {
        0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(block[0] - 0x88)],
        // A status that the tables do not have: literal, with the name of index 8, mostly compressed.
        0x48 => huffman_digits(&block[2..2 + usize::from(block[1] & 0x7f)]),
        _ => 0,
    }
}

/// Three digits in the code of RFC 7541, appendix B.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        .collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let take = |count: usize| {
            bits[at..at + count]
                .iter()
                .fold(0, |sum, bit| sum << 1 | u16::from(*bit))
        };
        // 0, 1 and 2 have five bits, 3 to 9 six.
        let (digit, count) = match take(5) {
            digit @ 0..=2 => (digit, 5),
            _ => (take(6) - 0x19 + 3, 6),
        };
        number = number * 10 + digit;
        at += count;
    }
    number
}

/// `:scheme`, `:authority`, `:path`, and what comes of it.
type Case = (&'static [u8], &'static [u8], &'static [u8], Came);

const PROTOCOL_ERROR: Came = Came::Reset(1);

/// What differs from a plain request for `/static/a`, and what comes of it for somebody who has not
/// signed in.
type Target = (&'static str, Came);

/// `:path` alone.
fn paths() -> Vec<Target> {
    let (ok, refused) = (Came::Answer(200), Came::Answer(400));
    vec![
        ("/static/a", ok.clone()),
        // The library has cut it off before anything is judged: what is judged is what is sent.
        ("/static/#a", ok.clone()),
        ("/static/\u{e9}", ok),
        ("/static/../a", refused.clone()),
        ("/static/\\a", refused.clone()),
        ("/static/%zz", refused.clone()),
        ("*", refused),
        ("/static/a b", PROTOCOL_ERROR),
        ("/static/a ", PROTOCOL_ERROR),
        ("/static/\ta", PROTOCOL_ERROR),
        ("/static/\0", PROTOCOL_ERROR),
        ("/static/a\r\nX: y", PROTOCOL_ERROR),
        ("/static/\x7f", PROTOCOL_ERROR),
        ("static/a", PROTOCOL_ERROR),
        ("https://localhost/static/a", PROTOCOL_ERROR),
        ("", PROTOCOL_ERROR),
    ]
}

/// `:authority` alone.
fn authorities() -> Vec<Target> {
    vec![
        ("a@localhost", Came::Answer(400)),
        ("localhost:0443", Came::Answer(400)),
        ("evil", Came::Answer(421)),
        ("local host", PROTOCOL_ERROR),
        ("localhost/x", PROTOCOL_ERROR),
        ("", PROTOCOL_ERROR),
    ]
}

/// All of them, with one of `:scheme`, and one that is no text.
fn cases() -> Vec<Case> {
    let here: &[u8] = b"localhost";
    let path = |(path, came): Target| (&b"https"[..], here, path.as_bytes(), came);
    let authority =
        |(host, came): Target| (&b"https"[..], host.as_bytes(), &b"/static/a"[..], came);
    let paths = paths().into_iter().map(path);
    let others = authorities().into_iter().map(authority);
    let rest: [Case; 2] = [
        (b"ht tp", here, b"/static/a", PROTOCOL_ERROR),
        (b"https", here, b"/static/\xff", Came::Gone),
    ];
    paths.chain(others).chain(rest).collect()
}

#[tokio::test]
async fn a_target_that_is_none_gets_a_sentence_or_a_reset_and_hurts_no_other() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut frames = Frames::connect(gateway.port).await;
    let mut wrong = Vec::new();
    for (scheme, authority, path, expected) in cases() {
        let name = [scheme, authority, path].map(|part| part.escape_ascii().to_string());
        let before = panel.seen().len();
        let came = frames
            .ask(&[
                (b":method", b"GET"),
                (b":scheme", scheme),
                (b":authority", authority),
                (b":path", path),
            ])
            .await;
        let reached = panel.seen().len() - before;
        if came != expected || reached != usize::from(came == Came::Answer(200)) {
            wrong.push(format!(
                "{name:?}: {came:?} in place of {expected:?}, {reached} reached the panel"
            ));
        }
        if came == Came::Gone {
            frames = Frames::connect(gateway.port).await;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
