//! The store's disk is full: what can't be kept is not told as done, and room is enough to go on.

use std::time::Instant;

use crate::support::cluster::Cluster;
use crate::support::disk::Disk;
use crate::support::postgres::Postgres;

use super::trial::{PLAIN, Trial};

/// More than fit into what the tables have left.
const MOST: usize = 3000;

/// Ends her sessions until that can't be written; how often it was told to be on disk. A node that is late to
/// confirm makes it a 503 as well, which says that it is durable and not in force everywhere.
async fn until_refused(trial: &mut Trial) -> usize {
    for round in 0..MOST {
        let node = round % 3;
        let ended = trial.cluster.end_sessions(node, &trial.bearer, "eve").await;
        if ended.answer.status != 200 {
            let text = ended.answer.text();
            assert_eq!(ended.answer.status, 503, "{text}");
            let told = ended.answer.json();
            if told["durable"] == true {
                assert_ne!(told["nodes_unreached"], 0, "{text}");
                continue;
            }
            assert_eq!(told["durable"], false, "{text}");
            println!(
                "cluster: a full disk: {round} revocations fitted; refused after {:?}",
                ended.took
            );
            return round;
        }
        ended.is_done();
    }
    panic!("the disk is not full");
}

/// All that was told as done is there, and one more at most.
fn is_kept(trial: &Trial, done: usize) {
    let audit = trial.cluster.nodes[0].audit();
    let kept = audit
        .iter()
        .filter(|entry| entry["action"] == "sessions-ended" && entry["subject"] == "eve")
        // What the gateway writes later of what it has ended in memory.
        .filter(|entry| entry["actor"] != "gateway");
    let kept = kept.count();
    assert!(kept == done || kept == done + 1, "{kept} of {done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_data_nothing_is_told_as_done() {
    let disk = Disk::of_mebibytes(40);
    let postgres = Postgres::start();
    let place = disk.path().display().to_string();
    postgres.ask(&format!("create tablespace small location '{place}'"));
    postgres.moves_to("small");
    let mut trial = Trial::of(Cluster::over(postgres, 3, PLAIN).await).await;
    disk.fill();
    let done = until_refused(&mut trial).await;
    let refused = trial.cluster.end_sessions(0, &trial.bearer, "ada").await;
    assert_eq!(refused.answer.status, 503, "{}", refused.answer.text());
    disk.free();
    trial.recovers().await;
    is_kept(&trial, done);
    trial.she_comes_back().await;
    let watched = trial.begins().await;
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    trial
        .result("a full disk that has room again", watched, &ended)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_the_log_nothing_is_told_as_done() {
    let disk = Disk::of_mebibytes(24);
    let place = format!("--waldir={}", disk.path().join("wal").display());
    let mut postgres = Postgres::laid_out(&[&place, "--wal-segsize=1"]);
    postgres.set("min_wal_size", "2MB");
    postgres.set("max_wal_size", "4MB");
    postgres.run();
    postgres.furnish();
    // Nothing of its log is taken away any more.
    postgres.ask("select pg_create_physical_replication_slot('keep', true)");
    let mut trial = Trial::of(Cluster::over(postgres, 3, PLAIN).await).await;
    disk.fill();
    trial.cluster.postgres.uses_up_its_log();
    let done = until_refused(&mut trial).await;
    let log = trial.cluster.postgres.log();
    assert!(log.contains("No space left on device"), "{log}");
    disk.free();
    // It may give up altogether, as servers do that can't write their log.
    trial.cluster.postgres.comes_back();
    trial
        .cluster
        .postgres
        .ask("select pg_drop_replication_slot('keep')");
    let back = Instant::now();
    trial.recovers().await;
    println!(
        "cluster: a full log: all nodes serve {:?} after there is room",
        back.elapsed()
    );
    is_kept(&trial, done);
    trial.she_comes_back().await;
    let watched = trial.begins().await;
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    trial
        .result("a full log that has room again", watched, &ended)
        .await;
}
