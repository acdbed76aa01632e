//! What the parts of a request cost without sockets: its target, its cookies, the rules, the session
//! looked up; and what a revocation costs in memory. `cargo bench --bench parts`
//!
//! The clock is also read by whatever else runs on the machine; `benches/instructions` tells what
//! two commits have between them.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark that can't go on should say where"
)]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use portcullis::config::PathReading;
use portcullis::gate::{Path, Target, rules};
use portcullis::model::{Generation, SessionRecord, UserId};
use portcullis::session::{Sessions, Token};
use portcullis::wire::cookie;

use self::sample::House;

mod sample;

fn target(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("target");
    for (name, path) in [("plain", sample::PLAIN), ("percent", sample::CODED)] {
        let parts = sample::request(path);
        group.bench_function(name, |bencher| {
            bencher.iter(|| Target::read(black_box(&parts)).unwrap());
        });
    }
}

fn cookies(criterion: &mut Criterion) {
    let headers = sample::request(sample::PLAIN).headers;
    let mut group = criterion.benchmark_group("cookie");
    group.bench_function("found", |bencher| {
        bencher.iter(|| cookie::find(black_box(&headers), cookie::SESSION));
    });
    group.bench_function("hashed", |bencher| {
        let value = Token::random();
        bencher.iter(|| Token::hash_of(black_box(value.cookie_value())).unwrap());
    });
    group.bench_function("for_panel", |bencher| {
        bencher.iter(|| cookie::for_panel(black_box(&headers)).count());
    });
}

fn requirement(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    for (name, path) in [("plain", sample::PLAIN), ("percent", sample::CODED)] {
        let path = Path::parse(path).unwrap();
        for count in [0, 10] {
            let rules = sample::rules(count);
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    rules::requirement(black_box(&rules), PathReading::Folded, &Method::GET, &path)
                });
            });
        }
    }
}

/// With neighbours at full speed, which is more than any gateway sees: what they cost is an upper
/// bound.
fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookup");
    for count in [1_000, 100_000, 1_000_000] {
        let mut house = House::of(count);
        let comers = comers(&mut house);
        let (sessions, tokens, now) = (&house.sessions, &house.tokens, house.now);
        // Goes on from sample to sample: the same few over and over would be in the cache.
        let mut asked = tokens.iter().cycle();
        let mut look_up = |bencher: &mut Bencher| {
            bencher.iter(|| sessions.find(asked.next().unwrap(), now).unwrap());
        };
        group.bench_function(BenchmarkId::new("alone", count), &mut look_up);
        // From the end, so that the two do not warm the cache for each other.
        let mut others = tokens.iter().rev().cycle();
        group.bench_function(BenchmarkId::new("beside_lookups", count), |bencher| {
            let neighbour = || drop(sessions.find(others.next().unwrap(), now));
            beside(neighbour, || look_up(bencher));
        });
        let mut comers = comers.iter().cycle();
        group.bench_function(BenchmarkId::new("beside_sign_ins", count), |bencher| {
            let neighbour = || come_and_go(sessions, comers.next().unwrap());
            beside(neighbour, || look_up(bencher));
        });
    }
}

/// Sessions that are not in the table and can be.
fn comers(house: &mut House) -> Vec<SessionRecord> {
    let generation = Generation::from_stored(1);
    (1..=1000)
        .map(|id| house.record(&sample::user(UserId(-id), generation)))
        .collect()
}

fn come_and_go(sessions: &Sessions, record: &SessionRecord) {
    let user = sample::user(record.user, record.generation);
    sessions.admit(record, user).unwrap();
    sessions.remove(&record.token).unwrap();
}

/// Has another thread do something over and over while it is measured.
fn beside(mut neighbour: impl FnMut() + Send, measured: impl FnOnce()) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                neighbour();
            }
        });
        measured();
        over.store(true, Ordering::Relaxed);
    });
}

/// In a table that holds others too.
fn revocation(criterion: &mut Criterion) {
    /// The table remembers everybody who ever was in it, so the same people come again, each time
    /// with the generation that they were raised to.
    const PEOPLE: i64 = 1000;
    let mut house = House::of(100_000);
    let sessions = house.sessions.clone();
    let mut turn = 0;
    let mut group = criterion.benchmark_group("revocation");
    for count in [1, 100, 10_000] {
        let together = u64::min(PEOPLE.unsigned_abs(), 10_000 / count);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            let signed_in = || {
                let (user, number) = (UserId(-1 - turn % PEOPLE), 1 + turn / PEOPLE);
                house.admit(user, Generation::from_stored(number), count as usize);
                turn += 1;
                (user, Generation::from_stored(number + 1))
            };
            let raise = |(user, generation)| sessions.raise(user, generation);
            bencher.iter_batched(signed_in, raise, BatchSize::NumIterations(together));
        });
    }
}

criterion_group!(parts, target, cookies, requirement, lookup, revocation);
criterion_main!(parts);
