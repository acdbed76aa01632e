//! What happens to the store: it is restarted, killed, frozen. Sessions go on for as long as the nodes
//! may trust what they know, then everybody is told to come back, and everything comes back by itself.

use std::time::{Duration, Instant};

use crate::support::cluster::{STALENESS, is_ready};
use crate::support::eventually;
use crate::support::http1::Answer;
use crate::support::person::{PASSWORD, give_password};

use super::trial::{SLACK, Trial, stands_still, tells_to_come_back};

/// What a sign-in or a revocation takes at most when there is no store.
const REFUSED_WITHIN: Duration = Duration::from_secs(2);

/// The store is gone, in whatever way: what people and programs are told meanwhile.
async fn goes_without(trial: &Trial, since: Instant) {
    for node in 0..3 {
        stands_still(&trial.cluster, node, &trial.bob).await;
    }
    let went_on = since.elapsed();
    println!("cluster: without a store sessions went on for {went_on:?}");
    assert!(went_on < STALENESS + SLACK, "{went_on:?}");
    for node in &trial.cluster.nodes {
        tells_to_come_back(node.port, &trial.bob).await;
        // Whether somebody is unknown nobody can say.
        tells_to_come_back(node.port, &"A".repeat(43)).await;
        assert!(!is_ready(node).await);
    }
    let begun = Instant::now();
    let port = trial.cluster.nodes[1].port;
    let sign_in = give_password(port, "bob", PASSWORD).await.unwrap();
    is_refused(&sign_in, begun);
    let begun = Instant::now();
    let ended = trial.cluster.end_sessions(2, &trial.bearer, "ada").await;
    is_refused(&ended.answer, begun);
    println!(
        "cluster: without a store a revocation is refused after {:?}",
        ended.took
    );
    assert_ne!(
        ended.answer.json()["durable"],
        true,
        "{}",
        ended.answer.text()
    );
}

fn is_refused(answer: &Answer, begun: Instant) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let took = begun.elapsed();
    assert!(took < REFUSED_WITHIN + SLACK, "{took:?}");
}

/// The store is back: so is everybody, and what is ended now is ended.
async fn comes_back(trial: &mut Trial, what: &str, store_is_back: Instant) {
    trial.recovers().await;
    println!(
        "cluster: {what}: all nodes serve {:?} after the store is back",
        store_is_back.elapsed()
    );
    for node in &trial.cluster.nodes {
        eventually("the node to be ready", async || {
            is_ready(node).await.then_some(())
        })
        .await;
    }
    // What was refused may have been done or not.
    trial.she_comes_back().await;
    let watched = trial.begins().await;
    let ended = trial.ends_hers(0).await;
    assert_eq!(ended.answer.json()["nodes"], 3, "{}", ended.answer.text());
    trial.is_over().await;
    trial
        .result(&format!("{what}, afterwards"), watched, &ended)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_and_comes_back_soon() {
    let mut trial = Trial::new().await;
    let watched = trial.begins().await;
    trial.cluster.postgres.kill();
    trial.cluster.postgres.run();
    let back = Instant::now();
    trial.recovers().await;
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    trial.result("PostgreSQL killed", watched, &ended).await;
    comes_back(&mut trial, "PostgreSQL killed", back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_restarted() {
    let mut trial = Trial::new().await;
    let watched = trial.begins().await;
    trial.cluster.postgres.restart();
    let back = Instant::now();
    trial.recovers().await;
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    trial.result("PostgreSQL restarted", watched, &ended).await;
    comes_back(&mut trial, "PostgreSQL restarted", back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_for_long() {
    let mut trial = Trial::new().await;
    trial.cluster.postgres.kill();
    goes_without(&trial, Instant::now()).await;
    trial.cluster.postgres.run();
    comes_back(&mut trial, "PostgreSQL away for long", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_frozen_and_thawed() {
    let mut trial = Trial::new().await;
    let mut socket = {
        let cookie = format!("Cookie: __Host-Http-portcullis={}", trial.bob);
        let wire = trial.cluster.nodes[1].connect().await;
        let fields = ["Origin: https://localhost", &cookie];
        let opened = crate::support::websocket::WebSocket::open(wire, "/ws", &fields).await;
        opened.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    };
    socket.check_echo().await;
    trial.cluster.postgres.freeze();
    let since = Instant::now();
    let end = tokio::spawn(async move {
        socket.hear_out().await;
        since.elapsed()
    });
    goes_without(&trial, since).await;
    // Whose sessions may have been ended elsewhere, what is open is cut.
    let cut = end.await.unwrap();
    println!("cluster: without a store an open connection was cut after {cut:?}");
    assert!(cut < STALENESS + SLACK, "{cut:?}");
    trial.cluster.postgres.thaw();
    comes_back(&mut trial, "PostgreSQL frozen", Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_store_ends_are_made_anew_unnoticed() {
    let trial = Trial::new().await;
    let watched = trial.begins().await;
    for _ in 0..5 {
        trial.cluster.postgres.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where datname = 'portcullis' and pid <> pg_backend_pid()",
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    let gap = trial
        .result("connections ended by the store", watched, &ended)
        .await;
    assert!(gap < STALENESS, "{gap:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_while_the_store_goes_is_told_as_it_is() {
    let mut trial = Trial::new().await;
    for round in 0..5 {
        trial.she_comes_back().await;
        let watched = trial.begins().await;
        let cluster = &trial.cluster;
        let revoking = cluster.end_sessions(round % 3, &trial.bearer, "ada");
        let killing = async {
            tokio::time::sleep(Duration::from_millis(round as u64)).await;
            cluster.postgres.freeze();
        };
        let (first, ()) = tokio::join!(revoking, killing);
        cluster.postgres.thaw();
        trial.recovers().await;
        let ended = if first.answer.status == 200 {
            first
        } else {
            assert_eq!(first.answer.status, 503, "{}", first.answer.text());
            trial.ends_hers(round % 3).await
        };
        trial.is_over().await;
        trial
            .result("PostgreSQL frozen in the middle", watched, &ended)
            .await;
    }
}
