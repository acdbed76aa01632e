//! How an exchange that had an answer ended, told where its line is written.

use std::sync::Arc;

use super::body::ClientFault;
use super::upstream::{RoundTrip, UpstreamError};
use super::{ForwardError, Outbound};
use crate::cancel::Cancel;
use crate::config::Panel;
use crate::session::CutReason;
use crate::telemetry::{End, Entry};

/// Tells how one exchange ended.
#[derive(Debug)]
pub(super) struct Teller {
    entry: Entry,
    panel: Arc<Panel>,
    /// Cancelled also where the client takes nothing for too long.
    closer: Cancel,
}

impl Teller {
    pub(super) fn of(outbound: &Outbound<'_>, panel: &Arc<Panel>) -> Self {
        Self {
            entry: outbound.entry.clone(),
            panel: panel.clone(),
            closer: outbound.connection.closer().clone(),
        }
    }

    /// Bytes that went to the browser.
    pub(super) fn sent(&self, bytes: usize) {
        self.entry.sent(bytes);
    }

    /// It ended in this way.
    pub(super) fn ended(&self, end: End) {
        self.entry.broke_off(&self.panel.name, end);
    }

    /// The client takes no more of it.
    pub(super) fn abandoned(&self, cut: Option<CutReason>) {
        self.ended(match cut {
            Some(reason) => of_cut(reason),
            None if self.closer.is_cancelled() => End::ClientTimedOut,
            None => End::ClientLeft,
        });
    }
}

/// A cut.
pub(super) fn of_cut(reason: CutReason) -> End {
    match reason {
        CutReason::SessionEnded => End::CutSessionEnded,
        CutReason::CannotBeTold => End::CutCannotBeTold,
        CutReason::NotAllowed => End::CutNotAllowed,
        CutReason::PanelMoved => End::CutPanelMoved,
        CutReason::GatewayEnds => End::CutGatewayEnds,
    }
}

/// What went wrong with the rest of an answer.
pub(super) fn of_answer(fault: &UpstreamError, trip: &RoundTrip) -> End {
    match fault {
        UpstreamError::Broken(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            match trip.is_chunked() {
                true => End::PanelClosedInChunks,
                false => End::PanelClosedEarly,
            }
        }
        UpstreamError::Framing(_) => End::PanelBadChunk,
        UpstreamError::Standstill | UpstreamError::NoAnswer => End::PanelTimedOut,
        UpstreamError::Client(ClientFault::Silent) => End::ClientTimedOut,
        UpstreamError::Client(_) => End::ClientLeft,
        _ => End::PanelReset,
    }
}

impl ForwardError {
    /// How the exchange ended, where that is not with the gateway's own answer alone.
    pub fn end(&self) -> Option<End> {
        Some(match self {
            Self::Cut(reason) => of_cut(*reason),
            Self::Silent { .. } => End::PanelTimedOut,
            Self::Unreachable { .. } | Self::Broken { .. } => End::PanelFailed,
            Self::ClientSilent { .. } => End::ClientTimedOut,
            Self::ClientBroken => End::ClientLeft,
            _ => return None,
        })
    }
}
