//! Signing out while the node cannot know whether the session lives: the browser forgets it, the node ends it, and
//! writes that as soon as it can.

use crate::support::cluster::{Cluster, asked, status};
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::http1::Answer;
use crate::support::network::Way;
use crate::support::person::{Person, csrf_of};

use super::trial::stands_still;

const ACCOUNT: &str = "/.portcullis/account";
const LOGOUT: &str = "/.portcullis/logout";
const EVERYWHERE: &str = "/.portcullis/account/logout-all";

/// The hidden field of her account page, as this node shows it.
async fn form(person: &mut Person, node: &Gateway) -> String {
    let page = person.through(node).get(ACCOUNT).await;
    assert_eq!(page.status, 200, "{}", page.text());
    csrf_of(&page.text())
}

fn is_signed_out_here(person: &Person, answer: &Answer, words: &[&str]) {
    let text = answer.text();
    assert_eq!(answer.status, 503, "{text}");
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!person.is_signed_in(), "the cookie is forgotten");
}

/// What a thief has kept of it opens nothing any more, on any node.
async fn is_over(cluster: &Cluster, token: &str) {
    for node in &cluster.nodes {
        eventually("the session to be over", async || {
            (status(node.port, token).await? == 401).then_some(())
        })
        .await;
    }
}

async fn signs_out(seen_here: bool, action: &str) {
    let sections = "[throttle]\nper_address = \"5000/15m\"\n";
    let cluster = Cluster::with(2, sections).await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut ada = there.person("ada", "operator").await;
    let csrf = form(&mut ada, if seen_here { here } else { there }).await;
    let token = ada.token().to_owned();
    let mut other = ada.elsewhere();
    other.through(there).sign_in().await;
    cluster.roads[0].close(Way::Both);
    stands_still(&cluster, 0, &token).await;
    // Anything else is refused, and the cookie stays.
    let page = ada.through(here).get(ACCOUNT).await;
    assert_eq!(page.status, 503);
    assert!(ada.is_signed_in());
    let forged = ada.post(action, &[("csrf", "x")]).await;
    assert_eq!(forged.status, 403, "{}", forged.text());
    assert!(ada.is_signed_in());

    let answer = ada.post(action, &[("csrf", &csrf)]).await;
    let words = [
        "This browser is signed out",
        "ended on this gateway",
        "another gateway may still take them for live",
    ];
    is_signed_out_here(&ada, &answer, &words);
    let again = ada.post(action, &[("csrf", &csrf)]).await;
    assert_eq!(again.status, 303, "{}", again.text());
    cluster.roads[0].open();
    is_over(&cluster, &token).await;
    let everywhere = seen_here && action == EVERYWHERE;
    let others = status(there.port, other.token()).await;
    assert_eq!(others, Some(if everywhere { 401 } else { 200 }));
    let list = there.audit();
    let mut told = list.iter().filter(|entry| entry["actor"] == "gateway");
    let told = told.any(|entry| entry["action"].as_str().unwrap().ends_with("-ended"));
    assert!(told, "{list:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_signed_out_by_a_node_that_has_lost_the_store() {
    signs_out(true, LOGOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_signed_out_by_a_node_that_never_saw_its_session() {
    signs_out(false, LOGOUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_devices_are_signed_out_by_a_node_that_has_lost_the_store() {
    signs_out(true, EVERYWHERE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_device_at_least_is_signed_out_by_a_node_that_never_saw_it() {
    signs_out(false, EVERYWHERE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_signed_out_while_no_node_has_a_store() {
    let mut cluster = Cluster::with(2, "").await;
    let mut ada = cluster.nodes[0].person("ada", "operator").await;
    let csrf = form(&mut ada, &cluster.nodes[1]).await;
    let token = ada.token().to_owned();
    cluster.postgres.kill();
    stands_still(&cluster, 1, &token).await;
    let answer = ada.post(LOGOUT, &[("csrf", &csrf)]).await;
    is_signed_out_here(&ada, &answer, &["This browser is signed out"]);
    // A program that shows another's cookie has no form that fits.
    let cookie = format!("Cookie: __Host-Http-portcullis={token}");
    let other = asked(cluster.nodes[1].port, ACCOUNT, &[&cookie])
        .await
        .unwrap();
    assert_eq!(other.status, 503);
    cluster.postgres.run();
    is_over(&cluster, &token).await;
}
