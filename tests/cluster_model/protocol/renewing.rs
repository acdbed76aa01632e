//! The renewal of a lease: the time is noted, the beat raised, the feed read and applied, in this order.

use super::{LEASE, LeftOut, MARGIN, Protocol, Renewal, Row, State, Step};

impl Protocol {
    fn trust(&self) -> u8 {
        match self.left_out {
            LeftOut::Margin => LEASE,
            _ => LEASE - MARGIN,
        }
    }

    pub(super) fn renewal_steps(&self, state: &State, node: usize, steps: &mut Vec<Step>) {
        let it = &state.nodes[node];
        let loads = it.loading.is_some() && self.left_out != LeftOut::LoadingUnderTheFeed;
        let reads_first = self.left_out == LeftOut::ReadingAfterTheBeat;
        if !state.is_at_home(self.left_out) && !matches!(it.renewal, Renewal::Read(..)) {
            return;
        }
        match it.renewal {
            Renewal::No if it.beat < self.beats[node] && !loads => steps.push(Step::Note(node)),
            Renewal::No => {}
            Renewal::Noted(_) if reads_first => steps.push(Step::ReadFeed(node)),
            Renewal::Noted(_) => steps.push(Step::Beat(node)),
            Renewal::Beaten(_) if reads_first => steps.push(Step::Apply(node)),
            Renewal::Beaten(_) => steps.push(Step::ReadFeed(node)),
            Renewal::Read(..) if reads_first => steps.push(Step::Beat(node)),
            Renewal::Read(..) => steps.push(Step::Apply(node)),
        }
        // Whether the beat came through is not known.
        if let Renewal::Beaten(_) = it.renewal {
            steps.push(Step::GiveUp(node));
        }
    }

    pub(super) fn renew(&self, state: &mut State, step: Step) {
        let read = state.read();
        match step {
            Step::Note(node) => {
                state.nodes[node].renewal = Renewal::Noted(state.clocks[node]);
            }
            Step::Beat(node) => {
                let it = &mut state.nodes[node];
                it.beat += 1;
                state.rows[node] = Some(Row {
                    beat: it.beat,
                    applied: it.applied,
                });
                it.renewal = match it.renewal {
                    Renewal::Read(noted, _) => Renewal::Beaten(noted),
                    Renewal::Noted(noted) | Renewal::Beaten(noted) => Renewal::Beaten(noted),
                    Renewal::No => Renewal::No,
                };
            }
            Step::ReadFeed(node) => {
                let it = &mut state.nodes[node];
                if let Renewal::Noted(noted) | Renewal::Beaten(noted) = it.renewal {
                    it.renewal = Renewal::Read(noted, read);
                    if self.left_out == LeftOut::ReadingAfterTheBeat {
                        it.apply(read);
                    }
                }
            }
            Step::Apply(node) => {
                let now = state.clocks[node];
                let it = &mut state.nodes[node];
                let (noted, read) = match it.renewal {
                    Renewal::Read(noted, read) => {
                        it.apply(read);
                        (noted, read)
                    }
                    Renewal::Noted(noted) | Renewal::Beaten(noted) => (noted, read),
                    Renewal::No => return,
                };
                let from = match self.left_out {
                    LeftOut::NotingTheTimeFirst => now,
                    _ => noted,
                };
                state.has_run_out |= it.trusted_until > 0 && now >= it.trusted_until;
                it.trusted_until = from + self.trust();
                it.renewal = Renewal::No;
                // It is told at once; told late it would only be waited for longer.
                state.report(node, read);
            }
            Step::GiveUp(node) => state.nodes[node].renewal = Renewal::No,
            _ => {}
        }
    }
}
