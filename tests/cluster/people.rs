//! People, their secrets and their guesses are counted once, whatever node they come to.

use std::time::Duration;

use serde_json::json;

use crate::support::cluster::{Cluster, status};
use crate::support::http1::Answer;
use crate::support::person::{
    PASSWORD, Person, csrf_of, give_password, with_the_password_alone as alone,
};

use super::trial::PLAIN;

const WRONG: &str = "elbow tractor plum";
const SECOND_FACTOR: &str = "/.portcullis/second-factor";

fn is_told_to_wait(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn wrong_passwords_are_counted_over_all_nodes() {
    let sections = "[second_factor]\nrequired = false\n[throttle]\nper_user = \"4/15m\"\n";
    let cluster = Cluster::with(3, sections).await;
    cluster.nodes[0].add_with_password("ada");
    cluster.nodes[0].add_with_password("bob");
    for guess in 0..4 {
        let port = cluster.nodes[guess % 3].port;
        let answer = give_password(port, "ada", WRONG).await.unwrap();
        assert_eq!(answer.status, 401, "guess {guess}");
    }
    for node in &cluster.nodes {
        is_told_to_wait(&give_password(node.port, "ada", WRONG).await.unwrap());
        is_told_to_wait(&give_password(node.port, "ada", PASSWORD).await.unwrap());
        assert!(alone(node.port, "bob").await.is_some());
    }
}

#[tokio::test]
async fn names_that_no_user_has_are_counted_as_users_are_over_nodes_and_restarts() {
    let sections = "[second_factor]\nrequired = false\n[throttle]\nper_user = \"4/1s\"\nper_user_total = 8\nper_address = \"5000/15m\"\n";
    let mut cluster = Cluster::with(2, sections).await;
    cluster.nodes[0].add_with_password("ada");
    let mut seen = [Vec::new(), Vec::new()];
    for round in 0..3 {
        for (name, seen) in ["ada", "zoe"].into_iter().zip(&mut seen) {
            for guess in 0..4 {
                let port = cluster.nodes[guess % 2].port;
                seen.push(give_password(port, name, WRONG).await.unwrap().status);
            }
        }
        cluster.nodes[round % 2].restart().await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    let row = [[401; 8].as_slice(), &[429; 4]].concat();
    assert_eq!(seen, [row.clone(), row]);
    for node in &cluster.nodes {
        for name in ["ada", "zoe"] {
            is_told_to_wait(&give_password(node.port, name, PASSWORD).await.unwrap());
        }
    }
    // One is told of as locked, and of each as guessed at.
    let locked: Vec<_> = cluster.nodes[0]
        .audit()
        .into_iter()
        .filter(|entry| entry["action"] == "user-locked")
        .collect();
    assert_eq!(locked.len(), 1, "{locked:?}");
    assert_eq!(locked[0]["subject"], "ada");
}

#[tokio::test]
async fn a_device_is_known_to_every_node() {
    let sections = "[throttle]\nper_user = \"4/15m\"\n";
    let mut cluster = Cluster::with(2, sections).await;
    let ada = cluster.nodes[0].person("ada", "operator").await;
    for guess in 0..6 {
        let port = cluster.nodes[guess % 2].port;
        give_password(port, "ada", WRONG).await.unwrap();
    }
    cluster.nodes[1].restart().await;
    for (node, with_device, status) in [(0, true, 303), (1, true, 303), (1, false, 429)] {
        let mut hers = ada.elsewhere();
        if with_device {
            let device = "__Host-Http-portcullis-device";
            hers.cookies
                .insert(device.to_owned(), ada.cookies[device].clone());
        }
        let answer = hers.through(&cluster.nodes[node]).give_password().await;
        assert_eq!(answer.status, status, "{node} {with_device}");
    }
    // What is tried with it is counted over all of them.
    let mut tried = Vec::new();
    for guess in 0..12 {
        let mut thief = ada.elsewhere();
        WRONG.clone_into(&mut thief.password);
        let device = "__Host-Http-portcullis-device";
        thief
            .cookies
            .insert(device.to_owned(), ada.cookies[device].clone());
        let answer = thief
            .through(&cluster.nodes[guess % 2])
            .give_password()
            .await;
        tried.push(answer.status);
    }
    // As many as are allowed to a stranger, and no more in a day.
    let looked_at = tried.iter().filter(|status| **status == 401).count();
    assert_eq!(looked_at, 4, "{tried:?}");
}

#[tokio::test]
async fn wrong_codes_are_counted_over_all_nodes() {
    let cluster = Cluster::with(2, "[second_factor]\nthrottle = \"4/15m\"").await;
    let ada = cluster.nodes[0].person("ada", "operator").await;
    let mut guesses = Vec::new();
    for guess in 0..5 {
        let mut attacker = ada.elsewhere();
        attacker.through(&cluster.nodes[guess % 2]);
        guesses.push(attacker.sign_in_with("000000").await.status);
    }
    assert_eq!(guesses, [401, 401, 401, 401, 429]);
    for node in &cluster.nodes {
        let mut hers = ada.elsewhere();
        let code = hers.recovery_codes.pop().unwrap();
        is_told_to_wait(&hers.through(node).sign_in_with(&code).await);
    }
}

#[tokio::test]
async fn parallel_guesses_at_all_nodes_are_no_more_than_at_one() {
    let sections = "[second_factor]\nrequired = false\n[throttle]\nper_user = \"6/15m\"\n";
    let cluster = Cluster::with(3, sections).await;
    cluster.nodes[0].add_with_password("ada");
    let guess = |number: usize| {
        let port = cluster.nodes[number % 3].port;
        tokio::spawn(give_password(port, "ada", WRONG))
    };
    let guesses: Vec<_> = (0..30).map(guess).collect();
    let (mut looked_at, mut told_to_wait) = (0, 0);
    for one in guesses {
        match one.await.unwrap().unwrap().status {
            401 => looked_at += 1,
            429 | 503 => told_to_wait += 1,
            other => panic!("{other}"),
        }
    }
    println!("cluster: of 30 guesses at once at three nodes {looked_at} were looked at");
    // Some may have been told to come back before they were counted.
    assert!((1..=6).contains(&looked_at), "{looked_at}, {told_to_wait}");
}

#[tokio::test]
async fn a_code_is_good_once_on_whatever_node() {
    let cluster = Cluster::of(3).await;
    let mut ada = cluster.nodes[0].person("ada", "operator").await;
    for code in [ada.next_code(), ada.recovery_codes.pop().unwrap()] {
        let mut tries = Vec::new();
        for node in &cluster.nodes {
            let mut hers = ada.elsewhere();
            let half = hers.through(node).give_password().await;
            assert_eq!(half.status, 303, "{}", half.text());
            let csrf = csrf_of(&hers.get(SECOND_FACTOR).await.text());
            tries.push(tokio::spawn(is_let_in(hers, csrf, code.clone())));
        }
        let mut let_in = 0;
        for one in tries {
            let_in += usize::from(one.await.unwrap());
        }
        assert_eq!(let_in, 1, "at once");
        for node in &cluster.nodes {
            let again = ada.elsewhere().through(node).sign_in_with(&code).await;
            assert_eq!(again.status, 401, "afterwards");
        }
    }
}

async fn is_let_in(mut person: Person, csrf: String, code: String) -> bool {
    let form = [("csrf", csrf.as_str()), ("code", code.as_str())];
    person.post(SECOND_FACTOR, &form).await;
    person.is_signed_in()
}

#[tokio::test]
async fn what_is_done_to_a_user_on_one_node_holds_on_all() {
    let cluster = Cluster::with(3, PLAIN).await;
    let [first, second, third] = cluster.nodes.as_slice() else {
        panic!("three nodes")
    };
    first.add_with_password("ada");
    let hers = alone(second.port, "ada").await.unwrap();
    assert_eq!(status(third.port, &hers).await, Some(200));

    first.operator(&["user", "disable", "ada"]);
    for node in &cluster.nodes {
        assert_eq!(status(node.port, &hers).await, Some(401));
        let refused = give_password(node.port, "ada", PASSWORD).await.unwrap();
        assert_eq!(refused.status, 401);
    }
    second.operator(&["user", "enable", "ada"]);
    let hers = alone(third.port, "ada").await.unwrap();
    assert_eq!(status(first.port, &hers).await, Some(200));

    let bearer = third.token("users,read,revoke");
    let body = json!({ "role": "manager" }).to_string();
    let changed = second.call(&bearer, "PATCH", "/v1/users/ada", &body).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    for node in &cluster.nodes {
        let user = node.operator(&["user", "show", "ada"]);
        assert_eq!(user["role"], "manager", "{user}");
        cluster.panel.forget();
        let fresh = alone(node.port, "ada").await.unwrap();
        assert_eq!(status(first.port, &fresh).await, Some(200));
        // Whatever became of the session of before, it has not the old role.
        status(node.port, &hers).await;
        for seen in cluster.panel.seen_with("/echo") {
            assert_eq!(seen.all("x-forwarded-role"), ["manager"]);
        }
    }

    let hers = alone(third.port, "ada").await.unwrap();
    assert_eq!(status(second.port, &hers).await, Some(200));
    first.operator(&["user", "remove", "ada"]);
    for node in &cluster.nodes {
        assert_eq!(status(node.port, &hers).await, Some(401));
        let gone = node.call(&bearer, "GET", "/v1/users/ada", "").await;
        assert_eq!(gone.status, 404);
    }
}

#[tokio::test]
async fn a_token_for_programs_is_good_and_gone_on_all_nodes() {
    let cluster = Cluster::of(3).await;
    let made = cluster.nodes[0].operator(&["token", "add", "ci", "--scope", "read"]);
    let bearer = made["token"].as_str().unwrap();
    crate::support::secrets::keep(bearer);
    for node in &cluster.nodes {
        assert_eq!(node.call(bearer, "GET", "/v1/users", "").await.status, 200);
    }
    cluster.nodes[1].operator(&["token", "remove", "ci"]);
    for node in &cluster.nodes {
        assert_eq!(node.call(bearer, "GET", "/v1/users", "").await.status, 401);
    }
}

#[tokio::test]
async fn a_set_up_link_leads_to_any_node_and_is_good_once() {
    let cluster = Cluster::of(2).await;
    let ada = cluster.nodes[0].person("ada", "operator").await;
    let added = cluster.nodes[0].operator(&["user", "add", "bob", "--role", "operator"]);
    let url = added["setup_url"].as_str().unwrap();
    let link = &url[url.find("/.portcullis").unwrap()..];
    let mut bob = ada.elsewhere();
    bob.name = "bob".to_owned();
    bob.through(&cluster.nodes[1]).set_up(link).await;
    for node in &cluster.nodes {
        assert_eq!(bob.through(node).get("/echo").await.status, 200);
        let again = ada.elsewhere().through(node).get(link).await;
        assert_eq!(again.status, 404, "used");
    }
}

#[tokio::test]
async fn the_audit_is_one_list_that_all_nodes_write() {
    let cluster = Cluster::with(3, PLAIN).await;
    for name in ["ada", "bob", "eve", "dan"] {
        cluster.nodes[0].add_with_password(name);
    }
    let bearer = cluster.nodes[0].token("revoke,read");
    let mut signing_in = Vec::new();
    for round in 0..12 {
        let port = cluster.nodes[round % 3].port;
        let name = ["ada", "bob", "eve"][round % 3];
        signing_in.push(tokio::spawn(alone(port, name)));
        if round % 4 == 3 {
            cluster
                .end_sessions(round % 3, &bearer, "dan")
                .await
                .is_done();
        }
    }
    for one in signing_in {
        assert!(one.await.unwrap().is_some());
    }
    let list = cluster.nodes[0].audit();
    let told = |action: &str| {
        let named = list.iter().filter(|entry| entry["action"] == action);
        named.count()
    };
    assert_eq!(told("session-started"), 12);
    assert_eq!(told("sessions-ended"), 3);
    assert_eq!(told("user-added"), 4);
    for node in &cluster.nodes {
        assert_eq!(node.audit(), list);
    }
}
