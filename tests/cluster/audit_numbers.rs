//! The numbers of the audit list have no gaps, whatever becomes of the changes: a gap would be an entry that
//! someone has taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::gateway::{Gateway, RULES, call};
use crate::support::panel::Panel;

use super::trial::PLAIN;

/// What the migration from the version before makes, taken back.
const AS_BEFORE: &str = "alter table audit alter column seq drop default; \
    alter table audit alter column seq add generated always as identity; \
    select setval(pg_get_serial_sequence('audit', 'seq'), (select max(seq) from audit)); \
    drop function next_audit_number(); alter table head drop column audit; \
    delete from _sqlx_migrations where description = 'audit numbers'";

/// The numbers of all entries, the oldest first.
fn numbers(node: &Gateway) -> Vec<u64> {
    let list = node.audit();
    let number = |entry: &serde_json::Value| entry["seq"].as_u64().unwrap();
    list.iter().map(number).collect()
}

/// The numbers from `first` on are all there.
fn are_without_gaps(numbers: &[u64], first: u64) {
    let wanted: Vec<u64> = (first..).take(numbers.len()).collect();
    assert_eq!(numbers, wanted);
}

/// Changes that succeed, and changes that are refused, until `ends` is set.
async fn changes(port: u16, bearer: String, who: usize, ends: Arc<AtomicBool>) {
    let mut round = 0;
    while !ends.load(Ordering::Relaxed) {
        round += 1;
        let name = format!("u{}", round % 7);
        let add = format!(r#"{{"name": "{name}", "role": "operator"}}"#);
        // Whatever is answered: the store goes away in the middle of some.
        match (round + who) % 4 {
            0 => call(port, &bearer, "POST", "/v1/users", &add).await,
            1 => call(port, &bearer, "DELETE", &format!("/v1/users/{name}"), "").await,
            2 => call(port, &bearer, "DELETE", "/v1/users/boss/sessions", "").await,
            // The last administrator.
            _ => call(port, &bearer, "DELETE", "/v1/users/boss", "").await,
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_fail_at_once_on_every_node_leave_no_gap() {
    let mut cluster = Cluster::with(3, PLAIN).await;
    let first = &cluster.nodes[0];
    let add = [
        "user",
        "add",
        "boss",
        "--role",
        "administrator",
        "--password-stdin",
    ];
    assert!(
        first
            .command(&add, Some("plum tractor elbow"))
            .status
            .success()
    );
    let bearer = first.token("users,administrators,revoke,read");
    let ends = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..6)
        .map(|who| {
            let port = cluster.nodes[who % 3].management_port;
            tokio::spawn(changes(port, bearer.clone(), who, ends.clone()))
        })
        .collect();
    for _ in 0..25 {
        // In the middle of whatever they do.
        cluster.postgres.ask(
            "select pg_terminate_backend(pid) from pg_stat_activity \
             where usename = 'portcullis' and pid <> pg_backend_pid()",
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A server that is killed forgets what a sequence had in stock.
    cluster.postgres.kill();
    cluster.postgres.run();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ends.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    cluster.nodes[1].operator(&["token", "list"]);
    let numbers = numbers(&cluster.nodes[2]);
    assert!(numbers.len() > 20, "{}", numbers.len());
    println!(
        "cluster: {} entries of the audit list, no gap",
        numbers.len()
    );
    are_without_gaps(&numbers, 1);
    // From a place on, and what comes after it.
    let after = numbers.len() - 5;
    let path = format!("/v1/audit?after={after}");
    let page = cluster.nodes[0]
        .call(&bearer, "GET", &path, "")
        .await
        .json();
    let page: Vec<_> = page
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(page, numbers[after..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_version_before_keeps_its_numbers_and_goes_on_without_gaps() {
    let mut cluster = Cluster::with(2, PLAIN).await;
    for name in ["ada", "bob"] {
        cluster.nodes[0].add_with_password(name);
    }
    for node in &mut cluster.nodes {
        node.stop().await;
    }
    cluster.postgres.ask(AS_BEFORE);
    // As a change that was rolled back left it.
    cluster
        .postgres
        .ask("select setval(pg_get_serial_sequence('audit', 'seq'), 40)");
    cluster.postgres.ask(
        "insert into audit (at, actor, action, detail) values (1, 'operator', 'user-added', '')",
    );
    let before = cluster
        .postgres
        .ask("select string_agg(seq::text, ',' order by seq) from audit");
    cluster.nodes[0].start().await;
    cluster.nodes[1].start().await;
    cluster.nodes[1].add_with_password("cyd");
    // A gateway of the version before that still runs.
    cluster.postgres.ask(
        "insert into audit (at, actor, action, detail) values (2, 'operator', 'user-added', '')",
    );
    // Several entries of one change.
    cluster.postgres.ask(
        "insert into audit (at, actor, action, detail) \
         select 3, 'gateway', 'session-ended', '' from generate_series(1, 5)",
    );
    cluster.nodes[0].add_with_password("dan");
    let numbers = numbers(&cluster.nodes[0]);
    let text: Vec<String> = numbers.iter().map(u64::to_string).collect();
    assert!(
        text.join(",").starts_with(&before),
        "{text:?}, not {before}"
    );
    let start = numbers.iter().position(|number| *number == 41).unwrap();
    assert!(numbers.len() - start >= 9);
    are_without_gaps(&numbers[start..], 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_leaves_no_gap_either() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::with(&panel, "[second_factor]\nrequired = false", RULES).await;
    let add = [
        "user",
        "add",
        "boss",
        "--role",
        "administrator",
        "--password-stdin",
    ];
    assert!(
        gateway
            .command(&add, Some("plum tractor elbow"))
            .status
            .success()
    );
    let bearer = gateway.token("users,administrators,revoke,read");
    for round in 0..2 {
        let ends = Arc::new(AtomicBool::new(false));
        let port = gateway.management_port;
        let tasks: Vec<_> = (0..4)
            .map(|who| tokio::spawn(changes(port, bearer.clone(), who, ends.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(800)).await;
        ends.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        if round == 0 {
            gateway.kill();
            gateway.start().await;
        }
    }
    let numbers = numbers(&gateway);
    assert!(numbers.len() > 20);
    are_without_gaps(&numbers, 1);
}
