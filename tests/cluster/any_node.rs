//! A session is one session, on whatever node: it works, it is seen, it stays alive and it ends on all.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::cluster::{Cluster, status};
use crate::support::eventually;
use crate::support::gateway::{CUT, Gateway};
use crate::support::http2;
use crate::support::person::{PASSWORD, Person, csrf_of, with_the_password_alone as alone};

use super::trial::PLAIN;

const LOGIN: &str = "/.portcullis/login";
const SECOND_FACTOR: &str = "/.portcullis/second-factor";
const ACCOUNT: &str = "/.portcullis/account";

/// Her page of the panel, as this node answers.
async fn page(person: &mut Person, node: &Gateway) -> u16 {
    person.through(node).get("/echo").await.status
}

/// Whether hers is over on every node.
async fn is_over(person: &mut Person, cluster: &Cluster) {
    for node in &cluster.nodes {
        assert_eq!(page(person, node).await, 303);
    }
}

#[tokio::test]
async fn a_session_of_one_node_works_on_every_node_at_the_next_request() {
    let cluster = Cluster::of(3).await;
    let mut ada = cluster.nodes[0].person("ada", "operator").await;
    for _ in 0..2 {
        for node in &cluster.nodes {
            assert_eq!(page(&mut ada, node).await, 200);
        }
    }
    ada.through(&cluster.nodes[2]).websocket().await;
    let seen = cluster.panel.seen_with("/echo");
    assert!(
        seen.iter()
            .all(|seen| seen.all("x-forwarded-user") == ["ada"])
    );
    // Even the first thing that a node hears of it may be this.
    for node in &cluster.nodes {
        let mut again = ada.elsewhere();
        again.through(&cluster.nodes[0]).sign_in().await;
        again.through(node).websocket().await;
        ada.recovery_codes.pop();
    }
}

#[tokio::test]
async fn every_step_of_a_sign_in_may_be_on_another_node() {
    let cluster = Cluster::of(3).await;
    let [first, second, third] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let ada = first.person("ada", "operator").await;
    let mut hers = ada.elsewhere();
    let code = hers.recovery_codes.pop().unwrap();
    let form = hers.get(LOGIN).await.text();
    let csrf = csrf_of(&form);
    let fields = [
        ("csrf", csrf.as_str()),
        ("user", "ada"),
        ("password", PASSWORD),
    ];
    let half = hers.through(second).post(LOGIN, &fields).await;
    assert_eq!(half.status, 303, "{}", half.text());
    let form = hers.through(third).get(SECOND_FACTOR).await.text();
    let csrf = csrf_of(&form);
    let fields = [("csrf", csrf.as_str()), ("code", code.as_str())];
    let done = hers.through(first).post(SECOND_FACTOR, &fields).await;
    assert_eq!(done.status, 303, "{}", done.text());
    for node in &cluster.nodes {
        assert_eq!(page(&mut hers, node).await, 200);
    }
    // A form of her account as well.
    let form = hers.through(second).get(ACCOUNT).await.text();
    let csrf = csrf_of(&form);
    let path = "/.portcullis/account/logout-all";
    let out = hers.through(third).post(path, &[("csrf", &csrf)]).await;
    assert_eq!(out.status, 303, "{}", out.text());
    assert!(!hers.is_signed_in());
}

#[tokio::test]
async fn whoever_logs_out_on_one_node_is_out_on_all() {
    let cluster = Cluster::of(3).await;
    let mut ada = cluster.nodes[0].person("ada", "operator").await;
    let mut other = ada.elsewhere();
    other.sign_in().await;
    for node in &cluster.nodes {
        assert_eq!(page(&mut ada, node).await, 200);
    }
    let mut socket = ada.through(&cluster.nodes[2]).websocket().await;
    let cookies = ada.cookies.clone();
    ada.through(&cluster.nodes[1]);
    let out = ada.submit(ACCOUNT, "/.portcullis/logout", &[]).await;
    assert_eq!(out.status, 303, "{}", out.text());
    let begun = Instant::now();
    ada.cookies = cookies;
    for node in &cluster.nodes {
        assert_eq!(status(node.port, ada.token()).await, Some(401));
        assert_eq!(status(node.port, other.token()).await, Some(200));
    }
    socket.hear_out().await;
    assert!(begun.elapsed() < CUT, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_replaced_token_is_good_for_some_seconds_on_every_node_and_ends_with_the_new_one() {
    let cluster = Cluster::of(2).await;
    let mut ada = cluster.nodes[0].person("ada", "operator").await;
    let on = async |node: &Gateway, token: &str| status(node.port, token).await;
    let both = async |token: &str| {
        let [first, second] = cluster.nodes.as_slice() else {
            panic!("two nodes")
        };
        (on(first, token).await, on(second, token).await)
    };
    for is_revoked in [false, true] {
        let former = ada.token().to_owned();
        assert_eq!(both(&former).await, (Some(200), Some(200)));
        ada.through(&cluster.nodes[1]).step_up().await;
        let new = ada.token().to_owned();
        assert_ne!(former, new);
        // The first node hears of it from the store.
        assert_eq!(both(&former).await, (Some(200), Some(200)));
        assert_eq!(both(&new).await, (Some(200), Some(200)));
        if is_revoked {
            ada.submit(ACCOUNT, "/.portcullis/logout", &[]).await;
            assert_eq!(both(&new).await, (Some(401), Some(401)));
            assert_eq!(both(&former).await, (Some(401), Some(401)));
        } else {
            eventually("it is over on both", async || {
                (both(&former).await == (Some(401), Some(401))).then_some(())
            })
            .await;
            assert_eq!(both(&new).await, (Some(200), Some(200)));
        }
    }
}

#[tokio::test]
async fn a_changed_password_ends_everything_on_every_node() {
    let cluster = Cluster::of(3).await;
    let [first, second, third] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    let mut ada = first.person("ada", "operator").await;
    let mut bob = second.person("bob", "operator").await;
    let mut other = ada.elsewhere();
    other.through(third).sign_in().await;
    let mut socket = ada.through(second).websocket().await;
    let mut his = bob.through(second).websocket().await;
    let mut events = other.connect().await;
    let cookie = other.cookie();
    let head = format!("GET /events HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n");
    events.send(head).await;
    assert_eq!(events.try_head().await.unwrap().status, 200);
    let shared = third.connect_http2().await;
    let plain = cookie.trim_start_matches("Cookie: ");
    let request = http2::head("GET", "/events", &[("cookie", plain)]);
    let (response, _) = shared.begin(request, true).await;
    let mut stream = response.await.unwrap().into_body();

    let before = ada.elsewhere();
    let new = "elbow tractor plum";
    let fields = [
        ("current_password", PASSWORD),
        ("new_password", new),
        ("new_password_again", new),
    ];
    let cookies = ada.cookies.clone();
    ada.through(first);
    let path = "/.portcullis/account/password";
    let changed = ada.submit(ACCOUNT, path, &fields).await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    let begun = Instant::now();
    for node in &cluster.nodes {
        for token in [&cookies["__Host-Http-portcullis"], other.token()] {
            assert_eq!(status(node.port, token).await, Some(401));
        }
    }
    assert!(socket.hear_out().await.is_some(), "told why");
    events.closed_within(CUT).await;
    while let Ok(Some(_)) = http2::next(&mut stream).await {}
    assert!(begun.elapsed() < CUT, "{:?}", begun.elapsed());
    his.check_echo().await;
    let mut old = before.elsewhere();
    assert_eq!(old.through(third).give_password().await.status, 401);
    old.password = new.to_owned();
    old.recovery_codes.pop();
    old.through(second).sign_in().await;
    assert_eq!(page(&mut old, third).await, 200);
    assert_eq!(page(&mut bob, first).await, 200);
}

#[tokio::test]
async fn a_sign_in_that_another_nodes_revocation_overtakes_is_no_session() {
    let cluster = Cluster::of(2).await;
    let ada = cluster.nodes[0].person("ada", "operator").await;
    let bearer = cluster.nodes[0].token("revoke");
    let mut late = ada.elsewhere();
    let code = late.recovery_codes.pop().unwrap();
    assert_eq!(late.give_password().await.status, 303);
    let form = late.get(SECOND_FACTOR).await.text();
    cluster.end_sessions(1, &bearer, "ada").await.is_done();
    let csrf = csrf_of(&form);
    let fields = [("csrf", csrf.as_str()), ("code", code.as_str())];
    let answer = late.post(SECOND_FACTOR, &fields).await;
    assert!(!late.is_signed_in(), "{answer:?}");
    is_over(&mut late, &cluster).await;
}

#[tokio::test]
async fn the_list_of_sessions_and_the_end_of_one_are_the_same_on_every_node() {
    let cluster = Cluster::with(3, PLAIN).await;
    cluster.nodes[0].add_with_password("ada");
    let bearer = cluster.nodes[1].token("revoke,read");
    let mut tokens = Vec::new();
    for node in &cluster.nodes {
        tokens.push(alone(node.port, "ada").await.unwrap());
    }
    let mut lists = Vec::new();
    for node in &cluster.nodes {
        let path = "/v1/users/ada/sessions";
        let list = node.call(&bearer, "GET", path, "").await.json();
        let sessions = list.as_array().unwrap().iter();
        let ids = sessions.map(|session| session["id"].as_str().unwrap().to_owned());
        lists.push(ids.collect::<BTreeSet<String>>());
        let user = node.operator(&["user", "show", "ada"]);
        assert_eq!(user["sessions"], 3, "{user}");
    }
    assert!(
        lists
            .iter()
            .all(|list| *list == lists[0] && list.len() == 3)
    );
    for (ended, id) in lists[0].iter().enumerate() {
        let node = &cluster.nodes[ended];
        let answer = node
            .call(&bearer, "DELETE", &format!("/v1/sessions/{id}"), "")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut live = 0;
        for token in &tokens {
            let mut answers = BTreeSet::new();
            for node in &cluster.nodes {
                answers.insert(status(node.port, token).await.unwrap());
            }
            assert_eq!(answers.len(), 1, "the nodes do not agree: {answers:?}");
            live += usize::from(answers.contains(&200));
        }
        assert_eq!(live, 2 - ended);
    }
}

#[tokio::test]
async fn the_most_sessions_of_a_user_are_counted_over_all_nodes() {
    let sections = "[second_factor]\nrequired = false\n[session]\nmax_per_user = 2";
    let cluster = Cluster::with(3, sections).await;
    cluster.nodes[0].add_with_password("ada");
    let mut tokens = Vec::new();
    for node in &cluster.nodes {
        tokens.push(alone(node.port, "ada").await.unwrap());
    }
    for node in &cluster.nodes {
        assert_eq!(status(node.port, &tokens[0]).await, Some(401), "the oldest");
        assert_eq!(status(node.port, &tokens[1]).await, Some(200));
        assert_eq!(status(node.port, &tokens[2]).await, Some(200));
    }
}

#[tokio::test]
async fn who_is_busy_on_one_node_is_idle_on_none() {
    let idle = Duration::from_secs(4);
    let sections = "[second_factor]\nrequired = false\n[session]\nidle_timeout = \"4s\"";
    let cluster = Cluster::with(3, sections).await;
    cluster.nodes[0].add_with_password("ada");
    let token = alone(cluster.nodes[0].port, "ada").await.unwrap();
    for node in &cluster.nodes {
        assert_eq!(status(node.port, &token).await, Some(200));
    }
    let begun = Instant::now();
    while begun.elapsed() < 2 * idle {
        assert_eq!(status(cluster.nodes[0].port, &token).await, Some(200));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for node in &cluster.nodes {
        assert_eq!(status(node.port, &token).await, Some(200), "she was busy");
    }
    let begun = Instant::now();
    let bearer = cluster.nodes[1].token("read");
    eventually("the session to be over", || async {
        let list = cluster.nodes[1].call(&bearer, "GET", "/v1/users/ada/sessions", "");
        list.await
            .json()
            .as_array()
            .unwrap()
            .is_empty()
            .then_some(())
    })
    .await;
    assert!(begun.elapsed() > idle - Duration::from_millis(500));
    for node in &cluster.nodes {
        assert_eq!(status(node.port, &token).await, Some(401), "she was idle");
    }
}
