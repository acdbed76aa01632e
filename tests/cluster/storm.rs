//! Revocations in a storm: clients hammer every node with the session that is ended on one of them.
//! `PORTCULLIS_STORM` is how many requests there are at least.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::support::cluster::Cluster;
use crate::support::http1::Wire;
use crate::support::person::with_the_password_alone as alone;

use super::hammer::{Begun, Hammer};
use super::trial::PLAIN;
use super::watch::numbers;

const USUAL: usize = 30_000;

fn wanted() -> usize {
    let asked = std::env::var("PORTCULLIS_STORM").ok();
    asked.map_or(USUAL, |text| text.parse().unwrap())
}

/// What came of all rounds.
#[derive(Default)]
struct Count {
    rounds: usize,
    before: usize,
    /// The numbers of those that were begun after an answer.
    after: HashSet<u64>,
    forwarded: usize,
    answers: Vec<Duration>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_the_answer_reaches_the_panel_by_any_node() {
    let cluster = Cluster::with(3, PLAIN).await;
    cluster.nodes[0].add_with_password("ada");
    let bearer = cluster.nodes[0].token("revoke");
    let bearer = format!("Authorization: Bearer {bearer}");
    let mut hammer = Hammer::at(&cluster).await;
    let mut calls = Vec::new();
    for node in &cluster.nodes {
        calls.push(Wire::connect(node.management_port).await);
    }
    let mut count = Count::default();
    while count.before + count.after.len() < wanted() {
        let round = count.rounds;
        let token = alone(cluster.nodes[round % 3].port, "ada").await.unwrap();
        hammer.takes(&token);
        let pause = 20_000 + (round as u64 * 3701) % 60_000;
        tokio::time::sleep(Duration::from_micros(pause)).await;
        let call = &mut calls[(round / 3) % 3];
        let asked = Instant::now();
        let path = "/v1/users/ada/password-changed";
        let answer = call.request("POST", path, &[&bearer], b"").await;
        let answered = Instant::now();
        let told = answer.json();
        assert_eq!(answer.status, 200, "{told}");
        assert_eq!(told["durable"], true, "{told}");
        assert_eq!(
            (told["nodes"].as_u64(), told["nodes_unreached"].as_u64()),
            (Some(3), Some(0))
        );
        count.answers.push(answered - asked);
        count.note(&hammer.some_more().await, answered);
        let seen = numbers(&cluster.panel.take_seen());
        assert!(!seen.is_empty(), "round {round}: nothing was served");
        // Those of earlier rounds that were on their way as well.
        count.forwarded += seen.intersection(&count.after).count();
    }
    hammer.ends().await;
    count.tell();
    assert_eq!(count.forwarded, 0);
    assert!(!count.after.is_empty() && count.before > 0);
}

impl Count {
    fn note(&mut self, begun: &Begun, answered: Instant) {
        self.rounds += 1;
        for (number, at) in begun {
            if *at > answered {
                self.after.insert(*number);
            } else {
                self.before += 1;
            }
        }
    }

    fn tell(&mut self) {
        self.answers.sort();
        let last = self.answers.len() - 1;
        println!(
            "cluster: storm: {} revocations at three nodes, {} requests begun before an answer and {} \
             after one, {} of those forwarded; half of the answers within {:?}, 99 of 100 within {:?}, \
             all within {:?}",
            self.rounds,
            self.before,
            self.after.len(),
            self.forwarded,
            self.answers[last / 2],
            self.answers[last * 99 / 100],
            self.answers[last],
        );
    }
}
