//! `[throttle]`: how many failed guesses are allowed, and how often.

use std::time::Duration;

use super::fault::Report;
use super::risk;
use super::value;
use super::written::Section;

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub window: Duration,
}

/// How many failed sign-ins are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// With one name.
    pub per_user: Rate,
    /// In a row; then a one-time link or an administrator is needed.
    pub per_user_total: u32,
    /// From one address, which for IPv6 is a /64.
    pub per_address: Rate,
}

impl Throttle {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let total = section.number(
            "per_user_total",
            MOST_IN_A_ROW,
            &(1..=MOST_IN_A_ROW),
            report,
        );
        let throttle = Self {
            per_user: section.parsed("per_user", Rate::of(10), report, rate),
            per_user_total: u32::try_from(total).unwrap_or(u32::MAX),
            per_address: section.parsed("per_address", Rate::of(30), report, rate),
        };
        let (per_user, per_address) = (throttle.per_user, throttle.per_address);
        risk::of_rate(
            &section,
            "per_user",
            per_user,
            risk::GUESSES_OF_USER,
            report,
        );
        risk::of_rate(
            &section,
            "per_address",
            per_address,
            risk::GUESSES_OF_ADDRESS,
            report,
        );
        section.finish(report);
        throttle
    }
}

impl Rate {
    /// So many in a quarter of an hour.
    pub(super) const fn of(count: u32) -> Self {
        Self {
            count,
            window: Duration::from_secs(15 * 60),
        }
    }
}

/// `"10/15m"`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let wrong =
        || format!("{text:?} is no rate; write how many in how long, like \"10/15m\" or \"5/1h\"");
    let (count, window) = text.split_once('/').ok_or_else(wrong)?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let count = count
        .parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count));
    let count = count.ok_or_else(|| format!("{text:?}: from 1 to {MOST} are possible"))?;
    let window = value::duration(window)?;
    Ok(Rate { count, window })
}

const MOST: u32 = 1_000_000;
/// As NIST SP 800-63B-4 §3.2.2 has it.
const MOST_IN_A_ROW: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_say_how_many_in_how_long() {
        assert_eq!(rate("10/15m"), Ok(Rate::of(10)));
        for text in [
            "",
            "10",
            "10/",
            "/15m",
            "0/15m",
            "-1/15m",
            "10/15",
            "10 / 15m",
            "9999999/1s",
        ] {
            assert!(rate(text).is_err(), "{text:?}");
        }
    }
}
