//! Guesses at passwords and codes: what they reveal about names, whom they keep out, and where they are reported.

use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Answer;
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, Person, give_password, session_in};
use crate::support::secrets;

const WRONG: &str = "elbow tractor plum";
const DEVICE: &str = "__Host-Http-portcullis-device";
const ACCOUNT: &str = "/.portcullis/account";

async fn gateway(throttle: &str) -> (Panel, Gateway) {
    let panel = Panel::start().await;
    let sections =
        format!("[log]\nformat = \"json\"\n[throttle]\nper_address = \"5000/15m\"\n{throttle}");
    let gateway = Gateway::with(&panel, &sections, RULES).await;
    (panel, gateway)
}

async fn guess(gateway: &Gateway, name: &str, password: &str) -> u16 {
    let answer = give_password(gateway.port, name, password).await;
    answer.unwrap().status
}

/// Entries of failures, once there are as many.
async fn told(gateway: &Gateway, least: usize) -> Vec<Value> {
    let kinds = ["sign-in-failed", "guessing"];
    eventually("entries of failures", async || {
        let mut list = gateway.audit();
        list.retain(|entry| kinds.contains(&entry["action"].as_str().unwrap_or_default()));
        (list.len() >= least).then_some(list)
    })
    .await
}

async fn log_out(person: &mut Person) {
    let page = person.get(ACCOUNT).await.text();
    let csrf = crate::support::person::csrf_of(&page);
    let left = person.post("/.portcullis/logout", &[("csrf", &csrf)]).await;
    assert_eq!(left.status, 303, "{}", left.text());
}

/// How a person fares with the right password in a browser as it is.
async fn fares(person: &mut Person) -> Answer {
    let answer = person.give_password().await;
    if let Some(token) = session_in(&answer) {
        secrets::keep(&token);
    }
    answer
}

#[tokio::test]
async fn a_restart_tells_no_user_from_a_name_that_nobody_has() {
    let (_panel, mut gateway) = gateway("per_user = \"3/1s\"\nper_user_total = 6").await;
    let _ada = gateway.person("ada", "operator").await;
    let names = ["ada", "zoe", "Zoe", "%C5%BFam", "a%20b"];
    let mut seen = vec![Vec::new(); names.len()];
    for round in 0..3 {
        for (name, seen) in names.iter().zip(&mut seen) {
            for _ in 0..3 {
                seen.push(guess(&gateway, name, WRONG).await);
            }
        }
        if round == 0 {
            // While the windows last, and with rows that are half full.
            gateway.restart().await;
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
        if round == 1 {
            gateway.kill();
            gateway.start().await;
        }
    }
    // "Zoe" is "zoe": it shares the six.
    let row = [401, 401, 401, 401, 401, 401, 429, 429, 429];
    for at in [0, 3, 4] {
        assert_eq!(seen[at], row, "{}", names[at]);
    }
    let of_zoe = seen[1].iter().chain(&seen[2]);
    assert_eq!(of_zoe.filter(|status| **status == 401).count(), 6);
    for name in names {
        assert_eq!(guess(&gateway, name, PASSWORD).await, 429, "{name}");
    }
}

#[tokio::test]
async fn strangers_do_not_keep_somebody_out_of_a_browser_that_is_known() {
    let (panel, mut gateway) = gateway("per_user = \"4/15m\"").await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut bob = gateway.person("bob", "operator").await;
    let before = ada.cookies[DEVICE].clone();
    for person in [&mut ada, &mut bob] {
        // The panel sees nothing of it, and cannot set it.
        person.get("/page").await;
        log_out(person).await;
        assert!(!person.is_signed_in() && person.cookies.contains_key(DEVICE));
    }
    let seen = format!("{:?}", panel.seen());
    assert!(
        !seen.contains(&before) && !seen.contains("portcullis-device"),
        "{seen}"
    );
    for _ in 0..6 {
        guess(&gateway, "ada", WRONG).await;
    }
    for restarted in [false, true] {
        if restarted {
            gateway.restart().await;
        }
        // Without a device, with one of another user, with one that was changed, with two of them.
        let mut tampered = before.clone().into_bytes();
        tampered[30] = if tampered[30] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        let two = format!("{before}; {DEVICE}={}", bob.cookies[DEVICE]);
        let hints = [
            None,
            Some(bob.cookies[DEVICE].clone()),
            Some(tampered),
            Some(two),
        ];
        for hint in hints {
            let mut stranger = ada.elsewhere();
            if let Some(hint) = hint {
                stranger.cookies.insert(DEVICE.to_owned(), hint);
            }
            assert_eq!(
                fares(&mut stranger).await.status,
                429,
                "{:?}",
                stranger.cookies
            );
        }
        // In her own browser she has no wait, and wrong ones there are her own.
        assert_eq!(fares(&mut ada).await.status, 303);
    }
    // It opens nothing by itself.
    let mut thief = ada.elsewhere();
    thief.cookies.insert(DEVICE.to_owned(), before.clone());
    assert_eq!(thief.get(ACCOUNT).await.status, 303);
    assert_eq!(thief.get("/page").await.status, 303);
    // And is gone with her sessions.
    gateway.operator(&["user", "logout", "ada"]);
    assert_eq!(fares(&mut ada).await.status, 429);
}

#[tokio::test]
async fn a_panel_can_neither_set_nor_delete_the_cookie_of_a_device() {
    let panel = Panel::start().await;
    panel.answers_at("/page", format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: {DEVICE}=x; Secure; Path=/\r\nSet-Cookie: {DEVICE}=; Max-Age=0; Secure; Path=/\r\n\
         Set-Cookie: a=1\r\nContent-Length: 0\r\n\r\n"
    ));
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let before = ada.cookies[DEVICE].clone();
    let answer = ada.get("/page").await;
    assert_eq!(answer.all("set-cookie"), ["a=1"]);
    assert_eq!(ada.cookies[DEVICE], before);
}

#[tokio::test]
async fn failures_are_told_with_name_address_and_number_and_no_password_among_them() {
    let (_panel, gateway) = gateway("per_user = \"5/15m\"").await;
    gateway.person("ada", "operator").await;
    // Typed into the wrong field; the log of the gateway is searched for it when it goes.
    let typed = "Marble-Gondola 7 harbour";
    secrets::keep(typed);
    assert_eq!(
        guess(&gateway, "Marble-Gondola%207%20harbour", "x").await,
        401
    );
    for _ in 0..9 {
        guess(&gateway, "ada", WRONG).await;
    }
    let entries = told(&gateway, 3).await;
    assert_eq!(entries.len(), 3, "{entries:#?}");
    let list = serde_json::to_string(&gateway.audit()).unwrap();
    for part in ["Marble", "ondola", "harbour", WRONG] {
        assert!(!list.contains(part), "{part} in {list}");
    }
    let of = |kind: &str, subject: Value| {
        let found = entries.iter().find(|entry| {
            entry["action"] == kind && entry.get("subject").unwrap_or(&Value::Null) == &subject
        });
        let entry = found.unwrap_or_else(|| panic!("no {kind} of {subject} in {entries:#?}"));
        assert_eq!(entry["request"].as_str().unwrap().len(), 8, "{entry}");
        entry["detail"].as_str().unwrap().to_owned()
    };
    for detail in [
        of("sign-in-failed", Value::Null),
        of("sign-in-failed", "ada".into()),
        of("guessing", "ada".into()),
    ] {
        assert!(detail.contains("127.0.0.1"), "{detail}");
    }
    // The event log says the same.
    let log = gateway.log();
    let line = log
        .lines()
        .find(|line| line.contains("failed sign-in: a wrong password") && line.contains("\"ada\""));
    let line: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{log}"))).unwrap();
    assert_eq!(
        (&line["client"], &line["level"]),
        (&"127.0.0.1".into(), &"WARN".into())
    );
    // A right password with a wrong code says that somebody has the password.
    let mut eve = gateway.person("eve", "operator").await.elsewhere();
    assert_eq!(eve.sign_in_with("000000").await.status, 401);
    gateway.operator(&["user", "disable", "eve"]);
    assert_eq!(fares(&mut eve.elsewhere()).await.status, 401);
    let entries = told(&gateway, 5).await;
    for words in ["a right password and a wrong code", "a disabled account"] {
        let found = entries.iter().filter(|entry| {
            entry["subject"] == "eve" && entry["detail"].as_str().unwrap().contains(words)
        });
        assert_eq!(found.count(), 1, "{words}: {entries:#?}");
    }
}
#[tokio::test]
async fn people_are_managed_from_the_networks_of_administrators() {
    let panel = Panel::start().await;
    let lines = "administrators_from = [\"10.0.0.0/8\", \"fd00::/8\"]\n";
    let mut gateway = Gateway::with_lines(&panel, lines).await;
    let mut ada = gateway.person("ada", "administrator").await;
    gateway.person("bob", "operator").await;
    let users = "/.portcullis/users";
    for page in [users, "/.portcullis/users/bob", "/.portcullis/audit"] {
        let answer = ada.get(page).await;
        assert_eq!(answer.status, 403, "{page}");
        assert!(answer.text().contains("127.0.0.1"), "{}", answer.text());
    }
    for act in ["password", "disable", "remove", "role"] {
        let answer = ada.post(&format!("{users}/bob/{act}"), &[]).await;
        assert_eq!(answer.status, 403, "{act}");
    }
    assert_eq!(ada.get(ACCOUNT).await.status, 200);
    // From the right network, with a sign-in that is too old: to the login page and back.
    gateway.rewrite("\"10.0.0.0/8\"", "\"127.0.0.0/8\"");
    gateway.rewrite(
        "administrators_from",
        "administrators_reauthenticate = \"1s\"\nadministrators_from",
    );
    gateway.restart().await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let answer = ada.get(users).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let login = answer.header("location").unwrap().to_owned();
    assert!(login.starts_with("/.portcullis/login?next="), "{login}");
    assert_eq!(
        ada.get(&login).await.status,
        200,
        "it does not lead in a circle"
    );
}
