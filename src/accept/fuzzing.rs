//! What the fuzzers reach that nobody else may.

use super::head::HeadReader;
use super::introduction::{self, Introduction};

/// Reads a head in one piece and byte by byte, which must come to the same. Its length, if it is whole
/// and may pass.
///
/// # Panics
/// When the two differ.
pub fn head(bytes: &[u8]) -> Option<usize> {
    let whole = HeadReader::default().read(bytes);
    let mut slowly = HeadReader::default();
    let mut found = Ok(None);
    for end in 0..=bytes.len() {
        found = slowly.read(bytes.get(..end).unwrap_or_default());
        if !matches!(found, Ok(None)) {
            break;
        }
    }
    assert_eq!(
        whole.is_err(),
        found.is_err(),
        "in pieces it is judged otherwise"
    );
    let length = whole.ok().flatten().map(|head| head.length);
    assert_eq!(length, found.ok().flatten().map(|head| head.length));
    length
}

/// Reads the beginning of a connection in one piece and byte by byte, which must come to the same.
///
/// # Panics
/// When the two differ, or more is taken than there is.
pub fn introduction(bytes: &[u8]) {
    let whole = introduction::parse(bytes);
    let mut found = Ok(None);
    for end in 1..=bytes.len() {
        found = introduction::parse(bytes.get(..end).unwrap_or_default());
        if !matches!(found, Ok(None)) {
            break;
        }
    }
    if let (Ok(Some((whole, length))), Ok(Some((slowly, same)))) = (&whole, &found) {
        assert!((whole, length) == (slowly, same), "in pieces it is another");
        assert!(*length <= bytes.len());
        assert!(*whole != Introduction::None || *length == 0);
    }
}
