//! Sign-ins in numbers: what races, what is spent once, and what a crowd does to those inside.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::{Answer, Wire};
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, csrf_of, give_password, session_in};

/// What most requests of somebody inside take at most, whatever is going on at the door. Many times
/// what they take, for slow machines; a fraction of what the crowd waits.
const INSIDE: Duration = Duration::from_millis(100);

/// A gateway that asks ada for her password alone.
async fn scene() -> (Panel, Gateway) {
    let panel = Panel::start().await;
    // A crowd from one address, which is not what is tried here.
    let sections = "[second_factor]\nrequired = false\n[password]\nhistory = 0\n\
                    [throttle]\nper_address = \"1000/15m\"";
    let gateway = Gateway::with(&panel, sections, RULES).await;
    gateway.add_with_password("ada");
    (panel, gateway)
}

async fn status(port: u16, session: &str) -> u16 {
    let cookie = format!("Cookie: __Host-Http-portcullis={session}");
    let mut wire = Wire::connect(port).await;
    wire.get("/echo", &[&cookie]).await.status
}

#[tokio::test]
async fn a_sign_in_that_races_the_change_of_its_password_is_no_session() {
    let (_panel, gateway) = scene().await;
    let token = gateway.token("users");
    let port = gateway.port;
    let passwords = [PASSWORD, "elbow tractor plum"];
    let mut begun = 0;
    for round in 0..40 {
        let (old, new) = (passwords[round % 2], passwords[(round + 1) % 2]);
        let mut racing = JoinSet::new();
        for late in 0..4 {
            racing.spawn(async move {
                tokio::time::sleep(Duration::from_millis(late * 11)).await;
                give_password(port, "ada", old).await
            });
        }
        tokio::time::sleep(Duration::from_millis((round as u64 * 7) % 90)).await;
        let body = json!({ "password": new }).to_string();
        let path = "/v1/users/ada/password";
        let answer = gateway.call(&token, "PUT", path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answers: Vec<Answer> = racing.join_all().await.into_iter().flatten().collect();
        assert_eq!(answers.len(), 4);
        for session in answers.iter().filter_map(session_in) {
            begun += 1;
            assert_eq!(status(port, &session).await, 401, "round {round}");
        }
    }
    println!("{begun} of 160 sign-ins began a session before the password changed; none lives");
    assert!(begun > 0, "they all came late");
}

#[tokio::test]
async fn a_recovery_code_signs_in_once_however_many_try_it_at_once() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let code = ada.recovery_codes.pop().unwrap();
    let mut racing = JoinSet::new();
    for _ in 0..10 {
        let mut elsewhere = ada.elsewhere();
        let step = elsewhere.give_password().await;
        let step = step.header("location").unwrap().to_owned();
        let csrf = csrf_of(&elsewhere.get(&step).await.text());
        let code = code.clone();
        racing.spawn(async move {
            let form = [("csrf", csrf.as_str()), ("code", code.as_str())];
            elsewhere.post("/.portcullis/second-factor", &form).await;
            elsewhere.is_signed_in()
        });
    }
    let outcomes = racing.join_all().await;
    assert_eq!(outcomes.iter().filter(|signed_in| **signed_in).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_told_to_come_again_and_delays_nobody_inside() {
    let (_panel, gateway) = scene().await;
    let port = gateway.port;
    let inside = give_password(port, "ada", PASSWORD).await.unwrap();
    let cookie = format!(
        "Cookie: __Host-Http-portcullis={}",
        session_in(&inside).unwrap()
    );
    let mut crowd = JoinSet::new();
    for stranger in 0..150 {
        let name = format!("stranger{stranger}");
        crowd.spawn(async move { give_password(port, &name, PASSWORD).await });
    }
    let mut wire = gateway.connect().await;
    let (mut inside, mut refused, mut busy) = (Vec::new(), 0, 0);
    while !crowd.is_empty() {
        let begun = Instant::now();
        assert_eq!(wire.get("/echo", &[&cookie]).await.status, 200);
        inside.push(begun.elapsed());
        while let Some(answer) = crowd.try_join_next() {
            let answer = answer.unwrap().expect("an answer");
            let wait = answer.header("retry-after").map(|text| text.parse::<u32>());
            match (answer.status, wait) {
                (401, None) => refused += 1,
                (503, Some(Ok(1..))) => busy += 1,
                other => panic!("{other:?}: {}", answer.text()),
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    inside.sort();
    let (usual, slowest) = (inside[inside.len() / 2], inside[inside.len() - 1]);
    println!(
        "of 150, {refused} refused and {busy} told to come again; {} requests inside, half of them \
         within {usual:?}, all within {slowest:?}",
        inside.len()
    );
    assert!(refused > 0 && busy > 0, "{refused}, {busy}");
    assert!(usual < INSIDE, "{usual:?}");
}
