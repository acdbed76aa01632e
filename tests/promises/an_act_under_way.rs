//! Nothing that is under way by a session or a token is carried out once that has ended, however it ended.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::{Answer, NAVIGATION, Wire};
use crate::support::panel::Panel;
use crate::support::person::{Person, csrf_of, give_password};
use crate::support::secrets;

const OTHER: &str = "gravel anthem pelican";
const ACCOUNT: &str = "/.portcullis/account";
const USERS: &str = "/.portcullis/users";

/// One session a user, so that a sign-in elsewhere ends the one before.
const ONE_EACH: &str = "[session]\nmax_per_user = 1\n[throttle]\nper_address = \"5000/15m\"\n";

async fn gateway(panel: &Panel, sections: &str) -> Gateway {
    secrets::keep(OTHER);
    Gateway::with(panel, sections, RULES).await
}

/// Sends all of a form but its last byte, which is left to be sent.
async fn begin(person: &mut Person, page: &str, action: &str, fields: &[(&str, &str)]) -> Wire {
    let shown = person.get(page).await;
    assert_eq!(shown.status, 200, "{page}: {}", shown.text());
    let mut body = format!("csrf={}", csrf_of(&shown.text()));
    for (name, value) in fields {
        body += &format!("&{name}={}", value.replace(' ', "+"));
    }
    let length = body.len() + 2;
    let mut wire = person.connect().await;
    let head = format!(
        "POST {action} HTTP/1.1\r\nHost: {}\r\n{}\r\nAccept: text/html\r\n{NAVIGATION}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}&",
        person.host(),
        person.cookie(),
    );
    wire.send(head).await;
    wire
}

async fn finish(mut wire: Wire) -> Option<Answer> {
    wire.send("x").await;
    wire.try_answer(false).await
}

/// What an act by a dead session is answered: to sign in, nothing on a connection that was cut, or that too
/// many passwords are being checked.
fn is_not_done(what: &str, answer: Option<&Answer>) {
    if let Some(answer) = answer {
        let location = answer.header("location").unwrap_or_default();
        let leads_away = answer.status == 303 && location.starts_with("/.portcullis/login");
        assert!(
            leads_away || [401, 503].contains(&answer.status),
            "{what}: {} {location}",
            answer.status
        );
    }
}

/// Ten sign-ins whose passwords are being checked: the next one waits for its turn.
fn ten_verifications(port: u16) -> Vec<JoinHandle<()>> {
    let verify = move || async move {
        give_password(port, "bob", "not his password").await;
    };
    (0..10).map(|_| tokio::spawn(verify())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_not_changed_by_a_session_that_ended_while_passwords_were_checked() {
    let panel = Panel::start().await;
    let throttle = "[throttle]\nper_address = \"5000/15m\"\nper_user = \"5000/15m\"\n";
    let gateway = gateway(&panel, throttle).await;
    gateway.add_with_password("bob");
    let mut ada = gateway.person("ada", "operator").await;
    let bearer = gateway.token("revoke,read");
    let mut late = 0;
    for round in 0..4_u64 {
        let list = gateway
            .call(&bearer, "GET", "/v1/users/ada/sessions", "")
            .await
            .json();
        let id = list[0]["id"].as_str().unwrap().to_owned();
        let fields = [
            ("current_password", ada.password.clone()),
            ("new_password", OTHER.to_owned()),
            ("new_password_again", OTHER.to_owned()),
        ];
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let wire = begin(&mut ada, ACCOUNT, &format!("{ACCOUNT}/password"), &fields).await;
        let busy = ten_verifications(gateway.port);
        tokio::time::sleep(Duration::from_millis(20 + 30 * round)).await;
        let changing = tokio::spawn(finish(wire));
        tokio::time::sleep(Duration::from_millis(20)).await;
        let path = format!("/v1/sessions/{id}");
        let ended = gateway.call(&bearer, "DELETE", &path, "").await;
        assert_eq!(ended.status, 200, "{}", ended.text());
        late += usize::from(!changing.is_finished());
        let answer = changing.await.unwrap();
        is_not_done("a change of password", answer.as_ref());
        for task in busy {
            task.await.unwrap();
        }
        let new = give_password(gateway.port, "ada", OTHER).await.unwrap();
        assert_eq!(new.status, 401, "round {round}: it was changed");
        ada.cookies.clear();
        ada.sign_in().await;
    }
    println!("{late} of 4 changes of a password were under way when the session had ended");
    assert!(late > 0, "none was under way");
}

/// How a session ends.
#[derive(Debug, Clone, Copy)]
enum End {
    ByCall,
    LoggedOut,
    SignedInElsewhere,
    TimedOut,
}

async fn end(how: End, gateway: &Gateway, boss: &mut Person, bearer: &str) {
    match how {
        End::ByCall => {
            let ended = gateway
                .call(bearer, "DELETE", "/v1/users/boss/sessions", "")
                .await;
            assert_eq!(ended.status, 200, "{}", ended.text());
        }
        End::LoggedOut => {
            // In another tab of the same browser.
            let left = boss.submit(ACCOUNT, "/.portcullis/logout", &[]).await;
            assert_eq!(left.status, 303, "{}", left.text());
        }
        End::SignedInElsewhere => {
            let mut elsewhere = boss.elsewhere();
            elsewhere.sign_in().await;
            boss.recovery_codes.pop();
        }
        End::TimedOut => {
            let list = "/v1/users/boss/sessions";
            eventually("her session to run out", async || {
                let left = gateway.call(bearer, "GET", list, "").await.json();
                left.as_array()?.is_empty().then_some(())
            })
            .await;
        }
    }
}

/// What is as it was, or not.
fn state(gateway: &Gateway) -> String {
    let users = gateway.operator(&["user", "list"]);
    let told = |user: &serde_json::Value| {
        format!(
            "{} {} {} {}",
            user["name"], user["role"], user["email"], user["disabled"]
        )
    };
    let users: Vec<String> = users.as_array().unwrap().iter().map(told).collect();
    users.join("\n")
}

async fn no_act_is_done(sections: &str, how: End) {
    let panel = Panel::start().await;
    let gateway = gateway(&panel, sections).await;
    let mut boss = gateway.person("boss", "administrator").await;
    gateway.add_with_password("bob");
    let bearer = gateway.token("revoke,read");
    let before = state(&gateway);
    let (bob, bobs) = (format!("{USERS}/bob"), |act| format!("{USERS}/bob/{act}"));
    let newcomer = [("user", "eve"), ("role", "administrator"), ("email", "")];
    let begun = [
        ("add", begin(&mut boss, USERS, USERS, &newcomer).await),
        (
            "role",
            begin(&mut boss, &bob, &bobs("role"), &[("role", "administrator")]).await,
        ),
        (
            "disable",
            begin(&mut boss, &bob, &bobs("disable"), &[]).await,
        ),
        (
            "email",
            begin(&mut boss, &bob, &bobs("email"), &[("email", "x@y.example")]).await,
        ),
        (
            "password",
            begin(
                &mut boss,
                &bob,
                &bobs("password"),
                &[("new_password", OTHER)],
            )
            .await,
        ),
        (
            "link",
            begin(&mut boss, &bob, &bobs("setup-link"), &[]).await,
        ),
        ("remove", begin(&mut boss, &bob, &bobs("remove"), &[]).await),
    ];
    end(how, &gateway, &mut boss, &bearer).await;
    for (what, wire) in begun {
        is_not_done(&format!("{what} {how:?}"), finish(wire).await.as_ref());
    }
    assert_eq!(state(&gateway), before, "{how:?}");
    let new = give_password(gateway.port, "bob", OTHER).await.unwrap();
    assert_eq!(new.status, 401, "{how:?}");
    let list = gateway.operator(&["audit", "list"]);
    let made = |entry: &&serde_json::Value| entry["action"] == "setup-link-made";
    assert_eq!(
        list.as_array().unwrap().iter().filter(made).count(),
        0,
        "{how:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_is_carried_out_once_its_session_was_ended_by_a_call() {
    no_act_is_done(ONE_EACH, End::ByCall).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_is_carried_out_once_its_session_has_logged_out() {
    no_act_is_done(ONE_EACH, End::LoggedOut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_is_carried_out_once_its_session_gave_way_to_another() {
    no_act_is_done(ONE_EACH, End::SignedInElsewhere).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_form_is_carried_out_once_its_session_has_run_out() {
    let short = "[session]\nlifetime = \"15s\"\nidle_timeout = \"15s\"\n";
    no_act_is_done(short, End::TimedOut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_removed_while_its_body_was_read_adds_no_one() {
    let panel = Panel::start().await;
    let gateway = gateway(&panel, "").await;
    for (scopes, removed) in [
        ("users,administrators", "remove"),
        ("users,administrators", "rotate"),
    ] {
        let name = format!("ci-{removed}");
        let made = gateway.operator(&["token", "add", &name, "--scope", scopes]);
        let bearer = made["token"].as_str().unwrap().to_owned();
        secrets::keep(&bearer);
        let body = r#"{"name": "eve", "role": "administrator"}"#;
        let (first, last) = body.split_at(body.len() - 1);
        let mut wire = Wire::connect(gateway.management_port).await;
        wire.send(format!(
            "POST /v1/users HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {bearer}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{first}",
            body.len()
        ))
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        match removed {
            "remove" => gateway.operator(&["token", "remove", &name]),
            _ => {
                let told = gateway.operator(&["token", "rotate", &name, "--overlap", "0s"]);
                secrets::keep(told["token"].as_str().unwrap());
                told
            }
        };
        wire.send(last).await;
        let answer = wire.answer().await;
        assert_eq!(answer.status, 401, "{removed}: {}", answer.text());
        assert!(
            answer.text().contains("nothing was changed"),
            "{}",
            answer.text()
        );
        assert!(!state(&gateway).contains("eve"), "{removed}");
    }
}
