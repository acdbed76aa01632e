//! A session that no user ended: the audit list has an entry with the reason, and the browser that
//! had it sees why, on the login page and in the problem document, and nothing else ever is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Answer;
use crate::support::panel::Panel;
use crate::support::person::with_the_password_alone as alone;

const ALONE: &str = "[second_factor]\nrequired = false\n";

async fn asked(gateway: &Gateway, token: &str, target: &str, accept: &str) -> Answer {
    let cookie = format!("Cookie: __Host-Http-portcullis={token}");
    let accept = format!("Accept: {accept}");
    let mut wire = gateway.connect().await;
    let fields = [
        cookie.as_str(),
        &accept,
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: none",
    ];
    let fields = match accept.contains("html") {
        true => &fields[..],
        false => &fields[..2],
    };
    wire.get(target, fields).await
}

/// What the login page says to somebody who still shows this token.
async fn page_says(gateway: &Gateway, token: &str) -> Option<String> {
    let page = asked(gateway, token, "/.portcullis/login?next=/page", "text/html").await;
    assert_eq!(page.status, 200, "{}", page.text());
    let text = page.text();
    let (_, notice) = text.split_once("class=\"notice\">")?;
    Some(notice.split('<').next().unwrap().to_owned())
}

/// Waits until the token opens nothing; the reason in the answer to a program then.
async fn document(gateway: &Gateway, token: &str) -> Value {
    let answer = eventually("the session to end", async || {
        let answer = asked(gateway, token, "/echo", "*/*").await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    answer.json()
}

/// Waits until both say so: the row is removed within a second.
async fn is_told(gateway: &Gateway, token: &str, word: &str, clause: &str) {
    eventually(&format!("{word} to be told"), async || {
        let document = document(gateway, token).await;
        (document["ended_because"] == word).then_some(())
    })
    .await;
    let document = document(gateway, token).await;
    let detail = document["detail"].as_str().unwrap();
    let begins = format!("This session ended because {clause}, on 20");
    assert!(detail.starts_with(&begins), "{detail}");
    let at = document["ended_at"].as_str().unwrap();
    assert!(at.len() == 20 && at.ends_with('Z'), "{at}");
    let day = at.split('T').next().unwrap();
    assert!(detail.contains(day), "{detail} {at}");
    let page = page_says(gateway, token).await.unwrap();
    assert!(page.starts_with(&begins), "{page}");
}

/// Entries of the gateway's own about somebody's sessions that ended.
fn entries(gateway: &Gateway, name: &str) -> Vec<String> {
    gateway
        .audit()
        .into_iter()
        .filter(|entry| entry["subject"] == name && entry["action"] == "session-ended")
        .map(|entry| entry["detail"].as_str().unwrap().to_owned())
        .collect()
}

fn written(gateway: &Gateway, name: &str, clause: &str) -> usize {
    let all = entries(gateway, name);
    all.iter().filter(|detail| detail.contains(clause)).count()
}

/// Waits for the entry, and for no second one.
async fn is_written_once(gateway: &Gateway, clause: &str) {
    eventually("an entry", async || {
        (written(gateway, "ada", clause) > 0).then_some(())
    })
    .await;
    assert_eq!(written(gateway, "ada", clause), 1);
}

const MOST: &str = "there were more sessions than one user may have, and this was the oldest";
const IDLE: &str = "it was not used for too long";
const AGE: &str = "it had reached the greatest age that a session may have";
const REPLACED: &str = "a later sign-in in the same browser took its place";
const OTHER: &str = "another user signed in in the same browser";
const SHORTER: &str = "sessions may no longer last as long as before";
const FACTOR: &str = "a second factor is needed now";

#[tokio::test]
async fn the_one_over_the_limit_is_told_and_a_made_up_token_is_not() {
    let panel = Panel::start().await;
    let sections = format!("{ALONE}[session]\nmax_per_user = 2\n");
    let mut gateway = Gateway::with(&panel, &sections, RULES).await;
    gateway.add_with_password("ada");
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(alone(gateway.port, "ada").await.unwrap());
    }
    is_told(&gateway, &tokens[0], "too-many", MOST).await;
    is_written_once(&gateway, MOST).await;
    // Durable.
    gateway.kill();
    gateway.start().await;
    is_told(&gateway, &tokens[0], "too-many", MOST).await;
    // A token that was never one, and one that is none.
    for made_up in ["A".repeat(43), "nonsense".to_owned(), String::new()] {
        let document = document(&gateway, &made_up).await;
        assert_eq!(document["detail"], "this request shows no live session");
        assert!(document["ended_because"].is_null(), "{document}");
        assert_eq!(page_says(&gateway, &made_up).await, None);
    }
    for live in &tokens[1..] {
        assert_eq!(asked(&gateway, live, "/echo", "*/*").await.status, 200);
    }
    // A user who signs in again sees it no more.
    let token = alone(gateway.port, "ada").await.unwrap();
    assert_eq!(asked(&gateway, &token, "/echo", "*/*").await.status, 200);
}

#[tokio::test]
async fn idle_time_and_age_are_told() {
    let panel = Panel::start().await;
    let idle = format!("{ALONE}[session]\nidle_timeout = \"2s\"\n");
    let gateway = Gateway::with(&panel, &idle, RULES).await;
    gateway.add_with_password("ada");
    let token = alone(gateway.port, "ada").await.unwrap();
    // Without asking before: that would be use.
    is_written_once(&gateway, IDLE).await;
    is_told(&gateway, &token, "idle", IDLE).await;

    let old = format!("{ALONE}[session]\nlifetime = \"2s\"\nidle_timeout = \"1s\"\n");
    let gateway = Gateway::with(&panel, &old, RULES).await;
    gateway.add_with_password("ada");
    let token = alone(gateway.port, "ada").await.unwrap();
    // It is used all the time, so that it ends by its age.
    is_told(&gateway, &token, "lifetime", AGE).await;
    is_written_once(&gateway, AGE).await;
}

#[tokio::test]
async fn a_later_sign_in_in_the_same_browser_is_told() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", RULES).await;
    let mut ada = gateway.person("ada", "operator").await;
    let former = ada.token().to_owned();
    ada.step_up().await;
    let hers = ada.token().to_owned();
    is_told(&gateway, &former, "replaced", REPLACED).await;
    is_written_once(&gateway, REPLACED).await;

    // In the same browser, somebody else: at once.
    let boris = gateway.person("boris", "operator").await;
    let mut shared = boris.elsewhere();
    shared.cookies = ada.cookies.clone();
    shared.step_up().await;
    assert_ne!(shared.token(), hers);
    is_told(&gateway, &hers, "other-user", OTHER).await;
    is_written_once(&gateway, OTHER).await;
}

#[tokio::test]
async fn a_reload_that_ends_sessions_is_told_once_with_its_reason() {
    let panel = Panel::start().await;
    let sections = format!("{ALONE}[session]\nidle_timeout = \"1h\"\n");
    let gateway = Gateway::with(&panel, &sections, RULES).await;
    gateway.add_with_password("ada");
    gateway.add_with_password("bob");
    let token = alone(gateway.port, "ada").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    gateway.rewrite("idle_timeout = \"1h\"", "idle_timeout = \"1s\"");
    gateway.hang_up();
    is_written_once(&gateway, SHORTER).await;
    is_told(&gateway, &token, "shorter-limits", SHORTER).await;

    gateway.rewrite("idle_timeout = \"1s\"", "idle_timeout = \"1h\"");
    gateway.hang_up();
    eventually("longer limits", async || {
        let changed = "the configuration has changed";
        (gateway.log().matches(changed).count() == 2).then_some(())
    })
    .await;
    let (first, second) = (
        alone(gateway.port, "bob").await.unwrap(),
        alone(gateway.port, "bob").await.unwrap(),
    );
    gateway.rewrite("required = false", "required = true");
    gateway.hang_up();
    for token in [&first, &second] {
        is_told(&gateway, token, "second-factor", FACTOR).await;
    }
    // Both in one entry or in one each, and none twice.
    let all = entries(&gateway, "bob");
    let told: usize = all
        .iter()
        .map(|detail| {
            if detail.starts_with("2 sessions") {
                2
            } else {
                1
            }
        })
        .sum();
    assert_eq!(told, 2, "{all:?}");
}

#[tokio::test]
async fn what_somebody_ended_is_told_with_the_act() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, ALONE, RULES).await;
    let mut told = BTreeSet::new();
    for (name, act, word) in [
        ("ada", vec!["user", "logout", "ada"], "every-session"),
        ("bob", vec!["user", "disable", "bob"], "account"),
    ] {
        gateway.add_with_password(name);
        let token = alone(gateway.port, name).await.unwrap();
        gateway.operator(&act);
        let document = document(&gateway, &token).await;
        assert_eq!(document["ended_because"], word, "{document}");
        told.insert(page_says(&gateway, &token).await.unwrap());
        assert_eq!(entries(&gateway, name).len(), 0, "the act has an entry");
    }
    gateway.add_with_password("kim");
    let token = alone(gateway.port, "kim").await.unwrap();
    let revoke = gateway.token("revoke,read");
    let path = "/v1/users/kim/password-changed";
    let changed = gateway.call(&revoke, "POST", path, "{}").await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    is_told(&gateway, &token, "password", "the password was changed").await;

    let token = alone(gateway.port, "kim").await.unwrap();
    let list = gateway.call(&revoke, "GET", "/v1/sessions", "").await;
    let id = list.json()[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/sessions/{id}");
    let ended = gateway.call(&revoke, "DELETE", &path, "").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    let clause = "its user, an administrator or a program ended it";
    is_told(&gateway, &token, "ended", clause).await;
}

#[tokio::test]
async fn where_the_store_cannot_be_asked_nothing_is_said() {
    let panel = Panel::start().await;
    let sections = format!("{ALONE}[session]\nmax_per_user = 1\n");
    let gateway = Gateway::with(&panel, &sections, RULES).await;
    gateway.add_with_password("ada");
    let first = alone(gateway.port, "ada").await.unwrap();
    alone(gateway.port, "ada").await.unwrap();
    is_told(&gateway, &first, "too-many", MOST).await;
    let taken = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                 c.execute('ALTER TABLE ended_sessions RENAME TO elsewhere'); c.commit()";
    let database = gateway.data_dir().join("portcullis.db");
    let done = std::process::Command::new("python3")
        .args(["-c", taken])
        .arg(database)
        .status();
    assert!(done.unwrap().success());
    let document = document(&gateway, &first).await;
    assert_eq!(document["detail"], "this request shows no live session");
    assert_eq!(page_says(&gateway, &first).await, None);
}
