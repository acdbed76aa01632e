//! The parts of a request once more, counted in instructions and in pieces of memory instead of time:
//! the same on a machine that is busy. `benches/instructions` runs this under valgrind.
//!
//! Valgrind writes down what it has counted from [`begins`] to the end of [`counted`], each time; this
//! program prints in the same order what that was, and how many times it was done.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on should say where"
)]

use std::hint::black_box;

use http::Method;
use portcullis::config::PathReading;
use portcullis::gate::{Path, Target, rules};
use portcullis::model::{Generation, UserId};
use portcullis::session::Token;
use portcullis::wire::cookie::{self, Found};

use self::sample::House;

mod sample;

/// Each table is asked so often: where a session lies in it is up to a hash that is another one in
/// each process, and evens out.
const LOOKUPS: usize = 1000;

fn main() {
    target();
    cookies();
    requirement();
    lookup();
    revocation();
}

fn target() {
    for (name, path) in [("plain", sample::PLAIN), ("percent", sample::CODED)] {
        let parts = sample::request(path);
        count(&format!("target/{name}"), || {
            Target::read(black_box(&parts)).unwrap()
        });
    }
}

fn cookies() {
    let headers = sample::request(sample::PLAIN).headers;
    count("cookie/found", || {
        cookie::find(black_box(&headers), cookie::SESSION)
    });
    let Found::One(value) = cookie::find(&headers, cookie::SESSION) else {
        unreachable!("the sample shows a session");
    };
    count("cookie/hashed", || {
        Token::hash_of(black_box(value)).unwrap()
    });
    count("cookie/for_panel", || {
        cookie::for_panel(black_box(&headers)).count()
    });
}

fn requirement() {
    for (name, path) in [("plain", sample::PLAIN), ("percent", sample::CODED)] {
        let path = Path::parse(path).unwrap();
        for rules_there in [0, 10] {
            let rules = sample::rules(rules_there);
            count(&format!("rules/{name}/{rules_there}"), || {
                rules::requirement(black_box(&rules), PathReading::Folded, &Method::GET, &path)
            });
        }
    }
}

fn lookup() {
    for sessions in [1_000, 100_000] {
        let house = House::of(sessions);
        let find = |token| house.sessions.find(token, house.now).unwrap();
        let tokens = house.tokens.iter().take(LOOKUPS);
        count_times(&format!("lookup/{sessions}"), LOOKUPS, || {
            tokens.clone().for_each(|token| drop(find(token)));
        });
    }
}

/// Of several people: of one alone it would be a matter of luck whether the table grows just then.
fn revocation() {
    let mut house = House::of(1_000);
    let sessions = house.sessions.clone();
    for (generation, signed_in) in (1..).zip([1, 100, 10_000]) {
        let people = usize::min(1000, 10_000 / signed_in);
        let ids: Vec<_> = (1..).take(people).map(|id| UserId(-id)).collect();
        for id in &ids {
            house.admit(*id, Generation::from_stored(generation), signed_in);
        }
        let raised = Generation::from_stored(generation + 1);
        let mut ended = Vec::with_capacity(people);
        // Once: afterwards there is nothing left to end.
        count_now(&format!("revocation/{signed_in}"), people, &mut || {
            ended.extend(ids.iter().map(|id| sessions.raise(*id, raised)));
        });
        assert!(ended.iter().all(|ended| ended.len() == signed_in));
    }
}

/// Counts something that can be done again, and the drop of what it makes.
fn count<T>(name: &str, mut part: impl FnMut() -> T) {
    count_times(name, 1, || drop(black_box(part())));
}

/// The first time is not counted: some things are made once in a process.
fn count_times(name: &str, times: usize, mut part: impl FnMut()) {
    part();
    count_now(name, times, &mut part);
}

fn count_now(name: &str, times: usize, part: &mut dyn FnMut()) {
    println!("{name} {times}");
    begins();
    counted(part);
}

/// Valgrind forgets here what it has counted before. It finds this function and the next one by their
/// names, so they must stay functions.
#[inline(never)]
fn begins() {
    black_box(());
}

/// Valgrind writes down what it has counted when this returns.
#[inline(never)]
fn counted(part: &mut dyn FnMut()) {
    part();
}
