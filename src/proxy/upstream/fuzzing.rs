//! What the fuzzers reach that nobody else may.

use bytes::Bytes;
use http::Method;

use super::answer::{Length, head_length, read};
use crate::wire::framing::Framing;

/// Reads an answer in one piece and byte by byte, which must come to the same.
///
/// # Panics
/// When the two differ, or the body is read differently.
pub fn answer(bytes: &[u8]) {
    let whole = head_length(bytes, &mut 0);
    let mut scanned = 0;
    let mut ends = 0..=bytes.len();
    let found = ends.find_map(|end| head_length(bytes.get(..end)?, &mut scanned));
    assert_eq!(whole, found, "in pieces another end is found");
    let Some((head, body)) = whole.and_then(|length| bytes.split_at_checked(length)) else {
        return;
    };
    let Ok(head) = read(&Bytes::copy_from_slice(head), &Method::GET) else {
        return;
    };
    if let Length::Framed(framing) = head.length {
        assert_eq!(
            data(framing.clone(), body, body.len()),
            data(framing, body, 1)
        );
    }
}

/// What is data in a body that comes in pieces of `step`; `None` where it is malformed.
fn data(mut framing: Framing, body: &[u8], step: usize) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for mut piece in body.chunks(step.max(1)) {
        while !piece.is_empty() && !framing.is_over() {
            let part = framing.part(piece).ok()?;
            let (here, rest) = piece.split_at_checked(part.framing + part.data)?;
            data.extend_from_slice(here.get(part.framing..)?);
            piece = rest;
        }
    }
    Some(data)
}
