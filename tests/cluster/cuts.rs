//! Networks that fail between a node and the store: in both directions or in one, with packets that
//! are dropped on a real link, or on a road that is slow.

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, STALENESS, is_ready, status};
use crate::support::gateway::Gateway;
use crate::support::network::Way;

use super::trial::{PLAIN, SLACK, Trial, WAIT, stands_still, tells_to_come_back};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_drops_everything() {
    a_link_that_drops(Way::Both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_drops_what_goes_to_the_store() {
    a_link_that_drops(Way::There).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_drops_what_comes_from_the_store() {
    a_link_that_drops(Way::Back).await;
}

/// Three nodes with a network each; one is cut from the store by its packet filter.
async fn a_link_that_drops(way: Way) {
    let mut trial = Trial::of(Cluster::apart(3, PLAIN).await).await;
    let port = trial.cluster.postgres.port;
    for seen_from in [0, 2] {
        trial.she_comes_back().await;
        let watched = trial.begins().await;
        trial.cluster.networks[1].cut(port, way);
        let cut = Instant::now();
        let ended = trial.ends_hers(seen_from).await;
        assert!(ended.took < WAIT, "{:?}", ended.took);
        is_cut_off(&trial, 1, cut).await;
        trial.cluster.networks[1].heal();
        let healed = Instant::now();
        trial.recovers().await;
        println!(
            "cluster: a link that drops {way:?}: back after {:?}",
            healed.elapsed()
        );
        trial.is_over().await;
        let gap = trial
            .result(&format!("a link that drops {way:?}"), watched, &ended)
            .await;
        assert!(gap < Duration::from_secs(1), "the others serve: {gap:?}");
    }
}

/// A node without the store: people are told to come back, balancers to go elsewhere, and what it is
/// asked to end is not told as done.
async fn is_cut_off(trial: &Trial, node: usize, since: Instant) {
    stands_still(&trial.cluster, node, &trial.bob).await;
    assert!(since.elapsed() < WAIT + SLACK, "{:?}", since.elapsed());
    let gateway = &trial.cluster.nodes[node];
    tells_to_come_back(gateway.port, &trial.bob).await;
    assert!(!is_ready(gateway).await);
    let refused = trial.cluster.end_sessions(node, &trial.bearer, "eve").await;
    assert_eq!(refused.answer.status, 503, "{}", refused.answer.text());
    assert!(
        refused.took < Duration::from_secs(2) + SLACK,
        "{:?}",
        refused.took
    );
    let other: &Gateway = &trial.cluster.nodes[0];
    assert!(is_ready(other).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_ends_nothing_and_nobody_is_told_so() {
    let trial = Trial::new().await;
    let watched = trial.begins().await;
    trial.cluster.roads[1].close(Way::Both);
    let refused = trial.cluster.end_sessions(1, &trial.bearer, "ada").await;
    assert_eq!(refused.answer.status, 503, "{}", refused.answer.text());
    trial.cluster.roads[1].open();
    trial.recovers().await;
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    trial
        .result("cut off while it ends sessions", watched, &ended)
        .await;
}

/// What a revocation waits for reaches the store, and what it is told does not come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_road_that_closes_in_the_middle_of_a_revocation() {
    let mut trial = Trial::new().await;
    for (round, way) in [Way::There, Way::Back, Way::Both].into_iter().enumerate() {
        for delay in [0, 3, 8] {
            trial.she_comes_back().await;
            let watched = trial.begins().await;
            let revoking = trial.cluster.end_sessions(round, &trial.bearer, "ada");
            let closing = async {
                tokio::time::sleep(Duration::from_millis(delay)).await;
                trial.cluster.roads[round].close(way);
            };
            let (first, ()) = tokio::join!(revoking, closing);
            trial.cluster.roads[round].open();
            trial.recovers().await;
            let ended = if first.answer.status == 200 {
                first
            } else {
                assert_eq!(first.answer.status, 503, "{}", first.answer.text());
                trial.ends_hers(round).await
            };
            trial.is_over().await;
            let what = format!("a road that closes {way:?} after {delay} ms");
            trial.result(&what, watched, &ended).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_road_that_is_slow() {
    let mut trial = Trial::new().await;
    for millis in [50, 200] {
        let delay = Duration::from_millis(millis);
        trial.cluster.roads[1].open();
        trial.recovers().await;
        trial.she_comes_back().await;
        let watched = trial.begins().await;
        trial.cluster.roads[1].slow_down(delay);
        tokio::time::sleep(STALENESS).await;
        let ended = trial.ends_hers(0).await;
        assert!(ended.took < WAIT, "{:?}", ended.took);
        trial.is_over().await;
        assert_eq!(
            status(trial.cluster.nodes[1].port, &trial.bob).await,
            Some(200)
        );
        trial
            .result(&format!("a road slow by {delay:?}"), watched, &ended)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_road_that_is_slower_than_a_lease_allows() {
    let trial = Trial::new().await;
    let watched = trial.begins().await;
    trial.cluster.roads[1].slow_down(STALENESS);
    let ended = trial.ends_hers(0).await;
    assert!(ended.took < WAIT, "{:?}", ended.took);
    stands_still(&trial.cluster, 1, &trial.bob).await;
    trial.cluster.roads[1].open();
    trial.recovers().await;
    trial.is_over().await;
    trial
        .result("a road slower than a lease", watched, &ended)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_road_that_is_torn_up_again_and_again() {
    let trial = Trial::new().await;
    let watched = trial.begins().await;
    let tearing = async {
        for _ in 0..20 {
            trial.cluster.roads[1].tear_up();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let revoking = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.ends_hers(0).await
    };
    let ((), ended) = tokio::join!(tearing, revoking);
    assert!(ended.took < WAIT, "{:?}", ended.took);
    trial.recovers().await;
    trial.is_over().await;
    trial
        .result("a road torn up again and again", watched, &ended)
        .await;
}
