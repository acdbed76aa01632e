//! As much of WebSocket (RFC 6455) as a tunnel needs: the handshake's proof, where a frame ends, and
//! the frame that closes.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secret::random_bytes;
use crate::session::CutReason;

/// Follows a stream of frames, to know whether it stands between two of them, and what they are.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What is known of the header of the next frame.
    header: Vec<u8>,
    /// What is still to come of the payload of this one.
    payload: u64,
    /// Of the last frame.
    opcode: u8,
    has_closed: bool,
}

/// The control frame that closes (RFC 6455 §5.5.1).
const CLOSE: u8 = 8;

/// A `Sec-WebSocket-Key`.
pub(super) fn fresh_key() -> String {
    STANDARD.encode(random_bytes::<16>())
}

/// The `Sec-WebSocket-Accept` that answers a key (RFC 6455 §4.2.2).
pub(super) fn accept_of(key: &str) -> String {
    const SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}{SUFFIX}").as_bytes(),
    ))
}

/// The close frame of a server (RFC 6455 §5.5.1) for a tunnel that is cut: unmasked, with status and
/// reason. Many clients take 1008 as final, so it is for what will not be let pass again; after the
/// other codes they come back (RFC 6455 §7.4.1 and its registry).
pub(super) fn close_frame(reason: CutReason) -> Vec<u8> {
    let (status, text): (u16, &str) = match reason {
        CutReason::SessionEnded => (1008, "the session has ended"),
        CutReason::NotAllowed => (1008, "the rules no longer allow this"),
        CutReason::PanelMoved => (1012, "the panel has moved; connect again"),
        CutReason::CannotBeTold => (1013, "sessions can't be checked; try again later"),
        CutReason::GatewayEnds => (1012, "the gateway restarts"),
    };
    // Each text is shorter than the 125 bytes of a control frame.
    let length = u8::try_from(2 + text.len()).unwrap_or(2);
    let mut frame = vec![0x88, length];
    frame.extend_from_slice(&status.to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    frame
}

impl Frames {
    /// The next bytes of the stream; whether some of a message were among them. Pings, pongs and closes
    /// are none: a browser sends them on its own (RFC 6455 §5.5).
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_message = false;
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len() as u64);
            has_message |= skipped > 0 && is_of_message(self.opcode);
            self.payload -= skipped;
            // At the most the length of the slice, as the line before has it.
            bytes = bytes
                .get(usize::try_from(skipped).unwrap_or(0)..)
                .unwrap_or_default();
            while self.payload == 0 {
                let Some((&byte, rest)) = bytes.split_first() else {
                    return has_message;
                };
                bytes = rest;
                self.header.push(byte);
                if let Some(payload) = payload_of(&self.header) {
                    self.opcode = self.header.first().map_or(0, |first| first & 0x0f);
                    has_message |= is_of_message(self.opcode);
                    self.has_closed |= self.opcode == CLOSE;
                    self.header.clear();
                    self.payload = payload;
                }
            }
        }
        has_message
    }

    /// Whether this side has said that it closes.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Whether a frame may follow here.
    pub(super) fn is_between(&self) -> bool {
        self.payload == 0 && self.header.is_empty()
    }
}

/// A continuation, text or bytes, compressed or not; what is reserved is no message yet (RFC 6455 §11.8).
fn is_of_message(opcode: u8) -> bool {
    opcode <= 2
}

/// The length of the payload behind a header, once the header is whole (RFC 6455 §5.2).
fn payload_of(header: &[u8]) -> Option<u64> {
    let lengths = *header.get(1)?;
    let mask = if lengths & 0x80 == 0 { 0 } else { 4 };
    let extended = match lengths & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if header.len() < 2 + extended + mask {
        return None;
    }
    match extended {
        0 => Some(u64::from(lengths & 0x7f)),
        _ => header.get(2..2 + extended).map(|bytes| {
            bytes
                .iter()
                .fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_that_of_the_standard() {
        // RFC 6455 §1.3
        assert_eq!(
            accept_of("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn frames_are_followed_however_the_stream_is_split() {
        let mut stream = vec![0x81, 5];
        stream.extend_from_slice(b"hello");
        stream.extend_from_slice(&[0x82, 126, 1, 0]);
        stream.extend_from_slice(&[7; 256]);
        stream.extend_from_slice(&[0x89, 0]);
        stream.extend_from_slice(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        stream.extend_from_slice(&vec![7; 65536]);
        stream.extend_from_slice(&[0x81, 0x82, 1, 2, 3, 4, 9, 9]);
        let boundaries = [0, 7, 267, 269, 65815, 65823];
        for step in [1, 2, 3, 1000, 65536] {
            let mut frames = Frames::default();
            let mut at = 0;
            assert!(frames.is_between());
            for part in stream.chunks(step) {
                frames.pass(part);
                at += part.len();
                assert_eq!(
                    frames.is_between(),
                    boundaries.contains(&at),
                    "at {at}, by {step}"
                );
            }
        }
    }

    #[test]
    fn only_messages_are_messages() {
        for (first, is_message) in [
            (0x81, true),
            (0x82, true),
            (0xc1, true),
            (0x01, true),
            (0x00, true),
            (0x80, true),
            (0x88, false),
            (0x89, false),
            (0x8a, false),
            (0x0a, false),
            (0xfa, false),
            (0x83, false),
            (0x8f, false),
        ] {
            for payload in [&b""[..], b"hello"] {
                let mut frame = vec![
                    first,
                    0x80 | u8::try_from(payload.len()).unwrap(),
                    1,
                    2,
                    3,
                    4,
                ];
                frame.extend_from_slice(payload);
                for step in [1, 3, 100] {
                    let mut frames = Frames::default();
                    let parts = frame.chunks(step).map(|part| frames.pass(part));
                    let found = parts.fold(false, |any, one| any | one);
                    assert_eq!(found, is_message, "{first:#x} {payload:?} by {step}");
                }
            }
        }
    }

    #[test]
    fn a_pong_between_the_parts_of_a_message_is_none() {
        let mut frames = Frames::default();
        assert!(frames.pass(&[0x01, 0x81, 1, 2, 3, 4, 9]));
        assert!(!frames.pass(&[0x8a, 0x82, 1, 2, 3, 4, 9]));
        assert!(!frames.pass(&[9]));
        assert!(!frames.pass(&[0x80]), "its header is not whole");
        assert!(frames.pass(&[0x81, 1, 2, 3, 4, 9]));
        assert!(!frames.has_closed());
        assert!(!frames.pass(&[0x88, 0x80, 1, 2, 3, 4]));
        assert!(frames.has_closed());
    }

    #[test]
    fn the_close_frame_says_why() {
        let frame = close_frame(CutReason::SessionEnded);
        assert_eq!(frame[..4], [0x88, 23, 0x03, 0xf0]);
        assert_eq!(&frame[4..], b"the session has ended");
        for (reason, status) in [
            (CutReason::SessionEnded, 1008_u16),
            (CutReason::NotAllowed, 1008),
            (CutReason::PanelMoved, 1012),
            (CutReason::CannotBeTold, 1013),
            (CutReason::GatewayEnds, 1012),
        ] {
            let frame = close_frame(reason);
            assert_eq!(frame[2..4], status.to_be_bytes(), "{reason}");
            assert!(frame.len() <= 127 && usize::from(frame[1]) == frame.len() - 2);
        }
    }
}
