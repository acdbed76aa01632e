//! The one reading of a path.
//!
//! A path that two programs could take for different places is refused where it can be told to be an
//! attack (dot segments, backslashes, controls), and judged by the strictest of all that it may mean
//! elsewhere, which [`super::reading`] knows. RFC 3986 §6.

use percent_encoding::percent_decode_str;

use super::reading;

/// A path that may be judged. Forwarded byte for byte as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    raw: String,
    /// Its loosest forms, where it is not its own. Most paths have none.
    loosest: Vec<String>,
    /// Whether it says the same to every panel, letter case aside.
    is_plain: bool,
    is_canonical: bool,
}

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("the path does not begin with a slash")]
    NoSlash,
    #[error("the path has a dot segment (\".\" or \"..\", in whatever spelling)")]
    DotSegment,
    #[error("the path has a backslash")]
    Backslash,
    #[error("the path has a control character or a \"#\"")]
    Control,
    #[error("the path has a percent sign that two hexadecimal digits do not follow")]
    Percent,
    #[error("the path is not UTF-8")]
    Encoding,
    #[error("the path has a segment of parameters alone (\"/;\")")]
    NamelessSegment,
}

impl Path {
    /// Reads the path of a request target, without the query.
    ///
    /// # Errors
    /// [`BadPath`]: such a path is answered 400 and never repaired.
    pub fn parse(raw: &str) -> Result<Self, BadPath> {
        if !raw.starts_with('/') {
            return Err(BadPath::NoSlash);
        }
        check_percent(raw)?;
        let decoded = percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| BadPath::Encoding)?;
        check_characters(raw)?;
        check_characters(&decoded)?;
        check_segments(&decoded)?;
        let has_one_segmentation = !decoded.contains("//") && !decoded.contains(';');
        let is_plain = !decoded.contains("//")
            && raw
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte));
        let loosest = reading::loosest(raw);
        Ok(Self {
            raw: raw.to_owned(),
            is_plain,
            is_canonical: has_one_segmentation
                && !has_encoded_slash(raw)
                && !reading::may_lead_anywhere(&loosest),
            loosest,
        })
    }

    /// As the browser sent it.
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// Whether all panels see the same segments in it: no encoded or doubled slash, no `;`, no dot
    /// segment however often it is decoded. Only then may a rule for anyone match.
    pub fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    /// Whether its own spelling lies at or below `folder`, given without a slash at its end. A folder
    /// that is not ASCII is compared once decoded.
    pub(super) fn spells_below(&self, folder: &str, fold_case: bool) -> bool {
        if folder.is_ascii() {
            return lies_below(&self.raw, folder, fold_case);
        }
        let decoded = percent_decode_str(&self.raw).decode_utf8_lossy();
        self.is_canonical && lies_below(&decoded, folder, fold_case)
    }

    /// Whether some panel may take it for a path at or below `place`, a path as rules name it; where that
    /// can't be told, it may.
    pub fn may_lie_below(&self, place: &str) -> bool {
        self.is_read_below(place, true)
    }

    /// Whether some program is known to take it for a path at or below `place`.
    pub fn resembles(&self, place: &str) -> bool {
        self.is_read_below(place, false)
    }

    fn is_read_below(&self, place: &str, unclear: bool) -> bool {
        if self.is_plain {
            return lies_below(&self.raw, place.trim_end_matches('/'), true);
        }
        let forms = self.loosest.iter().map(String::as_str);
        std::iter::once(self.raw.as_str())
            .chain(forms)
            .any(|text| reading::may_lie_below(text, place, unclear))
    }

    /// The same for a panel that reads paths exactly.
    pub fn lies_exactly_below(&self, place: &str) -> bool {
        if self.is_plain {
            return lies_below(&self.raw, place.trim_end_matches('/'), false);
        }
        reading::lies_exactly_below(&self.raw, place)
    }
}

/// Whether `text` is `prefix`, or continues it after a slash.
pub(super) fn lies_below(text: &str, prefix: &str, fold_case: bool) -> bool {
    let (text, prefix) = (text.as_bytes(), prefix.as_bytes());
    let Some((start, rest)) = text.split_at_checked(prefix.len()) else {
        return false;
    };
    let same = if fold_case {
        start.eq_ignore_ascii_case(prefix)
    } else {
        start == prefix
    };
    same && rest.first().is_none_or(|&byte| byte == b'/')
}

/// `u8::from_str_radix` takes a sign, so the digits are looked at one by one.
fn check_percent(raw: &str) -> Result<(), BadPath> {
    let bytes = raw.as_bytes();
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let broken = bytes
        .iter()
        .enumerate()
        .any(|(at, &byte)| byte == b'%' && !(is_hex(at + 1) && is_hex(at + 2)));
    if broken {
        return Err(BadPath::Percent);
    }
    Ok(())
}

fn check_characters(text: &str) -> Result<(), BadPath> {
    if text.contains('\\') {
        return Err(BadPath::Backslash);
    }
    if text.chars().any(char::is_control) {
        return Err(BadPath::Control);
    }
    Ok(())
}

/// On the decoded text, so that `%2f` splits and `%2e` is a dot.
fn check_segments(decoded: &str) -> Result<(), BadPath> {
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let (name, parameters) = match segment.split_once(';') {
            Some((name, _)) => (name, true),
            None => (segment, false),
        };
        if [".", ".."].contains(&name.trim()) {
            return Err(BadPath::DotSegment);
        }
        // `/static/;/users` is `/static/users` to some and `/static//users` to others.
        if name.is_empty() && parameters && segments.peek().is_some() {
            return Err(BadPath::NamelessSegment);
        }
    }
    Ok(())
}

fn has_encoded_slash(raw: &str) -> bool {
    raw.as_bytes()
        .windows(3)
        .any(|part| part.eq_ignore_ascii_case(b"%2f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_read_as_another_place_is_refused() {
        for (raw, fault) in [
            ("/static/../users/", BadPath::DotSegment),
            ("/static/%2e%2e/users/", BadPath::DotSegment),
            ("/static/.%2E/users/", BadPath::DotSegment),
            ("/static/..%2fusers/", BadPath::DotSegment),
            ("/static/%2e%2e%2fusers/", BadPath::DotSegment),
            ("/static/./../users/", BadPath::DotSegment),
            ("/static/..;/users/", BadPath::DotSegment),
            ("/static/..%3bx/users/", BadPath::DotSegment),
            ("/..", BadPath::DotSegment),
            ("/a/.", BadPath::DotSegment),
            ("/static/;/users/", BadPath::NamelessSegment),
            ("/static/x%5c..%5cusers/", BadPath::Backslash),
            ("/static\\users", BadPath::Backslash),
            ("/static/%00/users/", BadPath::Control),
            ("/a%0d%0ab", BadPath::Control),
            ("/a%c2%85b", BadPath::Control),
            ("/%+1", BadPath::Percent),
            ("/%zz", BadPath::Percent),
            ("/%", BadPath::Percent),
            ("/a%2", BadPath::Percent),
            ("/static/%c0%ae%c0%ae/users/", BadPath::Encoding),
            ("/static/%e0%80%af", BadPath::Encoding),
            ("users", BadPath::NoSlash),
            ("", BadPath::NoSlash),
        ] {
            assert_eq!(Path::parse(raw), Err(fault), "{raw}");
        }
    }

    #[test]
    fn what_is_data_is_kept_byte_for_byte() {
        for raw in [
            "/",
            "/a/b.c/..d/...",
            "/api/queues/%2F/q",
            "/static/%252e%252e/users/",
            "/static/%ef%bc%8e%ef%bc%8e/users/",
            "/users/%23/static/",
            "/é",
            "/;jsessionid=1",
        ] {
            assert_eq!(Path::parse(raw).as_ref().map(Path::as_str), Ok(raw));
        }
    }

    #[test]
    fn only_what_everybody_splits_alike_is_canonical() {
        for (raw, canonical) in [
            ("/static/a.css", true),
            ("/", true),
            ("/STATIC/a", true),
            ("/static//a", false),
            ("/static/My%20File.css", true),
            ("/static/%252e%252e/x", false),
            ("/static/%252e%252ex", true),
            ("/static/a;b", false),
            ("/static/a%3bb", false),
            ("/static/a%2fb", false),
            ("/;x", false),
        ] {
            assert_eq!(Path::parse(raw).unwrap().is_canonical(), canonical, "{raw}");
        }
    }
}
