//! Single values: durations, listeners, paths, roles. Each reader says what would have been right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::written::nearest;
use crate::model::Role;

/// `"90s"`, `"30m"`, `"12h"`, `"7d"`: at least a second, at most ten years.
///
/// # Errors
/// A sentence that says how durations are written.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no duration; write it like \"90s\", \"30m\", \"12h\" or \"7d\"");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
    let seconds_per_unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => DAY,
        _ => return Err(wrong()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(seconds_per_unit))
        .filter(|seconds| *seconds <= LONGEST_DAYS * DAY)
        .ok_or_else(|| format!("{text:?} is too long; at most \"{LONGEST_DAYS}d\" is possible"))?;
    if seconds == 0 {
        return Err(format!(
            "{text:?} is no time at all; at least \"1s\" is needed"
        ));
    }
    Ok(Duration::from_secs(seconds))
}

/// `"64k"`, `"10m"`, `"2g"`: bytes, in powers of 1024.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write it like \"64k\", \"10m\" or \"2g\"");
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k')) => (text.get(..at), 10),
        Some((at, 'm')) => (text.get(..at), 20),
        Some((at, 'g')) => (text.get(..at), 30),
        _ => (None, 0),
    };
    let digits = digits
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or_else(wrong)?;
    let count = digits.parse::<u64>().ok().filter(|count| *count > 0);
    count
        .and_then(|count| count.checked_mul(1 << shift))
        .ok_or_else(wrong)
}

/// `"ADDR:PORT"`.
pub(super) fn listener(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!(
            "{text:?} is no address to listen on; write an IP address and a port, \
             like \"127.0.0.1:8443\", \"0.0.0.0:443\" or \"[::]:443\""
        )
    })
}

/// A file or a folder.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("a path is needed here".to_owned());
    }
    Ok(PathBuf::from(text))
}

/// The name of a role.
pub(super) fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|unknown| {
        let names = Role::ALL.map(Role::as_str);
        match nearest(text, &names) {
            Some(near) => format!("there is no role {text:?}; did you mean {near:?}?"),
            None => format!("{unknown}"),
        }
    })
}

const DAY: u64 = 24 * 3600;
const LONGEST_DAYS: u64 = 3650;

/// The file of `"file:PATH"`; `None` for another value.
pub(super) fn file(text: &str) -> Result<Option<PathBuf>, String> {
    let named = text.strip_prefix("file:");
    named.map(path).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "s",
            "90",
            "1.5h",
            "-1s",
            "+1s",
            " 1s",
            "1 s",
            "1h30m",
            "0s",
            "5\u{fc}",
            "1S",
            "99999999999999999999d",
            "3651d",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("1k", 1024), ("10m", 10 << 20), ("2g", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in [
            "",
            "k",
            "0k",
            "1",
            "1K",
            "1.5m",
            "-1k",
            " 1k",
            "99999999999g",
            "1\u{fc}",
        ] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn listeners_are_addresses_with_a_port() {
        assert!(listener("[::1]:8443").is_ok());
        for text in ["", "8443", "localhost:8443", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(listener(text).is_err(), "{text:?}");
        }
    }
}
