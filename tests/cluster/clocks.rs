//! Clocks that jump, on a node and on the store: leases are not told by wall clocks, and nobody
//! compares those of two machines.

use std::fs;
use std::path::Path;

use crate::support::cluster::{Cluster, STALENESS};
use crate::support::postgres::Postgres;

use super::trial::{PLAIN, Trial};

/// What moves the wall clock of a program by what stands in a file.
fn moved_by(hand: &Path) -> [(&'static str, String); 4] {
    let libraries = fs::read_dir("/usr/lib").unwrap();
    let library = libraries
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists());
    [
        (
            "LD_PRELOAD",
            library.expect("faketime").display().to_string(),
        ),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", hand.display().to_string()),
    ]
}

/// Bob is served and ada's sessions end at each of these jumps, wherever it is.
async fn through_jumps(trial: &mut Trial, hand: &Path, what: &str) {
    for jump in ["+1h", "-1h", "+0"] {
        trial.she_comes_back().await;
        let watched = trial.begins().await;
        fs::write(hand, jump).unwrap();
        tokio::time::sleep(STALENESS).await;
        let ended = trial.ends_hers(0).await;
        assert_eq!(ended.answer.json()["nodes"], 3, "{}", ended.answer.text());
        trial.recovers().await;
        trial.is_over().await;
        trial
            .result(&format!("{what} moved by {jump}"), watched, &ended)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_of_a_node_that_jumps() {
    let mut cluster = Cluster::with(2, PLAIN).await;
    let hand = cluster.nodes[0].folder().join("clock");
    fs::write(&hand, "+0").unwrap();
    let variables = moved_by(&hand).map(|(name, value)| format!("{name}={value}"));
    let mut program = vec!["env"];
    program.extend(variables.iter().map(String::as_str));
    cluster.lay_out_node().start_under(&program).await;
    let mut trial = Trial::of(cluster).await;
    through_jumps(&mut trial, &hand, "a node's clock").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_of_the_store_that_jumps() {
    let mut postgres = Postgres::laid_out(&[]);
    let hand = postgres.give("clock", b"+0");
    for (name, value) in moved_by(&hand) {
        postgres.env(name, &value);
    }
    postgres.run();
    postgres.furnish();
    let now = |postgres: &Postgres| -> i64 {
        let text = postgres.ask("select extract(epoch from clock_timestamp())::bigint");
        text.parse().unwrap()
    };
    let before = now(&postgres);
    fs::write(&hand, "+1h").unwrap();
    assert!(
        (3000..4000).contains(&(now(&postgres) - before)),
        "it does not jump"
    );
    fs::write(&hand, "+0").unwrap();
    let mut trial = Trial::of(Cluster::over(postgres, 3, PLAIN).await).await;
    through_jumps(&mut trial, &hand, "the store's clock").await;
}
