//! Why an exchange failed, whose fault it was, and what is answered.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderName, StatusCode};

use super::body::ClientFault;
use super::condition::NotNow;
use super::upstream::UpstreamError;
use crate::config::Panel;
use crate::gate;
use crate::session::CutReason;
use crate::wire::Problem;

/// Why an exchange brought no answer of the panel.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The exchange was cut before the panel answered. Where the session ended, the visitor has to
    /// sign in.
    #[error("{0}")]
    Cut(CutReason),
    #[error("panel {panel} can't be reached: {cause}")]
    Unreachable { panel: String, cause: UpstreamError },
    /// The gateway has no files, ports or memory left for one more connection.
    #[error("the gateway can't open a connection to panel {panel}: {cause}")]
    Exhausted { panel: String, cause: UpstreamError },
    #[error("panel {panel} did not answer in time")]
    Silent { panel: String },
    #[error("panel {panel} broke off or answered nonsense: {cause}")]
    Broken { panel: String, cause: String },
    #[error("panel {panel} is down")]
    Down {
        panel: String,
        retry_after: Duration,
    },
    #[error("panel {panel} has as many requests in progress as it may")]
    Full { panel: String },
    /// A stranger's network has too many exchanges.
    #[error("people who have not signed in have as many requests in progress as they may")]
    Crowded,
    #[error("the client's body is longer than the {limit} bytes that the panel takes")]
    TooLarge { limit: u64 },
    #[error("the client sent nothing more of its request for {seconds} seconds")]
    ClientSilent { seconds: u64 },
    #[error(
        "the client sent its request slower than the {rate} bytes a second that this panel waits for"
    )]
    ClientSlow { rate: u64 },
    #[error("the client broke off its request, or its body was malformed")]
    ClientBroken,
}

impl ForwardError {
    /// The panel, where it was asked and failed; what it was not asked, and what the client spoilt, is
    /// not its fault.
    pub fn panel_at_fault(&self) -> Option<&str> {
        match self {
            Self::Unreachable { panel, .. }
            | Self::Silent { panel }
            | Self::Broken { panel, .. } => Some(panel),
            _ => None,
        }
    }

    /// What is answered: it says which panel, and carries a number for the log where the panel is to
    /// blame. `None` when the visitor has to sign in.
    pub fn problem(&self) -> Option<Problem> {
        let panel_failed = |status, title, panel: &str, what: &str| {
            Problem::new(status, title)
                .detail(format!(
                    "the panel \"{panel}\" {what}; the gateway itself is well"
                ))
                .field("panel", panel)
                .referenced()
        };
        Some(match self {
            Self::Cut(reason) => return of_cut(*reason),
            Self::Unreachable { panel, .. } => panel_failed(
                StatusCode::BAD_GATEWAY,
                "panel out of reach",
                panel,
                "can't be reached",
            ),
            Self::Silent { panel } => panel_failed(
                StatusCode::GATEWAY_TIMEOUT,
                "panel does not answer",
                panel,
                "did not answer in time",
            ),
            Self::Broken { panel, .. } => panel_failed(
                StatusCode::BAD_GATEWAY,
                "panel broke off",
                panel,
                "broke off, or answered with something that is not HTTP",
            ),
            Self::Down { panel, retry_after } => {
                // A page asks again by itself.
                let seconds = retry_after.as_secs().max(1);
                unavailable(
                    "panel is down",
                    panel,
                    "is down at the moment; this page looks again by itself, and the gateway is well",
                    seconds,
                )
                .header(REFRESH, seconds.into())
            }
            Self::Exhausted { panel, .. } => unavailable(
                "gateway is busy",
                panel,
                "could not be asked, as the gateway has no connections left; try again in a moment",
                1,
            ),
            Self::Full { panel } => {
                let what = "has as many requests in progress as it may; try again in a moment";
                unavailable("panel is busy", panel, what, 1)
            }
            Self::Crowded => crowded(),
            Self::TooLarge { limit } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too large")
                .detail(format!(
                    "what was sent is too large; this panel takes {limit} bytes at once"
                ))
                .field("limit", *limit),
            Self::ClientSilent { .. } | Self::ClientSlow { .. } => {
                self.of_client(StatusCode::REQUEST_TIMEOUT, "request too slow")
            }
            Self::ClientBroken => self.of_client(StatusCode::BAD_REQUEST, "bad request"),
        })
    }

    fn of_client(&self, status: StatusCode, title: &'static str) -> Problem {
        Problem::new(status, title).detail(self.to_string())
    }
}

/// `None` where the visitor has to sign in.
fn of_cut(reason: CutReason) -> Option<Problem> {
    match reason {
        CutReason::SessionEnded => None,
        CutReason::CannotBeTold => Some(gate::untold()),
        CutReason::NotAllowed => Some(gate::not_allowed_now()),
        CutReason::PanelMoved => Some(panel_moved()),
        CutReason::GatewayEnds => Some(gateway_ends()),
    }
}

fn crowded() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many at once")
        .detail(
            "people of your network who have not signed in, or all of them together, have as many \
             requests in progress as they may; try again in a moment",
        )
        .header(RETRY_AFTER, 1.into())
}

/// The panel is to be asked where it is now.
fn panel_moved() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "panel has moved")
        .detail(
            "the gateway's configuration has changed while this was under way, and names another place \
             for the panel; whether the panel did what was asked is not certain, so look before you ask \
             again",
        )
        .header(RETRY_AFTER, 1.into())
}

/// The gateway is to be asked again when it is back.
fn gateway_ends() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "gateway restarts")
        .detail(
            "the gateway ended before the panel had answered; whether the panel did what was asked is \
             not certain, so look before you ask again",
        )
        .header(RETRY_AFTER, 2.into())
}

fn unavailable(title: &'static str, panel: &str, what: &str, seconds: u64) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, title)
        .detail(format!("the panel \"{panel}\" {what}"))
        .field("panel", panel)
        .header(RETRY_AFTER, seconds.into())
}

/// The panel is not asked.
pub(super) fn not_now(panel: &Panel, why: &NotNow, retry_after: Duration) -> ForwardError {
    let panel = panel.name.clone();
    match why {
        NotNow::Down => ForwardError::Down { panel, retry_after },
        NotNow::Full => ForwardError::Full { panel },
    }
}

/// The panel sent something that can't be passed on.
pub(super) fn nonsense(panel: &Panel, what: &str) -> ForwardError {
    ForwardError::Broken {
        panel: panel.name.clone(),
        cause: what.to_owned(),
    }
}

/// Tells the panel's fault from the client's.
pub(super) fn of_exchange(panel: &Panel, fault: UpstreamError) -> ForwardError {
    let name = panel.name.clone();
    match fault {
        UpstreamError::Client(ClientFault::Silent) => ForwardError::ClientSilent {
            seconds: panel.bounds.idle.as_secs(),
        },
        UpstreamError::Client(ClientFault::Slow) => ForwardError::ClientSlow {
            rate: panel.bounds.min_body_rate.unwrap_or_default(),
        },
        UpstreamError::Client(ClientFault::TooLarge) => ForwardError::TooLarge {
            limit: panel.bounds.max_body.unwrap_or(u64::MAX),
        },
        UpstreamError::Client(ClientFault::Broken) => ForwardError::ClientBroken,
        UpstreamError::NoAnswer => ForwardError::Silent { panel: name },
        cause if cause.is_of_this_machine() => ForwardError::Exhausted { panel: name, cause },
        cause @ (UpstreamError::Connect { .. } | UpstreamError::ConnectTimeout { .. }) => {
            ForwardError::Unreachable { panel: name, cause }
        }
        cause => ForwardError::Broken {
            panel: name,
            cause: cause.to_string(),
        },
    }
}

/// Known to every browser, if to no standard of HTTP.
const REFRESH: HeaderName = HeaderName::from_static("refresh");
