//! A node says that it is ready when the store can be written, and names what is in the way when it can't be.

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, asked, is_ready};
use crate::support::disk::Disk;
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::postgres::Postgres;

use super::trial::PLAIN;

async fn says(node: &Gateway, words: &str) {
    eventually(words, async || {
        let answer = asked(node.management_port, "/readyz", &[]).await?;
        (answer.status == 503 && answer.text().contains(words)).then_some(())
    })
    .await;
}

async fn all_are_ready(cluster: &Cluster) {
    for node in &cluster.nodes {
        eventually("the node to be ready", async || {
            is_ready(node).await.then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_changes_is_named() {
    let cluster = Cluster::with(2, PLAIN).await;
    all_are_ready(&cluster).await;
    let postgres = &cluster.postgres;
    postgres.ask("alter system set default_transaction_read_only = on");
    postgres.ask("select pg_reload_conf()");
    for node in &cluster.nodes {
        says(node, "the server takes no changes (read-only)").await;
        assert_eq!(
            asked(node.management_port, "/healthz", &[])
                .await
                .unwrap()
                .status,
            200
        );
    }
    postgres.ask("alter system reset default_transaction_read_only");
    postgres.ask("select pg_reload_conf()");
    all_are_ready(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_full_disk_is_named() {
    let disk = Disk::of_mebibytes(40);
    let postgres = Postgres::start();
    let place = disk.path().display().to_string();
    postgres.ask(&format!("create tablespace small location '{place}'"));
    postgres.moves_to("small");
    let cluster = Cluster::over(postgres, 2, PLAIN).await;
    all_are_ready(&cluster).await;
    disk.fill();
    for node in &cluster.nodes {
        says(node, "the disk is full").await;
    }
    disk.free();
    all_are_ready(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_ask_little_is_written_and_nothing_grows() {
    let cluster = Cluster::with(1, PLAIN).await;
    let counts = "select (select count(*) from audit), (select count(*) from feed), \
                  (select count(*) from probe)";
    let before = cluster.postgres.ask(counts);
    let written = "select pg_stat_get_tuples_updated('probe'::regclass)";
    let written = || cluster.postgres.ask(written).parse::<u64>().unwrap();
    let (port, at_first, begun) = (cluster.nodes[0].management_port, written(), Instant::now());
    let mut all = Vec::new();
    for _ in 0..4 {
        for _ in 0..50 {
            all.push(tokio::spawn(async move {
                asked(port, "/readyz", &[])
                    .await
                    .map(|answer| answer.status)
            }));
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    for one in all {
        // On a machine that is full a node may stand still for a moment.
        assert!(one.await.unwrap().is_some());
    }
    let seconds = begun.elapsed().as_secs();
    // What a connection has counted is told of after a second.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let written = written() - at_first;
    println!("cluster: 200 questions in {seconds} s were {written} writes");
    assert!(written <= seconds + 2, "{written} in {seconds} s");
    assert_eq!(cluster.postgres.ask(counts), before);
}
