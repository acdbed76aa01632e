//! The protocol of `src/cluster/DESIGN.md` with as little as it needs: nodes that renew leases, a feed,
//! whoever ends sessions and waits, sessions that are loaded, and clocks that do not run alike.
//!
//! A process that stops, dies or is cut off is one that takes no step for a while, or ever again; a
//! message that is late is a step that is taken late. So each step is taken at the store or at a node,
//! in any order that the protocol allows.

mod carrying;
mod renewing;
mod taking_over;

use stateright::{Model, Property};

use carrying::Carrying;
pub(crate) use taking_over::Replica;
use taking_over::{Read, Server};

/// Ticks that the others wait.
const LEASE: u8 = 3;

/// The second clock is at the first or a tick ahead of it, now this and now that: so a span may be a
/// tick longer on either of them.
const MARGIN: u8 = 1;

pub(crate) const NODES: usize = 2;

/// Whoever ends sessions is at the first node, and goes by its clock.
const REVOKER: usize = 0;

/// Session 0 is there from the beginning; session 1 is begun with the password of generation 0.
const SESSIONS: usize = 2;

/// A step that is left out, or taken at the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftOut {
    Nothing,
    NotingTheTimeFirst,
    ReadingAfterTheBeat,
    ReadingTheNodesAfterTheCommit,
    CountingFromTheLatestBeat,
    Margin,
    LookingAtTheLease,
    AskingBeforeEachByte,
    LoadingUnderTheFeed,
    EndingEverything,
    OutlastingTheLeases,
    FindingTheCommitAgain,
}

pub(crate) struct Protocol {
    pub(crate) left_out: LeftOut,
    /// What is ended.
    pub(crate) ends: Entry,
    /// What may take over as the store.
    pub(crate) replica: Replica,
    /// How far the clocks are followed.
    pub(crate) longest: u8,
    /// How often each node renews at the most; one that never does is not there.
    pub(crate) beats: [u8; NODES],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Entry {
    /// Every session of generation 0.
    User,
    /// Session 0 alone.
    Session,
}

/// Where a node is in its renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Renewal {
    No,
    Noted(u8),
    Beaten(u8),
    Read(u8, Read),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    beat: u8,
    applied: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    beat: u8,
    applied: u8,
    /// The user's generation as the feed has told it.
    generation: u8,
    table: [bool; SESSIONS],
    trusted_until: u8,
    renewal: Renewal,
    /// A session that was read from the store and is not in the table yet.
    loading: Option<u8>,
    /// It has followed the feed on the server that took over.
    is_on_replica: bool,
}

/// Where the one revocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ending {
    No,
    /// These are waited for, since then.
    Looked([Option<u8>; NODES]),
    Committed,
    Waiting([Option<u8>; NODES]),
    Answered,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    clocks: [u8; NODES],
    /// What the store knows of the revocation: what was ended, and under which number of the feed.
    entry: Option<(Entry, u8)>,
    /// The same, and nothing forgets it.
    ended: Option<(Entry, u8)>,
    /// The sessions that the store keeps, and those before the revocation.
    kept: [bool; SESSIONS],
    kept_before: [bool; SESSIONS],
    server: Server,
    rows: [Option<Row>; NODES],
    nodes: [Node; NODES],
    /// The last beat of each that the revoker has seen, and when.
    watch: [Option<(u8, u8)>; NODES],
    ending: Ending,
    waited_a_lease_out: bool,
    has_run_out: bool,
    sign_in_may_go_on: bool,
    /// What the second node does for session 0 between the verdict and the bytes of it.
    carrying: Carrying,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Tick(usize),
    TickBoth,
    Note(usize),
    Beat(usize),
    ReadFeed(usize),
    Apply(usize),
    GiveUp(usize),
    ReadSession(usize, u8),
    TakeIn(usize),
    KeepSignIn,
    Watch,
    LookAtNodes,
    Commit(Entry),
    Answer,
    LetPass,
    Carry,
    TakeOver,
    Notice(usize),
    BeginAnew(usize),
}

impl State {
    /// Whether the node would forward a request under the session.
    pub(crate) fn forwards(&self, node: usize, session: usize, left_out: LeftOut) -> bool {
        let looks = left_out != LeftOut::LookingAtTheLease;
        let it = &self.nodes[node];
        let was_ever_trusted = it.trusted_until > 0;
        let trusts = was_ever_trusted && (!looks || self.clocks[node] < it.trusted_until);
        trusts && it.table[session]
    }

    fn is_ended(&self, session: usize) -> bool {
        match self.ended {
            Some((Entry::User, _)) => true,
            Some((Entry::Session, _)) => session == 0,
            None => false,
        }
    }

    /// A request would be forwarded that begins after the answer, or bytes were carried after it.
    fn breaks_the_promise(&self, left_out: LeftOut) -> bool {
        self.carrying == Carrying::CarriedLate || self.would_forward_what_ended(left_out)
    }

    fn would_forward_what_ended(&self, left_out: LeftOut) -> bool {
        let mut all = (0..NODES).flat_map(|node| (0..SESSIONS).map(move |session| (node, session)));
        self.ending == Ending::Answered
            && all.any(|(node, session)| {
                self.is_ended(session) && self.forwards(node, session, left_out)
            })
    }
}

impl Protocol {
    fn loading_steps(&self, state: &State, node: usize, steps: &mut Vec<Step>) {
        let it = &state.nodes[node];
        let beside = self.left_out == LeftOut::LoadingUnderTheFeed;
        let may_load = it.applied_once()
            && (beside || it.renewal == Renewal::No)
            && state.is_at_home(self.left_out)
            && it.is_on_replica == state.has_another_server();
        if it.loading.is_some() {
            steps.push(Step::TakeIn(node));
        } else if may_load {
            // Of one session it is the old one that may enter late, of a user the new one.
            let session = usize::from(self.ends == Entry::User);
            if state.kept[session] && !it.table[session] {
                steps.push(Step::ReadSession(node, u8::try_from(session).unwrap()));
            }
        }
    }

    fn ending_steps(&self, state: &State, steps: &mut Vec<Step>) {
        let looks_first = self.left_out == LeftOut::ReadingTheNodesAfterTheCommit;
        match state.ending {
            Ending::No if looks_first => steps.push(Step::LookAtNodes),
            Ending::No | Ending::Looked(_) if self.may_commit(state) => {
                steps.push(Step::Commit(self.ends));
            }
            Ending::Committed if self.may_look(state) => steps.push(Step::LookAtNodes),
            Ending::Waiting(_) if self.may_look(state) => steps.push(Step::Answer),
            _ => {}
        }
        // It watches all the time, as every node does.
        if matches!(state.ending, Ending::No | Ending::Looked(_)) {
            steps.push(Step::Watch);
        }
    }

    /// Those that may serve as far as the revoker has watched.
    fn watched(&self, state: &mut State) {
        let now = state.clocks[REVOKER];
        for (row, seen) in state.rows.iter().zip(&mut state.watch) {
            let Some(row) = row else { continue };
            let counts_anew = self.left_out != LeftOut::CountingFromTheLatestBeat;
            match seen {
                Some((beat, _)) if *beat == row.beat => {}
                Some((beat, _)) if !counts_anew => *beat = row.beat,
                _ => *seen = Some((row.beat, now)),
            }
        }
    }

    /// Whether everybody who may serve has applied the entry; and whether somebody was waited out.
    fn is_in_force(&self, state: &State, awaited: [Option<u8>; NODES]) -> Option<bool> {
        let now = state.clocks[REVOKER];
        let number = state.ended.map_or(0, |(_, number)| number);
        let mut waited_out = false;
        for (row, since) in state.rows.iter().zip(awaited) {
            let (Some(row), Some(since)) = (row, since) else {
                continue;
            };
            if row.applied < number && now.saturating_sub(since) < LEASE {
                return None;
            }
            waited_out |= row.applied < number;
        }
        Some(waited_out)
    }
}

impl Node {
    fn applied_once(&self) -> bool {
        self.trusted_until > 0
    }

    fn apply(&mut self, read: Read) {
        let is_new = |number: u8| self.applied < number;
        let everything = read.begun_anew.is_some_and(is_new);
        match read.entry.filter(|(_, number)| is_new(*number)) {
            _ if everything => {
                self.generation = 1;
                self.table = [false; SESSIONS];
            }
            Some((Entry::User, _)) => {
                self.generation = 1;
                self.table = [false; SESSIONS];
            }
            Some((Entry::Session, _)) => self.table[0] = false,
            None => {}
        }
        self.applied = self.applied.max(read.head);
        self.is_on_replica = read.from_replica;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let node = Node {
            beat: 0,
            applied: 0,
            generation: 0,
            table: [self.ends == Entry::User, false],
            trusted_until: 0,
            renewal: Renewal::No,
            loading: None,
            is_on_replica: false,
        };
        vec![State {
            clocks: [0; NODES],
            entry: None,
            ended: None,
            kept: [true, false],
            kept_before: [true, false],
            server: Server::default(),
            rows: [None; NODES],
            nodes: [node.clone(), node],
            watch: [None; NODES],
            ending: Ending::No,
            waited_a_lease_out: false,
            has_run_out: false,
            sign_in_may_go_on: true,
            carrying: Carrying::No,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let [first, second] = state.clocks;
        if first == second && second < self.longest {
            steps.push(Step::Tick(1));
        } else if first < second {
            steps.push(Step::Tick(0));
            if second < self.longest && first + 1 == second {
                // It stays ahead.
                steps.push(Step::TickBoth);
            }
        }
        for node in 0..NODES {
            self.renewal_steps(state, node, steps);
            // What is loaded on one is loaded on the other.
            if node + 1 == NODES {
                self.loading_steps(state, node, steps);
            }
        }
        let may_change = state.is_at_home(self.left_out);
        if state.sign_in_may_go_on && self.ends == Entry::User && may_change {
            steps.push(Step::KeepSignIn);
        }
        self.server_steps(state, steps);
        self.carrying_steps(state, steps);
        self.ending_steps(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Tick(clock) => state.clocks[clock] += 1,
            Step::TickBoth => state.clocks = state.clocks.map(|time| time + 1),
            Step::ReadSession(node, session) => state.nodes[node].loading = Some(session),
            Step::TakeIn(node) => {
                let it = &mut state.nodes[node];
                let session = it.loading.take()?;
                // One of an older generation is not admitted.
                it.table[usize::from(session)] = it.generation == 0;
            }
            Step::KeepSignIn => {
                state.sign_in_may_go_on = false;
                // The password of generation 0 was checked.
                let is_raised = |entry| matches!(entry, Some((Entry::User, _)));
                state.kept[1] = !is_raised(state.entry) && !state.has_begun_anew();
            }
            Step::Watch => self.watched(&mut state),
            Step::LookAtNodes => {
                self.watched(&mut state);
                let awaited = state.watch.map(|seen| seen.map(|(_, since)| since));
                state.ending = match state.ending {
                    Ending::Committed => Ending::Waiting(awaited),
                    _ => Ending::Looked(awaited),
                };
            }
            Step::Commit(entry) => {
                state.entry = Some((entry, state.head() + 1));
                state.ended = state.entry;
                state.kept_before = state.kept;
                state.kept = match entry {
                    Entry::User => [false; SESSIONS],
                    Entry::Session => [false, state.kept[1]],
                };
                state.ending = match state.ending {
                    Ending::Looked(awaited) => Ending::Waiting(awaited),
                    _ => Ending::Committed,
                };
            }
            Step::Answer => {
                let Ending::Waiting(awaited) = state.ending else {
                    return None;
                };
                state.waited_a_lease_out = self.is_in_force(&state, awaited)?;
                state.ending = Ending::Answered;
            }
            Step::LetPass => state.carrying = Carrying::LetPass,
            Step::Carry => state.carrying = self.carry(&state),
            Step::TakeOver | Step::Notice(_) | Step::BeginAnew(_) => {
                self.move_server(&mut state, step);
            }
            step => self.renew(&mut state, step),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("ended means ended", |model: &Self, state: &State| {
                !state.breaks_the_promise(model.left_out)
            }),
            Property::sometimes("a session is served", |model: &Self, state: &State| {
                state.forwards(1, 0, model.left_out)
            }),
            Property::sometimes(
                "a session of one node is served on another",
                |model: &Self, state: &State| {
                    let session = usize::from(model.ends == Entry::User);
                    state.forwards(1, session, model.left_out)
                },
            ),
            Property::sometimes(
                "a request was let pass before the end of its session and not carried after",
                |_: &Self, state: &State| {
                    state.ending == Ending::Answered && state.carrying == Carrying::LetPass
                },
            ),
            Property::sometimes(
                "answered when all have applied it",
                |_: &Self, state: &State| {
                    state.ending == Ending::Answered
                        && !state.waited_a_lease_out
                        && state.nodes.iter().any(|node| node.applied == 1)
                },
            ),
            Property::sometimes(
                "answered when a lease was waited out",
                |_: &Self, state: &State| {
                    state.ending == Ending::Answered && state.waited_a_lease_out
                },
            ),
            Property::sometimes(
                "served again after a lease ran out",
                |model: &Self, state: &State| {
                    let serves = (0..NODES).any(|node| state.forwards(node, 0, model.left_out));
                    state.has_run_out && serves
                },
            ),
            Property::sometimes(
                "the store that took over has lost what was answered, and a node follows it",
                |model: &Self, state: &State| {
                    model.replica != Replica::Asynchronous || state.follows_what_has_lost()
                },
            ),
            Property::sometimes(
                "a revocation was answered in the store that took over",
                |model: &Self, state: &State| {
                    model.replica == Replica::Waits || state.is_answered_by_the_replica()
                },
            ),
        ]
    }
}
