//! Another server takes over, or a backup is put in the place of what was there. A store that has gone
//! back may have forgotten revocations: then nobody's session outlives it.

use std::time::{Duration, Instant};

use crate::support::cluster::status;
use crate::support::person::with_the_password_alone as alone;

use super::trial::Trial;
use super::watch::Clients;

/// All nodes.
const ALL: [usize; 3] = [0, 1, 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_has_everything_takes_over_and_every_session_ends() {
    let mut trial = Trial::new().await;
    let replica = trial.cluster.postgres.replica(true);
    let hers = Clients::of(&trial.cluster, &trial.ada);
    let ended = trial.ends_hers(0).await;
    trial.cluster.postgres.kill();
    let gone = Instant::now();
    replica.promote();
    trial.leads_to(replica.port);
    // No gateway can tell that it has everything.
    trial.everybody_is_out(&ALL).await;
    println!(
        "cluster: failover: people can sign in after {:?}",
        gone.elapsed()
    );
    trial
        .nothing_got_through("a failover that kept all", hers, &ended)
        .await;
    let beginnings = "select count(*) from audit where action = 'store-restored'";
    assert_eq!(replica.ask(beginnings), "1", "one node does it for all");
    let port = trial.cluster.nodes[0].port;
    trial.bob = alone(port, "bob").await.unwrap();
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
    trial.everybody_is_out(&ALL).await;
    trial
        .nothing_got_through("a failover that forgot", hers, &ended)
        .await;
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
    trial.everybody_is_out(&ALL).await;
    trial
        .nothing_got_through("a failover while no node ran", hers, &ended)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_put_back_while_the_nodes_run() {
    let trial = Trial::new().await;
    let backup = trial.cluster.postgres.backup();
    let hers = Clients::of(&trial.cluster, &trial.ada);
    let ended = trial.ends_hers(0).await;
    trial.cluster.postgres.restore(&backup);
    trial.everybody_is_out(&ALL).await;
    trial
        .nothing_got_through("a backup put back", hers, &ended)
        .await;
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
    trial.everybody_is_out(&ALL).await;
    trial
        .nothing_got_through("a backup put back in the quiet", hers, &ended)
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
    trial.everybody_is_out(&ALL).await;
    trial
        .nothing_got_through("a number twice", hers, &ended)
        .await;
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
