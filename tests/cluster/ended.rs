//! Why a session has ended is known on every node, is reported once, and survives the node that found out.

use std::time::Instant;

use crate::support::cluster::{Cluster, status};
use crate::support::eventually;
use crate::support::http1::Wire;
use crate::support::person::with_the_password_alone as alone;

const PLAIN: &str = "[second_factor]\nrequired = false\n[session]\nmax_per_user = 2\n";

/// The reason in the answer to a program that sends a token which opens nothing.
async fn told(port: u16, token: &str) -> Option<String> {
    let mut wire = Wire::connect(port).await;
    let cookie = format!("Cookie: __Host-Http-portcullis={token}");
    let answer = wire.get("/echo", &[&cookie]).await;
    let document = (answer.status == 401).then(|| answer.json())?;
    Some(document["ended_because"].as_str()?.to_owned())
}

async fn is_told_everywhere(cluster: &Cluster, token: &str, word: &str) {
    for node in &cluster.nodes {
        eventually(&format!("{word} to be told"), async || {
            (told(node.port, token).await.as_deref() == Some(word)).then_some(())
        })
        .await;
    }
}

fn entries(cluster: &Cluster, detail: &str) -> String {
    cluster.postgres.ask(&format!(
        "select count(*) from audit where actor = 'gateway' and action = 'session-ended' \
         and detail like '%{detail}%'"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_tells_why_and_the_list_has_it_once() {
    let mut cluster = Cluster::with(2, PLAIN).await;
    cluster.nodes[0].add_with_password("ada");
    cluster.nodes[0].add_with_password("bob");
    let mut tokens = Vec::new();
    for place in 0..3 {
        let port = cluster.nodes[place % 2].port;
        tokens.push(alone(port, "ada").await.unwrap());
    }
    is_told_everywhere(&cluster, &tokens[0], "too-many").await;
    assert_eq!(entries(&cluster, "than one user may have"), "1");

    // Somebody ends the rest: in one statement with the removal.
    let ended = cluster.nodes[1].operator(&["user", "logout", "ada"]);
    assert_eq!(ended["sessions_ended"], 2, "{ended}");
    for token in &tokens[1..] {
        is_told_everywhere(&cluster, token, "every-session").await;
    }
    let one = alone(cluster.nodes[0].port, "bob").await.unwrap();
    let list = cluster.nodes[0].operator(&["session", "list", "--user", "bob"]);
    let id = list[0]["id"].as_str().unwrap().to_owned();
    cluster.nodes[1].operator(&["session", "end", &id]);
    is_told_everywhere(&cluster, &one, "ended").await;

    // Both nodes find out that these are too old, and one of them says so.
    let old = alone(cluster.nodes[0].port, "bob").await.unwrap();
    assert_eq!(status(cluster.nodes[1].port, &old).await, Some(200));
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    for node in &cluster.nodes {
        node.rewrite(
            "max_per_user = 2",
            "max_per_user = 2\nlifetime = \"1s\"\nidle_timeout = \"1s\"",
        );
        node.hang_up();
    }
    is_told_everywhere(&cluster, &old, "shorter-limits").await;
    assert_eq!(entries(&cluster, "no longer last as long"), "1");
    assert_eq!(told(cluster.nodes[0].port, &"A".repeat(43)).await, None);

    // It is in the store, and not in a node.
    for node in &mut cluster.nodes {
        node.kill();
    }
    cluster.nodes[1].start().await;
    let port = cluster.nodes[1].port;
    let again = eventually("an answer", async || told(port, &tokens[0]).await).await;
    assert_eq!(again, "too-many");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_that_ran_out_are_told_of_and_bounded() {
    let sections = format!("{PLAIN}idle_timeout = \"5s\"\n");
    let cluster = Cluster::with(2, &sections).await;
    cluster.nodes[0].add_with_password("ada");
    // A node looks each minute, and whenever a session ran out that it knows.
    alone(cluster.nodes[0].port, "ada").await.unwrap();
    cluster.postgres.ask(
        "insert into sessions (token, id, user_id, generation, created, last_seen, address, device) \
         select sha256(n::text::bytea), 'id' || n, users.id, generation, t, t, '192.0.2.1', 'curl' \
         from users, generate_series(1, 10000) n, \
         (select (extract(epoch from now()) * 1000)::bigint - 172800000 as t) as long_ago \
         where name = 'ada'",
    );
    // More than are kept were there before.
    cluster.postgres.ask(
        "insert into ended_sessions (token, reason, at) select sha256(n::text::bytea), 'idle', \
         (extract(epoch from now()) * 1000)::bigint from generate_series(100001, 145000) n",
    );
    let begun = Instant::now();
    eventually("they are gone", async || {
        let left = cluster.postgres.ask("select count(*) from sessions");
        (left == "0").then_some(())
    })
    .await;
    println!("10,000 sessions were told of {:?} later", begun.elapsed());
    let kept = cluster.postgres.ask("select count(*) from ended_sessions");
    assert_eq!(kept, "50000");
    let entries: u32 = entries(&cluster, "not used for too long").parse().unwrap();
    assert!((10..=20).contains(&entries), "{entries}");
}
