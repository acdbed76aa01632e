//! What happens to nodes: one is killed, one is stopped for longer than its lease, one ends in good
//! order. Whoever ends sessions waits for as long as that node may still serve, and not longer.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::cluster::{STALENESS, asked, is_ready, status};
use crate::support::eventually;
use crate::support::websocket::{Message, WebSocket};

use super::trial::{Trial, WAIT};

/// What a revocation takes at most that waits for nobody. Generous, for slow machines.
const AT_ONCE: Duration = Duration::from_millis(1000);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_at_healthy_nodes_is_told_at_once_and_names_them() {
    let trial = Trial::new().await;
    let watched = trial.begins().await;
    let ended = trial.ends_hers(1).await;
    assert_eq!(ended.answer.json()["nodes"], 3, "{}", ended.answer.text());
    assert!(ended.took < AT_ONCE, "{:?}", ended.took);
    trial.is_over().await;
    trial.result("healthy", watched, &ended).await;
    for seen_from in 0..3 {
        let list = trial.cluster.list(seen_from);
        assert_eq!(list.len(), 3, "{list:?}");
        for node in &list {
            for field in [
                "id",
                "name",
                "version",
                "applied",
                "behind",
                "lease_age_ms",
                "serving",
            ] {
                assert!(!node[field].is_null(), "no {field}: {node}");
            }
            assert_eq!(node["serving"], true, "{node}");
            let age = node["lease_age_ms"].as_u64().unwrap();
            assert!(u128::from(age) < STALENESS.as_millis(), "{node}");
        }
    }
    for node in &trial.cluster.nodes {
        assert!(is_ready(node).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_is_waited_for_once() {
    let mut trial = Trial::new().await;
    let watched = trial.begins().await;
    trial.cluster.nodes[2].kill();
    let ended = trial.ends_hers(0).await;
    assert!(ended.took < WAIT, "{:?}", ended.took);
    let again = trial.ends_hers(1).await;
    eventually("the dead node to be known as dead", async || {
        let ended = trial.ends_hers(1).await;
        (ended.took < AT_ONCE && ended.answer.json()["nodes"] == 2).then_some(())
    })
    .await;
    trial.cluster.nodes[2].start().await;
    trial.recovers().await;
    trial.is_over().await;
    trial.result("a node killed", watched, &ended).await;
    let with_it = trial.ends_hers(2).await;
    println!(
        "cluster: a node killed: the first answer after {:?}, the second after {:?}, the one with the \
         node back after {:?}",
        ended.took, again.took, with_it.took
    );
    assert_eq!(with_it.answer.json()["nodes"], 3);
    assert!(with_it.took < AT_ONCE, "{:?}", with_it.took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_past_its_lease_does_not_go_on_where_it_was() {
    let mut trial = Trial::new().await;
    for _ in 0..3 {
        trial.she_comes_back().await;
        let watched = trial.begins().await;
        trial.cluster.nodes[1].signal(Signal::STOP);
        let ended = trial.ends_hers(0).await;
        assert!(ended.took < WAIT, "{:?}", ended.took);
        let continued = Instant::now();
        trial.cluster.nodes[1].signal(Signal::CONT);
        trial.recovers().await;
        println!(
            "cluster: a node stopped: back after {:?}",
            continued.elapsed()
        );
        trial.is_over().await;
        let what = "a node stopped past its lease";
        trial.result_since(what, watched, &ended, continued).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_for_a_moment_goes_on() {
    let trial = Trial::new().await;
    let watched = trial.begins().await;
    trial.cluster.nodes[1].signal(Signal::STOP);
    let revoking = trial.ends_hers(0);
    let continuing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        trial.cluster.nodes[1].signal(Signal::CONT);
    };
    let (ended, ()) = tokio::join!(revoking, continuing);
    assert!(ended.took > Duration::from_millis(250), "it may serve");
    trial.recovers().await;
    trial.is_over().await;
    trial
        .result("a node stopped for 300 ms", watched, &ended)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_in_good_order_is_waited_for_by_nobody() {
    let mut trial = Trial::new().await;
    let cookie = format!("Cookie: __Host-Http-portcullis={}", trial.bob);
    let fields = ["Origin: https://localhost", &cookie];
    let wire = trial.cluster.nodes[2].connect().await;
    let opened = WebSocket::open(wire, "/ws", &fields).await;
    let mut socket = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    let watched = trial.begins().await;
    trial.cluster.nodes[2].signal(Signal::TERM);
    let node = &trial.cluster.nodes[2];
    eventually("the node to be unready", async || {
        let answer = asked(node.management_port, "/readyz", &[]).await?;
        (answer.status == 503).then_some(())
    })
    .await;
    let farewell = Message::Close(1012, "the gateway restarts".to_owned());
    assert_eq!(socket.hear_out().await, Some(farewell));
    assert_eq!(trial.cluster.nodes[2].ended().await, 0);
    let ended = trial.ends_hers(0).await;
    assert!(ended.took < AT_ONCE, "{:?}", ended.took);
    assert_eq!(ended.answer.json()["nodes"], 2);
    trial.cluster.nodes[2].start().await;
    trial.recovers().await;
    let gap = trial
        .result("a node ended in good order", watched, &ended)
        .await;
    assert!(gap < AT_ONCE, "{gap:?}");
    assert_eq!(
        status(trial.cluster.nodes[2].port, &trial.ada).await,
        Some(401)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_may_be_restarted_one_after_the_other() {
    let mut trial = Trial::new().await;
    let watched = trial.begins().await;
    for node in 0..3 {
        trial.cluster.nodes[node].restart().await;
        trial.recovers().await;
    }
    let ended = trial.ends_hers(0).await;
    trial.is_over().await;
    let gap = trial.result("every node restarted", watched, &ended).await;
    assert!(gap < AT_ONCE, "{gap:?}");
    for node in 0..3 {
        trial.cluster.nodes[node].kill();
    }
    for node in 0..3 {
        trial.cluster.nodes[node].start().await;
    }
    trial.recovers().await;
    trial.is_over().await;
}
