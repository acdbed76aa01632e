//! A replica takes over as the store: with all that was committed, or without the last of it and the rows of
//! nodes that came last. Connections to the former primary are lost with it.

use super::{Ending, Entry, LEASE, LeftOut, NODES, Protocol, Renewal, SESSIONS, State, Step};

/// What a replica that takes over has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replica {
    /// None takes over.
    Waits,
    /// Every commit waited for it.
    Synchronous,
    Asynchronous,
}

/// The origin by which a node recognises the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    has_taken_over: bool,
    /// The number in the feed under which everything ended after that.
    begun_anew: Option<u8>,
    /// When the first node saw it, by its clock.
    noticed: Option<(usize, u8)>,
    /// Something was acknowledged that it does not have.
    has_lost: bool,
}

/// The feed as a node has read it: its last number, and where in it these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Read {
    pub(super) head: u8,
    pub(super) entry: Option<(Entry, u8)>,
    pub(super) begun_anew: Option<u8>,
    /// From the server that took over.
    pub(super) from_replica: bool,
}

impl State {
    /// The last number of the feed.
    pub(super) fn head(&self) -> u8 {
        let entry = self.entry.map_or(0, |(_, number)| number);
        entry.max(self.server.begun_anew.unwrap_or(0))
    }

    pub(super) fn read(&self) -> Read {
        Read {
            head: self.head(),
            entry: self.entry,
            begun_anew: self.server.begun_anew,
            from_replica: self.server.has_taken_over,
        }
    }

    /// Whether a node that asks finds what it has worked with: nothing is renewed, read or changed else.
    pub(super) fn is_at_home(&self, left_out: LeftOut) -> bool {
        let server = &self.server;
        let ends_everything = left_out != LeftOut::EndingEverything;
        !ends_everything || !server.has_taken_over || server.begun_anew.is_some()
    }

    pub(super) fn has_another_server(&self) -> bool {
        self.server.has_taken_over
    }

    pub(super) fn has_begun_anew(&self) -> bool {
        self.server.begun_anew.is_some()
    }

    pub(super) fn follows_what_has_lost(&self) -> bool {
        let follows = self.nodes.iter().any(|node| node.is_on_replica);
        self.ending == Ending::Answered && self.server.has_lost && follows
    }

    pub(super) fn is_answered_by_the_replica(&self) -> bool {
        let before = self.server.begun_anew;
        self.ending == Ending::Answered
            && before.is_some_and(|number| self.ended.is_some_and(|(_, ended)| number < ended))
    }

    /// A node tells what it has applied, if the server is there that it has read from.
    pub(super) fn report(&mut self, node: usize, read: Read) {
        let applied = self.nodes[node].applied;
        if read.from_replica == self.server.has_taken_over
            && let Some(row) = &mut self.rows[node]
        {
            row.applied = applied;
        }
    }
}

impl Protocol {
    pub(super) fn server_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let server = &state.server;
        if self.replica != Replica::Waits && !server.has_taken_over {
            steps.push(Step::TakeOver);
        }
        if state.is_at_home(self.left_out) {
            return;
        }
        for node in 0..NODES {
            match server.noticed {
                None => steps.push(Step::Notice(node)),
                Some((by, at)) if by == node => {
                    let waited = state.clocks[node] - at >= LEASE;
                    if waited || self.left_out == LeftOut::OutlastingTheLeases {
                        steps.push(Step::BeginAnew(node));
                    }
                }
                Some(_) => {}
            }
        }
    }

    pub(super) fn move_server(&self, state: &mut State, step: Step) {
        match step {
            Step::TakeOver => {
                state.server.has_taken_over = true;
                if self.replica == Replica::Asynchronous {
                    state.server.has_lost = state.entry.is_some();
                    if state.entry.take().is_some() {
                        state.kept = state.kept_before;
                    }
                    state.rows = [None; NODES];
                }
                for node in &mut state.nodes {
                    // What was read is applied; what was not is never read.
                    if !matches!(node.renewal, Renewal::Read(..)) {
                        node.renewal = Renewal::No;
                    }
                }
            }
            Step::Notice(node) => state.server.noticed = Some((node, state.clocks[node])),
            Step::BeginAnew(node) => {
                let number = state.head().max(state.nodes[node].applied) + 1;
                state.server.begun_anew = Some(number);
                state.kept = [false; SESSIONS];
            }
            _ => {}
        }
    }

    /// Sessions can be ended on the server that took over.
    pub(super) fn may_commit(&self, state: &State) -> bool {
        state.ended.is_none() && state.is_at_home(self.left_out)
    }

    /// Whether the store that the revoker looks at has its commit: else it does not look after the commit.
    pub(super) fn may_look(&self, state: &State) -> bool {
        state.entry.is_some() || self.left_out == LeftOut::FindingTheCommitAgain
    }
}
