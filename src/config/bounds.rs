//! What a panel is given: how long it is waited for, how much it is sent, and when it counts as down.

use std::time::Duration;

use super::fault::Report;
use super::value;
use super::written::Section;

/// The bounds of one panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// How long a connection to it may take to stand.
    pub connect: Duration,
    /// How long it may take from the end of a request to the head of its answer, and how long it may
    /// stand still in what it owes: an answer of known length, the reading of a request.
    pub answer: Duration,
    /// How long a client may send nothing of a body that it has begun.
    pub idle: Duration,
    /// What a client sends of a body at the least, in bytes a second, while it is waited for.
    pub min_body_rate: Option<u64>,
    /// The longest body of a request, in bytes.
    pub max_body: Option<u64>,
    /// Requests in progress at a time, open WebSockets included.
    pub max_requests: Option<usize>,
    pub health: Health,
}

/// When a panel counts as down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked for to see whether it is well; `None`: only requests tell.
    pub path: Option<String>,
    /// How often that is asked, and how long a panel that is down is left alone.
    pub interval: Duration,
    /// Failures in a row that make it count as down.
    pub failures: u32,
}

impl Bounds {
    pub(super) fn understand(section: &mut Section<'_>, report: &mut Report<'_>) -> Self {
        let usual = Self::default();
        let mut time = |key, default| section.parsed(key, default, report, value::duration);
        let connect = time("connect_timeout", usual.connect);
        let answer = time("answer_timeout", usual.answer);
        let idle = time("idle_timeout", usual.idle);
        let interval = time("health_interval", usual.health.interval);
        let mut size = |key, default| {
            section.parsed(key, default, report, |text| match text {
                "" => Ok(None),
                text => value::size(text).map(Some),
            })
        };
        let min_body_rate = size("min_body_rate", usual.min_body_rate);
        let max_body = size("max_body", usual.max_body);
        let max_requests = section.number("max_requests", 0, &(0..=MOST), report);
        let path = section.parsed("health_path", usual.health.path, report, health_path);
        let failures = section.number("health_failures", FAILURES, &(1..=1000), report);
        Self {
            connect,
            answer,
            idle,
            min_body_rate,
            max_body,
            max_requests: Some(max_requests).filter(|most| *most > 0),
            health: Health {
                path,
                interval,
                failures: u32::try_from(failures).unwrap_or(u32::MAX),
            },
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            min_body_rate: Some(1024),
            max_body: None,
            max_requests: None,
            health: Health {
                path: None,
                interval: Duration::from_secs(10),
                failures: 3,
            },
        }
    }
}

fn health_path(text: &str) -> Result<Option<String>, String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    match text {
        "" => Ok(None),
        text if text.starts_with('/') && visible && !text.contains('#') => {
            Ok(Some(text.to_owned()))
        }
        text => Err(format!(
            "{text:?} is no path; write it like \"/health\", with what is no ASCII percent-encoded"
        )),
    }
}

const FAILURES: usize = 3;
const MOST: usize = 1 << 20;
