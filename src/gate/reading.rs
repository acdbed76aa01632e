//! What a panel may take a path for.
//!
//! Nobody can list all readings, so none are listed to be judged one by one. The path is brought into
//! its loosest forms (folded, and decoded once more until nothing is left to decode), and a rule is asked
//! whether its path may be meant by one of them. Where a form can't be told, every rule may be meant. So
//! a reading that this file does not know of is judged too strictly, and not passed over. CVE-2026-33494,
//! CVE-2021-29492, CVE-2020-1957, CVE-2026-27587.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::wire::fold::folded;

/// Stands for what can't be told: from there on every rule may be meant.
const UNCLEAR: char = char::REPLACEMENT_CHARACTER;
/// The form of a path that has a dot segment once it is decoded again.
const ANYWHERE: &str = "/\u{fffd}";
/// How often a path is decoded; what is still encoded then is [`UNCLEAR`].
const DECODED_AT_MOST: usize = 4;

/// The loosest forms of a path. None for one of ASCII without percent signs, which is its own.
pub(super) fn loosest(raw: &str) -> Vec<String> {
    if raw.is_ascii() && !raw.contains('%') {
        return Vec::new();
    }
    let mut forms = vec![folded(raw)];
    let mut text = raw.to_owned();
    for round in 0..DECODED_AT_MOST {
        // Once decoded it is UTF-8, as was checked; twice decoded it may be anything.
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        // A percent sign that is left is dropped by some decoders, and begins `%u0075` for others.
        let is_last = decoded == text || round + 1 == DECODED_AT_MOST;
        text = folded(&decoded);
        if is_last {
            text = text.replace('%', "\u{fffd}");
        }
        if has_dot_segment(&text) {
            // It may lead anywhere.
            forms.push(ANYWHERE.to_owned());
        }
        forms.push(text.clone());
        if !text.contains('%') {
            break;
        }
    }
    forms
}

/// Whether one of the forms has a dot segment.
pub(super) fn may_lead_anywhere(forms: &[String]) -> bool {
    forms.iter().any(|form| form == ANYWHERE)
}

/// Whether some program may take `text`, a path in one of its [`loosest`] forms, for one that lies at or
/// below `place`, a path as rules name it; `unclear` is the answer where that can't be told.
pub(super) fn may_lie_below(text: &str, place: &str, unclear: bool) -> bool {
    let place = match place.is_ascii() {
        true => Cow::Borrowed(place),
        false => Cow::Owned(folded(place)),
    };
    // `//users/x` is `/x` on the host `users` to some.
    let after_host = text
        .strip_prefix("//")
        .and_then(|rest| rest.split_once('/'));
    begins_with(text, &place, unclear, may_mean)
        || after_host.is_some_and(|(_, rest)| begins_with(rest, &place, unclear, may_mean))
}

/// The same for a panel that reads exactly: letter case counts, and what is decoded is decoded once.
pub(super) fn lies_exactly_below(raw: &str, place: &str) -> bool {
    let decoded = percent_decode_str(raw).decode_utf8_lossy();
    let same = |segment: &str, wanted: &str| {
        segment.split(';').next().unwrap_or_default() == wanted || segment == wanted
    };
    begins_with(raw, place, true, same) || begins_with(&decoded, place, true, same)
}

/// Segment by segment, without empty ones, as the paths of rules have none.
fn begins_with(text: &str, place: &str, unclear: bool, same: impl Fn(&str, &str) -> bool) -> bool {
    let mut segments = text.split('/').filter(|segment| !segment.is_empty());
    for wanted in place.split('/').filter(|segment| !segment.is_empty()) {
        let Some(segment) = segments.next() else {
            return false;
        };
        if is_unclear(segment) {
            return unclear;
        }
        if !same(segment, wanted) {
            return false;
        }
    }
    true
}

/// A segment that has no name, or that could not be decoded, may be left out or be several.
fn is_unclear(segment: &str) -> bool {
    let bare = segment.trim_start_matches(|c| is_blank(c) || c == '.');
    bare.is_empty() || bare.starts_with([';', '?', '#', '\0', ':']) || segment.contains(UNCLEAR)
}

/// Whether some program may take the segment for `name`: it cuts off blanks, dots, an extension (also
/// a format, `.json`), parameters, a query or fragment that were encoded, what follows NUL, or a stream
/// (`::$DATA`); or it completes a short name (`USERS~1`) or a pattern.
fn may_mean(segment: &str, name: &str) -> bool {
    let segment = segment.trim_start_matches(is_blank);
    if let Some(begun) = begun(segment) {
        return starts_with(name, begun);
    }
    let Some((head, rest)) = segment.split_at_checked(name.len()) else {
        return false;
    };
    let rest = rest.trim_start_matches(is_blank);
    head.eq_ignore_ascii_case(name)
        && (rest.is_empty() || rest.starts_with(['.', '"', ';', '?', '#', '\0', ':']))
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '+' || c == '\t'
}

fn starts_with(text: &str, start: &str) -> bool {
    let head = text.get(..start.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// The part of a segment that the file system of Windows completes: `use` of `use<` and `use*`, the first
/// two characters of a short name, which may be `USERS~1` or `US1A2B~1`.
fn begun(segment: &str) -> Option<&str> {
    let pattern = segment.find(['<', '>', '*']);
    let short = segment.match_indices('~').find_map(|(at, _)| {
        let number = segment
            .as_bytes()
            .get(at + 1)
            .is_some_and(u8::is_ascii_digit);
        (number && at > 0).then_some(at)
    });
    let short = short.map(|at| {
        segment
            .char_indices()
            .nth(2)
            .map_or(at, |(two, _)| two.min(at))
    });
    let end = [pattern, short].into_iter().flatten().min()?;
    segment.get(..end)
}

fn has_dot_segment(text: &str) -> bool {
    text.split('/').any(|segment| {
        let name = segment.split([';', '?', '#', '\0', ':']).next();
        matches!(name.unwrap_or_default().trim_matches(is_blank), "." | "..")
    })
}
