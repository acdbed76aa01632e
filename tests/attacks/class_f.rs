//! Signing in: steps skipped, codes replayed and guessed, passwords guessed, users told apart.

use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Answer;
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, Person, csrf_of, give_password};

const WRONG: &str = "elbow tractor plum";
const SECOND_FACTOR: &str = "/.portcullis/second-factor";
const ACCOUNT: &str = "/.portcullis/account";
const SETUP: &str = "/.portcullis/setup";
/// All tests come from one address.
const CROWDED: &str = "[throttle]\nper_address = \"5000/15m\"";

async fn gateway() -> (Panel, Gateway) {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, CROWDED, RULES).await;
    (panel, gateway)
}

async fn guess(gateway: &Gateway, name: &str) -> Answer {
    give_password(gateway.port, name, WRONG).await.unwrap()
}

/// A page without what differs from form to form, and without the name that was typed.
fn text_of(answer: &Answer, name: &str) -> String {
    let page = answer.text();
    page.replace(&csrf_of(&page), "CSRF")
        .replace(&format!("value=\"{name}\""), "value=\"NAME\"")
}

/// That somebody is told to wait, in the head and on the page, and not longer than a window.
fn is_told_to_wait(answer: &Answer) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
    let minutes = format!("Wait {} minutes", seconds.div_ceil(60));
    assert!(answer.text().contains(&minutes), "{}", answer.text());
}

/// Half a sign-in, at a device of its own.
async fn half(person: &Person) -> Person {
    let mut elsewhere = person.elsewhere();
    let answer = elsewhere.give_password().await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    elsewhere
}

/// The way of a set-up link.
fn path_of(added: &serde_json::Value) -> String {
    let url = added["setup_url"].as_str().unwrap();
    url[url.find("/.portcullis").unwrap()..].to_owned()
}

#[tokio::test]
async fn f1_half_a_sign_in_opens_nothing_and_odd_posts_do_not_complete_it() {
    let (panel, gateway) = gateway().await;
    let ada = gateway.person("ada", "administrator").await;
    panel.forget();
    let mut attacker = half(&ada).await;
    let cookie = attacker.cookies["__Host-Http-portcullis-signin"].clone();
    for as_session in [false, true] {
        if as_session {
            let name = "__Host-Http-portcullis".to_owned();
            attacker.cookies.insert(name, cookie.clone());
        }
        for path in [
            "/",
            "/page",
            ACCOUNT,
            "/.portcullis/users",
            "/.portcullis/audit",
        ] {
            let answer = attacker.get(path).await;
            assert!(
                [303, 404].contains(&answer.status),
                "{path}: {}",
                answer.status
            );
        }
        for path in [
            "/account/password",
            "/account/logout-all",
            "/users/ada/password",
        ] {
            let answer = attacker.post(&format!("/.portcullis{path}"), &[]).await;
            assert_ne!(answer.status, 200, "{path}");
        }
        attacker.cookies.remove("__Host-Http-portcullis");
    }
    assert!(panel.seen().is_empty());
    let page = attacker.get(SECOND_FACTOR).await.text();
    let csrf = csrf_of(&page);
    let csrf = ("csrf", csrf.as_str());
    let odd: [&[(&str, &str)]; 5] = [
        &[],
        &[csrf],
        &[csrf, ("code", "")],
        &[csrf, ("code[]", "1")],
        &[csrf, ("code", "1"), ("code", "2")],
    ];
    for fields in odd {
        let answer = attacker.post(SECOND_FACTOR, fields).await;
        assert!(
            (400..500).contains(&answer.status),
            "{fields:?}: {}",
            answer.status
        );
        assert!(!attacker.is_signed_in());
    }
    let enrol = attacker.get("/.portcullis/enrol").await;
    assert_eq!(
        enrol.header("location"),
        Some(SECOND_FACTOR),
        "there is a factor already"
    );
}

#[tokio::test]
async fn f2_f5_codes_count_once_however_they_are_shown() {
    let (_panel, mut gateway) = gateway().await;
    let mut ada = gateway.person("ada", "operator").await;
    for code in [ada.next_code(), ada.recovery_codes.pop().unwrap()] {
        let mut tries = Vec::new();
        for _ in 0..4 {
            let mut attacker = half(&ada).await;
            let code = code.clone();
            tries.push(tokio::spawn(async move {
                let field = [("code", code.as_str())];
                attacker.submit(SECOND_FACTOR, SECOND_FACTOR, &field).await;
                attacker.is_signed_in()
            }));
        }
        let mut signed_in = 0;
        for one in tries {
            signed_in += usize::from(one.await.unwrap());
        }
        assert_eq!(signed_in, 1);
        gateway.restart().await;
        let mut later = half(&ada).await;
        let again = later
            .submit(SECOND_FACTOR, SECOND_FACTOR, &[("code", &code)])
            .await;
        assert_eq!(again.status, 401, "{}", again.text());
    }
    ada.elsewhere().sign_in().await;
    let mut bob = gateway.person("bob", "operator").await.elsewhere();
    let stolen = bob.sign_in_with(&ada.recovery_codes[0]).await;
    assert_eq!(stolen.status, 401, "another's code");
}

#[tokio::test]
async fn f3_codes_are_guessed_ten_times_whatever_the_password_and_the_restarts() {
    let (_panel, mut gateway) = gateway().await;
    let mut ada = gateway.person("ada", "operator").await;
    for _ in 0..2 {
        let mut attacker = half(&ada).await;
        for _ in 0..5 {
            let field = [("code", "000000")];
            let answer = attacker.submit(SECOND_FACTOR, SECOND_FACTOR, &field).await;
            assert_eq!(answer.status, 401, "{}", answer.text());
        }
    }
    for _ in 0..2 {
        let code = ada.recovery_codes.pop().unwrap();
        let answer = ada.elsewhere().sign_in_with(&code).await;
        is_told_to_wait(&answer);
        gateway.restart().await;
    }
    // Who is signed in is not held up.
    assert_eq!(ada.get("/page").await.status, 200);
    let answer = ada.get("/.portcullis/login").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
}

#[tokio::test]
async fn f4_f6_parallel_guesses_are_counted_before_they_are_looked_at_and_tell_nothing() {
    let (_panel, mut gateway) = gateway().await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut seen = Vec::new();
    for name in ["ada", "zoe"] {
        let port = gateway.port;
        let tries: Vec<_> = (0..60)
            .map(|_| tokio::spawn(give_password(port, name, WRONG)))
            .collect();
        let mut refused = Vec::new();
        let mut waits = Vec::new();
        for one in tries {
            let answer = one.await.unwrap().unwrap();
            match answer.status {
                401 => refused.push(text_of(&answer, name)),
                _ => {
                    is_told_to_wait(&answer);
                    waits.push(text_of(&answer, name));
                }
            }
        }
        assert_eq!((refused.len(), waits.len()), (10, 50), "{name}");
        seen.push((refused.pop(), waits.pop()));
    }
    assert_eq!(seen[0], seen[1], "a user and nobody are told the same");
    // The right password is not looked at either, and a restart does not help.
    is_told_to_wait(&ada.elsewhere().give_password().await);
    gateway.restart().await;
    is_told_to_wait(&ada.elsewhere().give_password().await);
    // Who is signed in works on, and changes the own password; that lets her in again.
    assert_eq!(ada.get("/page").await.status, 200);
    let new = "garden ladder and moss";
    let change = |current| {
        [
            ("current_password", current),
            ("new_password", new),
            ("new_password_again", new),
        ]
    };
    let path = "/.portcullis/account/password";
    let wrong = ada.submit(ACCOUNT, path, &change(WRONG)).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text());
    let changed = ada.submit(ACCOUNT, path, &change(PASSWORD)).await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    ada.password = new.to_owned();
    ada.elsewhere().sign_in().await;
}

#[tokio::test]
async fn f6_nobody_and_the_disabled_look_alike() {
    let (_panel, gateway) = gateway().await;
    gateway.person("ada", "operator").await;
    gateway.person("dora", "operator").await;
    gateway.operator(&["user", "disable", "dora"]);
    gateway.operator(&["user", "add", "newt", "--role", "operator"]);
    let expected = text_of(&guess(&gateway, "zoe").await, "zoe");
    for (name, password) in [("ada", WRONG), ("dora", PASSWORD), ("newt", WRONG)] {
        let answer = give_password(gateway.port, name, password).await.unwrap();
        assert_eq!(answer.status, 401, "{name}");
        assert_eq!(text_of(&answer, name), expected, "{name}");
    }
}

#[tokio::test]
async fn f8_other_spellings_of_a_name_are_one_account_with_one_count_or_nobody() {
    let (_panel, gateway) = gateway().await;
    let ada = gateway.person("ada", "operator").await;
    // What nobody sees is not typed on purpose: it is the same account.
    for name in ["ada%20", "%20ada", "ada%E2%80%8B"] {
        let answer = give_password(gateway.port, name, PASSWORD).await.unwrap();
        assert_eq!(answer.status, 303, "{name}: {}", answer.text());
    }
    for name in ["%D0%B0da", "ad%EF%BD%81", "ada%00"] {
        let answer = give_password(gateway.port, name, PASSWORD).await.unwrap();
        assert!((400..500).contains(&answer.status), "{name}");
    }
    for round in 0..5 {
        for name in ["ada", "ADA"] {
            assert_eq!(guess(&gateway, name).await.status, 401, "{round}");
        }
    }
    is_told_to_wait(&guess(&gateway, "AdA").await);
    is_told_to_wait(&ada.elsewhere().give_password().await);
}

#[tokio::test]
async fn f13_f14_a_link_is_good_once_unlocks_and_skips_no_second_factor() {
    let panel = Panel::start().await;
    let few = "[throttle]\nper_user = \"3/15m\"\nper_user_total = 3";
    let gateway = Gateway::with(&panel, few, RULES).await;
    let ada = gateway.person("ada", "operator").await;
    for _ in 0..3 {
        assert_eq!(guess(&gateway, "ada").await.status, 401);
    }
    is_told_to_wait(&ada.elsewhere().give_password().await);
    crate::support::eventually("the lock in the list", || async {
        let user = gateway.operator(&["user", "show", "ada"]);
        (user["locked"] == true).then_some(())
    })
    .await;
    let token = gateway.token("read");
    let audit = gateway.call(&token, "GET", "/v1/audit", "").await;
    assert_eq!(audit.text().matches("user-locked").count(), 1);
    let mut own = ada.elsewhere();
    let password = "garden ladder and moss";
    let set = gateway.command(
        &["user", "password", "ada", "--password-stdin"],
        Some(password),
    );
    assert!(set.status.success(), "{set:?}");
    own.password = password.to_owned();
    own.sign_in().await;
    assert_eq!(gateway.operator(&["user", "show", "ada"])["locked"], false);

    let link = path_of(&gateway.operator(&["user", "add", "bob", "--role", "operator"]));
    let mut tries = Vec::new();
    for _ in 0..4 {
        let (mut browser, link) = (own.elsewhere(), link.clone());
        tries.push(tokio::spawn(async move {
            let fields = [("password", PASSWORD), ("password_again", PASSWORD)];
            browser.get(&link).await;
            let form = browser.get(SETUP).await;
            if form.status != 200 {
                return false;
            }
            let csrf = csrf_of(&form.text());
            let all = [&[("csrf", csrf.as_str())], fields.as_slice()].concat();
            browser.post(SETUP, &all).await.status == 303
        }));
    }
    let mut won = 0;
    for one in tries {
        won += usize::from(one.await.unwrap());
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn f17_a_fresh_gateway_lets_nobody_in() {
    let (panel, gateway) = gateway().await;
    for name in ["admin", "administrator", "root", "portcullis"] {
        for password in [name, "password", "", PASSWORD] {
            let answer = give_password(gateway.port, name, password).await.unwrap();
            assert!((400..500).contains(&answer.status), "{name} {password}");
        }
    }
    assert!(panel.seen().is_empty());
}
