//! The protocol among several gateways, checked in every order of its steps that a small size has:
//! nobody forwards a request under a session whose end was answered. And each step that the protocol
//! has is needed: without it the check finds what goes wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

mod protocol;

use stateright::{Checker, Model};

use protocol::{Entry, LeftOut, Protocol};

const PROMISE: &str = "ended means ended";

/// One node beside whoever ends sessions, for long; and two for as long as a lease.
const SIZES: [(u8, [u8; 2]); 2] = [(7, [0, 3]), (4, [1, 2])];

fn of(left_out: LeftOut, ends: Entry, (longest, beats): (u8, [u8; 2])) -> Protocol {
    Protocol {
        left_out,
        ends,
        longest,
        beats,
    }
}

#[test]
fn no_order_of_the_steps_breaks_the_promise() {
    for size in SIZES {
        for ends in [Entry::User, Entry::Session] {
            let model = of(LeftOut::Nothing, ends, size);
            let checker = model.checker().threads(2).spawn_bfs().join();
            let states = checker.unique_state_count();
            println!("{size:?} {ends:?}: {states} states");
            assert!(checker.is_done(), "not all of it was looked at");
            // That the promise holds, and that what it is about does happen.
            checker.assert_properties();
        }
    }
}

#[test]
fn without_any_of_its_steps_the_promise_is_broken() {
    for left_out in [
        LeftOut::NotingTheTimeFirst,
        LeftOut::ReadingAfterTheBeat,
        LeftOut::ReadingTheNodesAfterTheCommit,
        LeftOut::CountingFromTheLatestBeat,
        LeftOut::Margin,
        LeftOut::LookingAtTheLease,
        LeftOut::AskingBeforeEachByte,
        LeftOut::LoadingUnderTheFeed,
    ] {
        let ends = match left_out {
            LeftOut::LoadingUnderTheFeed => Entry::Session,
            _ => Entry::User,
        };
        let checker = of(left_out, ends, SIZES[0]).checker().threads(2);
        let checker = checker
            .finish_when(stateright::HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let found = checker.discovery(PROMISE);
        let found = found.unwrap_or_else(|| panic!("{left_out:?} can be left out"));
        println!("{left_out:?}: {:?}", found.into_actions());
    }
}
