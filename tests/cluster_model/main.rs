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

use protocol::{Entry, LeftOut, Protocol, Replica};

const PROMISE: &str = "ended means ended";

/// One node beside whoever ends sessions, for long; and two for as long as a lease.
const SIZES: [Size; 2] = [(7, [0, 3]), (4, [1, 2])];

type Size = (u8, [u8; 2]);

/// The same where a replica takes over, which is a step more everywhere.
const SIZES_WITH_A_REPLICA: [Size; 2] = [(6, [0, 2]), (3, [1, 2])];

fn of(left_out: LeftOut, ends: Entry, replica: Replica, (longest, beats): Size) -> Protocol {
    Protocol {
        left_out,
        ends,
        replica,
        longest,
        beats,
    }
}

#[test]
fn no_order_of_the_steps_breaks_the_promise() {
    for size in SIZES {
        holds(Replica::Waits, size);
    }
}

#[test]
fn no_order_breaks_it_where_a_replica_takes_over() {
    // One that has everything takes nothing away that nodes could fall out over.
    let [long, both] = SIZES_WITH_A_REPLICA;
    for (replica, size) in [
        (Replica::Asynchronous, both),
        (Replica::Asynchronous, long),
        (Replica::Synchronous, long),
    ] {
        holds(replica, size);
    }
}

fn holds(replica: Replica, size: Size) {
    for ends in [Entry::User, Entry::Session] {
        let model = of(LeftOut::Nothing, ends, replica, size);
        let checker = model.checker().threads(2).spawn_bfs().join();
        let states = checker.unique_state_count();
        println!("{replica:?} {size:?} {ends:?}: {states} states");
        assert!(checker.is_done(), "not all of it was looked at");
        // That the promise holds, and that what it is about does happen.
        checker.assert_properties();
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
        LeftOut::EndingEverything,
        LeftOut::OutlastingTheLeases,
        LeftOut::FindingTheCommitAgain,
    ] {
        let ends = match left_out {
            LeftOut::LoadingUnderTheFeed => Entry::Session,
            _ => Entry::User,
        };
        let replica = match left_out {
            LeftOut::EndingEverything
            | LeftOut::OutlastingTheLeases
            | LeftOut::FindingTheCommitAgain => Replica::Asynchronous,
            _ => Replica::Waits,
        };
        let checker = of(left_out, ends, replica, SIZES[0]).checker().threads(2);
        let checker = checker
            .finish_when(stateright::HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let found = checker.discovery(PROMISE);
        let found = found.unwrap_or_else(|| panic!("{left_out:?} can be left out"));
        println!("{left_out:?}: {:?}", found.into_actions());
    }
}
