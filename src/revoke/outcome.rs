//! What a revocation achieved.

use crate::model::Generation;

/// The truth about a revocation, as it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The user's generation from now on; `None` when it was not about one user.
    pub generation: Option<Generation>,
    /// Sessions that were alive in memory and are dead now.
    pub sessions_ended: usize,
    /// Exchanges in flight that were cut: requests, streams, tunnels.
    pub connections_closed: usize,
    /// Whether it is on disk.
    pub durable: bool,
    /// Nodes that may serve.
    pub nodes: usize,
    /// Those of them that have not confirmed.
    pub nodes_unreached: usize,
}
