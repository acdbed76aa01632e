//! Another server takes over, or a backup is put in the place of what was there. A store that has gone
//! back may have forgotten revocations: then nobody's session outlives it.

use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, Ended, status};
use crate::support::eventually;
use crate::support::person::with_the_password_alone as alone;

use super::trial::Trial;
use super::watch::{Clients, acted_after};

impl Trial {
    /// Leads every road to another server's port.
    fn leads_to(&self, port: u16) {
        for road in &self.cluster.roads {
            road.lead_to(port);
        }
    }

    /// Nobody who was signed in before is signed in any more, on any node, and people can sign in.
    async fn everybody_is_out(&self) {
        for node in &self.cluster.nodes {
            for token in [&self.ada, &self.bob] {
                eventually("everybody to be out", async || {
                    (status(node.port, token).await? == 401).then_some(())
                })
                .await;
            }
        }
        let port = self.cluster.nodes[1].port;
        let fresh = alone(port, "bob").await.unwrap();
        for node in &self.cluster.nodes {
            assert_eq!(status(node.port, &fresh).await, Some(200));
        }
    }
}

/// Of what was watched, only that nothing of hers got through.
async fn nothing_got_through(what: &str, cluster: &Cluster, clients: Clients, ended: &Ended) {
    let hers = clients.end().await;
    let acted = acted_after(&cluster.panel, &hers, ended.at);
    let (acted, count) = (acted.as_millis(), hers.len());
    println!(
        "cluster: {what}: a dead session could act for {acted} ms after the answer; {count} requests"
    );
    assert_eq!(acted, 0, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_everything_takes_over() {
    let mut trial = Trial::new().await;
    let replica = trial.cluster.postgres.replica(true);
    let watched = trial.begins().await;
    let ended = trial.ends_hers(0).await;
    trial.cluster.postgres.kill();
    let gone = Instant::now();
    replica.promote();
    trial.leads_to(replica.port);
    trial.recovers().await;
    println!(
        "cluster: failover: all nodes serve after {:?}",
        gone.elapsed()
    );
    trial.is_over().await;
    trial
        .result(
            "a failover to a replica that has everything",
            watched,
            &ended,
        )
        .await;
    trial.she_comes_back().await;
    let watched = trial.begins().await;
    let ended = trial.ends_hers(1).await;
    trial.is_over().await;
    trial.result("after the failover", watched, &ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_not_heard_of_a_revocation_takes_over() {
    let mut trial = Trial::new().await;
    let mut replica = trial.cluster.postgres.replica(false);
    replica.stop();
    let hers = Clients::of(&trial.cluster, &trial.ada);
    let ended = trial.ends_hers(0).await;
    trial.cluster.postgres.kill();
    replica.run();
    replica.promote();
    trial.leads_to(replica.port);
    trial.everybody_is_out().await;
    nothing_got_through("a failover that forgot", &trial.cluster, hers, &ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_not_heard_takes_over_while_no_node_runs() {
    let mut trial = Trial::new().await;
    let mut replica = trial.cluster.postgres.replica(false);
    replica.stop();
    let ended = trial.ends_hers(0).await;
    for node in &mut trial.cluster.nodes {
        node.kill();
    }
    trial.cluster.postgres.kill();
    replica.run();
    replica.promote();
    trial.leads_to(replica.port);
    let hers = Clients::of(&trial.cluster, &trial.ada);
    for node in 0..3 {
        trial.cluster.nodes[node].start().await;
    }
    // No node has seen more than the store holds; what tells is that another server answers.
    trial.everybody_is_out().await;
    nothing_got_through("a failover while no node ran", &trial.cluster, hers, &ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_put_back_while_the_nodes_run() {
    let trial = Trial::new().await;
    let backup = trial.cluster.postgres.backup();
    let hers = Clients::of(&trial.cluster, &trial.ada);
    let ended = trial.ends_hers(0).await;
    trial.cluster.postgres.restore(&backup);
    trial.everybody_is_out().await;
    nothing_got_through("a backup put back", &trial.cluster, hers, &ended).await;
    let again = trial.cluster.end_sessions(1, &trial.bearer, "bob").await;
    again.is_done();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_put_back_while_no_node_runs() {
    let mut trial = Trial::new().await;
    let backup = trial.cluster.postgres.backup();
    let ended = trial.ends_hers(0).await;
    for node in &mut trial.cluster.nodes {
        node.stop().await;
    }
    trial.cluster.postgres.restore(&backup);
    let hers = Clients::of(&trial.cluster, &trial.ada);
    for node in 0..3 {
        trial.cluster.nodes[node].start().await;
    }
    trial.everybody_is_out().await;
    nothing_got_through(
        "a backup put back in the quiet",
        &trial.cluster,
        hers,
        &ended,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_forgot_an_entry_and_went_on_to_the_same_number_is_known() {
    let trial = Trial::new().await;
    let hers = Clients::of(&trial.cluster, &trial.ada);
    let ended = trial.ends_hers(0).await;
    // As if it had forgotten that one, and another had taken its number.
    let forgets = "update feed set tag = tag + 1 where seq = (select seq from head)";
    trial.cluster.postgres.ask(forgets);
    trial.everybody_is_out().await;
    nothing_got_through("a number twice", &trial.cluster, hers, &ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_ends_without_a_reason() {
    let mut trial = Trial::new().await;
    trial.cluster.postgres.ask("vacuum full");
    trial.cluster.postgres.ask("reindex database portcullis");
    trial.recovers().await;
    trial.cluster.postgres.restart();
    for node in 0..3 {
        trial.cluster.nodes[node].restart().await;
    }
    trial.recovers().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    trial.recovers().await;
    assert_eq!(
        status(trial.cluster.nodes[0].port, &trial.ada).await,
        Some(200)
    );
}
