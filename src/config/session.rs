//! `[session]`: what sessions are held to.

use std::time::Duration;

use super::fault::Report;
use super::risk;
use super::value;
use super::written::Section;

/// What sessions are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// A session that is not used for so long ends.
    pub idle_timeout: Duration,
    /// The greatest age of a session, used or not.
    pub lifetime: Duration,
    /// With more than these the oldest of a user end.
    pub max_per_user: usize,
}

/// The limits of a configuration that says nothing of them.
impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_timeout: IDLE,
            lifetime: LIFETIME,
            max_per_user: MAX_PER_USER,
        }
    }
}

impl SessionLimits {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let limits = Self {
            idle_timeout: section.parsed("idle_timeout", IDLE, report, value::duration),
            lifetime: section.parsed("lifetime", LIFETIME, report, value::duration),
            max_per_user: section.number("max_per_user", MAX_PER_USER, &(1..=10_000), report),
        };
        if limits.idle_timeout > limits.lifetime {
            report.fault(
                &section.span_of("idle_timeout"),
                "idle_timeout is longer than lifetime and would never take effect; \
                 make it the same or shorter",
            );
        }
        risk::of_session(&section, limits.idle_timeout, limits.lifetime, report);
        section.finish(report);
        limits
    }
}

const IDLE: Duration = Duration::from_secs(30 * 60);
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const MAX_PER_USER: usize = 10;
