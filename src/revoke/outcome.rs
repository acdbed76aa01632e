//! What a revocation achieved, and what is to be said where that is not certain.

use crate::model::{Generation, Outcome};
use crate::store::StoreError;

/// What became of a revocation: done, not done, or not certain.
pub type Revocation = Outcome<Report, Unwritten, Doubt>;

/// The truth about a revocation, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The user's generation from now on; `None` when it was not about one user.
    pub generation: Option<Generation>,
    /// Sessions that were alive and are dead now.
    pub sessions_ended: usize,
    /// Exchanges in flight that were cut: requests, streams, tunnels.
    pub connections_closed: usize,
    /// Whether it is known to be on disk.
    pub durable: bool,
    /// Nodes that may serve.
    pub nodes: usize,
    /// Those of them that are not known to have applied it.
    pub nodes_unreached: usize,
}

/// A revocation that could not be written, or whose condition did not hold.
#[derive(Debug)]
pub struct Unwritten {
    /// Why.
    pub fault: StoreError,
    /// What was ended on this gateway all the same; `None` where a condition did not hold, and then
    /// nothing was ended.
    pub report: Option<Report>,
}

/// Why it is not certain that something was done, and what is known of it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Doubt {
    pub cause: DoubtCause,
    /// `None` for what ends no sessions.
    pub report: Option<Report>,
}

/// What keeps it from being certain.
#[derive(Debug, thiserror::Error)]
pub enum DoubtCause {
    /// The commit was sent, and its answer was lost.
    #[error(transparent)]
    Unanswered(StoreError),
    /// It is on disk, and not known to be in force everywhere.
    #[error(
        "it is on disk, but not every gateway has confirmed that it is in force, so sessions may still be alive there"
    )]
    Unreached,
    /// It goes on all the same.
    #[error("the store or a gateway has not answered in time, so sessions may still be alive")]
    Late,
    /// The work broke off; what is on disk holds.
    #[error("the work was interrupted, so sessions may still be alive")]
    Interrupted,
}

impl Report {
    /// Nothing is known to be done on any of so many nodes.
    pub(super) const fn of_nothing(nodes: usize) -> Self {
        Self {
            generation: None,
            sessions_ended: 0,
            connections_closed: 0,
            durable: false,
            nodes,
            nodes_unreached: nodes,
        }
    }
}

impl Doubt {
    /// A change that ends no sessions, whose commit was not answered.
    pub fn unanswered(fault: StoreError) -> Self {
        Self {
            cause: DoubtCause::Unanswered(fault),
            report: None,
        }
    }
}

impl std::fmt::Display for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.report {
            None => self.fault.fmt(f),
            Some(report) => {
                write!(
                    f,
                    "{}. Nothing was written. The sessions are ended on this gateway all the same, and it \
                     goes on trying to write that; a restart before it succeeds would bring them back",
                    self.fault
                )?;
                match report.nodes_unreached {
                    0 => Ok(()),
                    1 => f.write_str(". Until then another gateway may still take them for live"),
                    others => write!(
                        f,
                        ". Until then {others} other gateways may still take them for live"
                    ),
                }
            }
        }
    }
}
