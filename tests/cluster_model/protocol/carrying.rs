//! A request between its verdict and its bytes.

use super::{Ending, LeftOut, Protocol, State, Step};

/// A node that lets requests pass and carries them.
const CARRIER: usize = 1;

/// Where a request is that was let pass. A process that is stopped there, or waits for a connection, is
/// one that takes its next step late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Carrying {
    No,
    /// It may still carry any number of bytes.
    LetPass,
    /// It has carried some after the answer.
    CarriedLate,
}

impl Protocol {
    /// Bytes are of interest once the session that they belong to has ended.
    pub(super) fn carrying_steps(&self, state: &State, steps: &mut Vec<Step>) {
        match state.carrying {
            Carrying::No if state.forwards(CARRIER, 0, self.left_out) => steps.push(Step::LetPass),
            Carrying::LetPass if state.ending == Ending::Answered => steps.push(Step::Carry),
            _ => {}
        }
    }

    /// Whoever carries asks what the verdict asked, at the moment at which it does.
    pub(super) fn carry(&self, state: &State) -> Carrying {
        let asks = self.left_out != LeftOut::AskingBeforeEachByte;
        match asks && !state.forwards(CARRIER, 0, self.left_out) {
            true => Carrying::No,
            false => Carrying::CarriedLate,
        }
    }
}
