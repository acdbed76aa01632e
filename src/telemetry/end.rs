//! How an exchange ended, as the access log says it.

/// How an exchange ended. Names are part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// All of the answer was handed over.
    Complete,
    /// The client closed the connection or reset the stream.
    ClientLeft,
    /// The client took or sent nothing for too long.
    ClientTimedOut,
    /// The panel closed the connection before the length was reached that it had said.
    PanelClosedEarly,
    /// The panel closed the connection in the middle of a chunked body.
    PanelClosedInChunks,
    /// The framing of the panel's chunks is malformed.
    PanelBadChunk,
    /// The panel reset the connection, or its TLS failed.
    PanelReset,
    /// The panel sent nothing more for too long.
    PanelTimedOut,
    /// The panel answered nothing that is an answer.
    PanelFailed,
    /// The session was ended while it was under way.
    CutSessionEnded,
    /// The node lost touch with the store.
    CutCannotBeTold,
    /// The rules changed.
    CutNotAllowed,
    /// The panel is elsewhere now.
    CutPanelMoved,
    /// The gateway ended.
    CutGatewayEnds,
    /// The gateway could not go on.
    Failed,
}

impl End {
    /// As it stands in the log and in labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientLeft => "client-left",
            Self::ClientTimedOut => "client-timed-out",
            Self::PanelClosedEarly => "panel-closed-early",
            Self::PanelClosedInChunks => "panel-closed-in-chunks",
            Self::PanelBadChunk => "panel-bad-chunk",
            Self::PanelReset => "panel-reset",
            Self::PanelTimedOut => "panel-timed-out",
            Self::PanelFailed => "panel-failed",
            Self::CutSessionEnded => "cut-session-ended",
            Self::CutCannotBeTold => "cut-cannot-be-told",
            Self::CutNotAllowed => "cut-not-allowed",
            Self::CutPanelMoved => "cut-panel-moved",
            Self::CutGatewayEnds => "cut-gateway-ends",
            Self::Failed => "failed",
        }
    }

    /// Whether the gateway broke it off.
    pub fn is_cut(self) -> bool {
        matches!(
            self,
            Self::CutSessionEnded
                | Self::CutCannotBeTold
                | Self::CutNotAllowed
                | Self::CutPanelMoved
                | Self::CutGatewayEnds
        )
    }

    /// Whether the panel is at fault.
    pub fn is_of_panel(self) -> bool {
        matches!(
            self,
            Self::PanelClosedEarly
                | Self::PanelClosedInChunks
                | Self::PanelBadChunk
                | Self::PanelReset
                | Self::PanelTimedOut
                | Self::PanelFailed
        )
    }
}
