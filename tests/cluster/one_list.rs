//! What a door shows of sessions is the same on every node, wherever they were begun: pages, calls, commands.

use crate::support::cluster::Cluster;
use crate::support::gateway::Gateway;

const USERS: &str = "/.portcullis/users";
const ACCOUNT: &str = "/.portcullis/account";

/// How many sessions of hers this node tells of to programs and to its operator.
async fn told(node: &Gateway, bearer: &str) -> [usize; 5] {
    let list = |path: &'static str| async move {
        let answer = node.call(bearer, "GET", path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let hers = |all: &serde_json::Value| {
        let all = all.as_array().unwrap().iter();
        all.filter(|one| one["user"] == "ada").count()
    };
    let count =
        |user: &serde_json::Value| usize::try_from(user["sessions"].as_u64().unwrap()).unwrap();
    [
        hers(&list("/v1/users/ada/sessions").await),
        hers(&list("/v1/sessions").await),
        count(&list("/v1/users/ada").await),
        hers(&node.operator(&["session", "list"])),
        count(&node.operator(&["user", "show", "ada"])),
    ]
}

/// The parts of a page between two texts.
fn between<'a>(page: &'a str, start: &str, end: &str) -> Vec<&'a str> {
    let parts = page.split(start).skip(1);
    parts.map(|rest| rest.split(end).next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_tells_of_sessions_that_it_never_saw() {
    let cluster = Cluster::with(2, "[throttle]\nper_address = \"5000/15m\"\n").await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut boss = there.person("boss", "administrator").await;
    let bearer = there.token("read");
    let mut ada = here.person("ada", "operator").await;
    let mut count = 1;
    for _ in 0..2 {
        // The page first: what comes later may have brought them.
        let page = boss
            .through(there)
            .get(&format!("{USERS}/ada"))
            .await
            .text();
        assert!(
            page.contains(&format!("Sessions: <strong>{count}</strong>")),
            "{page}"
        );
        let list = boss.get(USERS).await.text();
        let hers = list.split("<p class=\"device\">ada ").nth(1).unwrap();
        let shown = between(hers, "<dt>Sessions</dt><dd>", "<")[0];
        assert_eq!(shown, count.to_string(), "{list}");
        assert_eq!(told(there, &bearer).await, [count; 5]);
        assert_eq!(told(here, &bearer).await, [count; 5]);
        let mut elsewhere = ada.elsewhere();
        elsewhere.through(here).sign_in().await;
        ada.recovery_codes.pop();
        count += 1;
    }
    // Her own page, on a node that knows none of them.
    let page = ada.through(there).get(ACCOUNT).await.text();
    assert_eq!(
        between(&page, "/account/sessions/", "/end").len(),
        count,
        "{page}"
    );
    // One that ended here is gone there.
    let list = here.operator(&["session", "list", "--user", "ada"]);
    let id = list[0]["id"].as_str().unwrap();
    here.operator(&["session", "end", id]);
    assert_eq!(told(there, &bearer).await, [count - 1; 5]);
    // What is this node's alone says so.
    let metrics = there.token("metrics");
    let numbers = there.call(&metrics, "GET", "/metrics", "").await.text();
    let help = numbers
        .lines()
        .find(|line| line.starts_with("# HELP portcullis_sessions"));
    assert!(help.unwrap().contains("this node"), "{help:?}");
    let page = boss.get(&format!("{USERS}/ada")).await.text();
    assert!(page.contains("open connections on this node"), "{page}");
}
