//! Why an exchange failed, whose fault it was, and what is answered.

use http::StatusCode;

use super::body::{BodyFault, Progress};
use super::upstream::UpstreamError;
use crate::config::Panel;
use crate::wire::Problem;

/// Why an exchange brought no answer of the panel.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The session ended before the panel answered: the visitor has to sign in.
    #[error("the session has ended")]
    SessionEnded,
    #[error("panel {panel} can't be reached: {cause}")]
    Unreachable { panel: String, cause: UpstreamError },
    #[error("panel {panel} did not answer in time")]
    Silent { panel: String },
    #[error("panel {panel} broke off or answered nonsense: {cause}")]
    Broken { panel: String, cause: String },
    #[error("the client sent nothing more of its request for {} seconds", super::body::BODY_IDLE.as_secs())]
    ClientSilent,
    #[error("the client broke off its request, or its body was malformed")]
    ClientBroken,
}

impl ForwardError {
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
            Self::SessionEnded => return None,
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
            Self::ClientSilent => Problem::new(StatusCode::REQUEST_TIMEOUT, "request too slow")
                .detail(self.to_string()),
            Self::ClientBroken => {
                Problem::new(StatusCode::BAD_REQUEST, "bad request").detail(self.to_string())
            }
        })
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
pub(super) fn of_exchange(
    panel: &Panel,
    fault: UpstreamError,
    progress: &Progress,
) -> ForwardError {
    match progress.client_fault() {
        Some(BodyFault::Silent) => return ForwardError::ClientSilent,
        Some(BodyFault::Broken) => return ForwardError::ClientBroken,
        Some(BodyFault::Cut) => return ForwardError::SessionEnded,
        None => {}
    }
    let panel = panel.name.clone();
    match fault {
        UpstreamError::NoAnswer => ForwardError::Silent { panel },
        UpstreamError::Exchange(cause) => ForwardError::Broken {
            panel,
            cause: cause.to_string(),
        },
        cause => ForwardError::Unreachable { panel, cause },
    }
}
