//! A flood of made-up cookies: nobody inside waits for it, and the store hardly notices.

use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::task::JoinSet;

use crate::support::cluster::{Cluster, status};
use crate::support::http2::Http2;
use crate::support::person::with_the_password_alone as alone;

use super::trial::PLAIN;

const COOKIES: u64 = 20_000;
/// Connections, and streams on each.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 50;

/// What most requests of somebody inside take at most. Many times what they take, for slow machines.
const INSIDE: Duration = Duration::from_millis(150);

fn made_up() -> String {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Sends a share of the cookies on one stream after the other: how many were answered 401, and how
/// many were told to come back.
async fn flood(shared: Http2, share: u64) -> (u64, u64) {
    let (mut unknown, mut later) = (0, 0);
    for _ in 0..share {
        let cookie = format!("__Host-Http-portcullis={}", made_up());
        let answer = shared.get("/echo", &[("cookie", &cookie)]).await;
        match answer.unwrap().status {
            401 => unknown += 1,
            503 => later += 1,
            other => panic!("{other}"),
        }
    }
    (unknown, later)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_cookies_cost_the_store_little_and_people_nothing() {
    let cluster = Cluster::with(2, PLAIN).await;
    let [first, second] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    first.add_with_password("ada");
    let inside = alone(second.port, "ada").await.unwrap();
    assert_eq!(status(second.port, &inside).await, Some(200));
    let fresh = alone(first.port, "ada").await.unwrap();

    let before = cluster.postgres.transactions();
    let begun = Instant::now();
    let mut flooding = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let shared = second.connect_http2().await;
        let streams = (CONNECTIONS * STREAMS) as u64;
        for _ in 0..STREAMS {
            flooding.spawn(flood(shared.clone(), COOKIES / streams));
        }
    }
    let cookie = format!("Cookie: __Host-Http-portcullis={inside}");
    let mut wire = second.connect().await;
    let (mut waits, mut came_in) = (Vec::new(), None);
    let (mut unknown, mut later) = (0, 0);
    while !flooding.is_empty() {
        let asked = Instant::now();
        assert_eq!(wire.get("/echo", &[&cookie]).await.status, 200);
        waits.push(asked.elapsed());
        // Somebody whom this node has not seen yet comes from another one.
        if came_in.is_none() && status(second.port, &fresh).await == Some(200) {
            came_in = Some(begun.elapsed());
        }
        while let Some(done) = flooding.try_join_next() {
            let (more_unknown, more_later) = done.unwrap();
            (unknown, later) = (unknown + more_unknown, later + more_later);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed();
    // What was counted is told a moment later.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let transactions = cluster.postgres.transactions() - before;
    waits.sort();
    let usual = waits[waits.len() / 2];
    println!(
        "cluster: {COOKIES} made-up cookies in {took:?}: {unknown} unknown, {later} told to come \
         back, {transactions} transactions in the store; inside half of the requests within \
         {usual:?}, all within {:?}; a session of another node came in after {came_in:?}",
        waits[waits.len() - 1]
    );
    assert_eq!(unknown + later, COOKIES);
    // Both nodes' own beats are in it.
    assert!(transactions < COOKIES / 5, "{transactions}");
    assert!(usual < INSIDE, "{usual:?}");
    assert!(came_in.is_some(), "never let in");
    assert_eq!(status(second.port, &fresh).await, Some(200));
}
