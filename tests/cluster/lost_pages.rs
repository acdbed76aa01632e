//! Forms whose change is written and whose answer the gateway never got: the page says that it is not certain,
//! and the same form again, or what the page offers, ends well, on another node as well.

use crate::support::cluster::Cluster;
use crate::support::http1::Answer;
use crate::support::lost::{lost, server};
use crate::support::person::{Person, csrf_of};
use crate::support::secrets;

const ACCOUNT: &str = "/.portcullis/account";
const USERS: &str = "/.portcullis/users";
const LOGIN: &str = "/.portcullis/login";
const OTHER: &str = "gravel anthem pelican";

/// An act on an account: its path, its fields, and what the audit list calls it.
type Act = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// Two nodes over a server that loses answers, with a second factor for everybody.
async fn cluster() -> Cluster {
    secrets::keep(OTHER);
    let sections = "[throttle]\nper_address = \"5000/15m\"\n";
    Cluster::over(server(), 2, sections).await
}

fn says(answer: &Answer, words: &[&str]) {
    let text = answer.text();
    assert_eq!(answer.status, 503, "{text}");
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Nothing was changed"), "{text}");
}

fn leads_to<'a>(answer: &'a Answer, path: &str) -> &'a str {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let location = answer.header("location").unwrap();
    assert!(location.starts_with(path), "{location}");
    location
}

/// A form that was filled in, as the browser sends it, and sends it again.
struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Form {
    async fn of(person: &mut Person, page: &str, action: &str, fields: &[(&str, &str)]) -> Self {
        let shown = person.get(page).await;
        assert_eq!(shown.status, 200, "{page}: {}", shown.text());
        let csrf = ("csrf".to_owned(), csrf_of(&shown.text()));
        let filled = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self {
            action: action.to_owned(),
            fields: std::iter::once(csrf).chain(filled).collect(),
        }
    }

    async fn post(&self, person: &mut Person) -> Answer {
        let fields: Vec<(&str, &str)> = self
            .fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        person.post(&self.action, &fields).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_form_can_be_sent_again_to_any_node() {
    let cluster = cluster().await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut boss = here.person("boss", "administrator").await;
    here.add_with_password("ada");
    let acts: [Act; 8] = [
        ("password", &[("new_password", OTHER)], "password-set"),
        ("role", &[("role", "manager")], "role-changed"),
        ("email", &[("email", "a@b.example")], "email-changed"),
        ("logout-all", &[], "sessions-ended"),
        ("disable", &[], "user-disabled"),
        ("enable", &[], "user-enabled"),
        ("reset-second-factor", &[], "second-factor-reset"),
        ("setup-link", &[], "setup-link-made"),
    ];
    let page = format!("{USERS}/ada");
    for (act, fields, action) in acts {
        let form = Form::of(boss.through(here), &page, &format!("{page}/{act}"), fields).await;
        let answer = lost(&cluster.postgres, action, form.post(&mut boss)).await;
        says(
            &answer,
            &["may be written or not", "Do it again until it succeeds"],
        );
        let again = form.post(boss.through(there)).await;
        assert_eq!(again.status, 200, "{act}: {}", again.text());
    }
    let remove = format!("{page}/remove");
    let form = Form::of(boss.through(here), &page, &remove, &[]).await;
    let answer = lost(&cluster.postgres, "user-removed", form.post(&mut boss)).await;
    says(&answer, &["may be written or not"]);
    let again = form.post(boss.through(there)).await;
    let list = leads_to(&again, USERS).to_owned();
    assert!(boss.get(&list).await.text().contains("The user is removed"));
    let once_more = form.post(boss.through(there)).await;
    assert_eq!(once_more.status, 404, "told by now: {}", once_more.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_was_perhaps_added_is_added_again_with_a_link() {
    let cluster = cluster().await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut boss = here.person("boss", "administrator").await;
    let fields = [
        ("user", "bob"),
        ("role", "operator"),
        ("email", "b@c.example"),
    ];
    let form = Form::of(boss.through(here), USERS, USERS, &fields).await;
    let answer = lost(&cluster.postgres, "user-added", form.post(&mut boss)).await;
    says(&answer, &["may be written or not"]);
    let again = form.post(boss.through(there)).await;
    assert_eq!(again.status, 200, "{}", again.text());
    let text = again.text();
    let link = text
        .split("/.portcullis/setup?token=")
        .nth(1)
        .expect("a link");
    let token: String = link
        .chars()
        .take_while(|one| one.is_ascii_alphanumeric() || "-_".contains(*one))
        .collect();
    let mut bob = boss.elsewhere();
    bob.name = "bob".to_owned();
    bob.through(here)
        .set_up(&format!("/.portcullis/setup?token={token}"))
        .await;
    let once_more = form.post(boss.through(there)).await;
    assert_eq!(once_more.status, 422, "told by now: {}", once_more.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_does_to_the_own_account_ends_well() {
    let cluster = cluster().await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut ada = here.person("ada", "operator").await;

    let mut elsewhere = ada.elsewhere();
    elsewhere.sign_in().await;
    ada.recovery_codes.pop();
    let list = here.operator(&["session", "list"]);
    let mine = here
        .operator(&["session", "list"])
        .as_array()
        .unwrap()
        .len();
    assert_eq!(mine, 2, "{list}");
    // The newest first.
    let id = list[0]["id"].as_str().unwrap();
    let end = format!("{ACCOUNT}/sessions/{id}/end");
    let form = Form::of(&mut ada, ACCOUNT, &end, &[]).await;
    let answer = lost(&cluster.postgres, "session-ended", form.post(&mut ada)).await;
    says(&answer, &["may be written or not"]);
    leads_to(&form.post(ada.through(there)).await, ACCOUNT);
    let once_more = form.post(ada.through(there)).await;
    assert_eq!(once_more.status, 404, "told by now: {}", once_more.text());

    let fields = [
        ("current_password", ada.password.clone()),
        ("new_password", OTHER.to_owned()),
        ("new_password_again", OTHER.to_owned()),
    ];
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let action = format!("{ACCOUNT}/password");
    let form = Form::of(&mut ada, ACCOUNT, &action, &fields).await;
    let answer = lost(&cluster.postgres, "password-set", form.post(&mut ada)).await;
    says(
        &answer,
        &["may be written or not", "Sign in with the new password"],
    );
    assert!(!ada.is_signed_in(), "forgotten");
    leads_to(&form.post(ada.through(there)).await, LOGIN);
    ada.password = OTHER.to_owned();
    ada.sign_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_out_is_signed_out() {
    let cluster = cluster().await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut ada = here.person("ada", "operator").await;
    for (page, action, entry) in [
        (ACCOUNT, format!("{ACCOUNT}/logout-all"), "sessions-ended"),
        (ACCOUNT, "/.portcullis/logout".to_owned(), "session-ended"),
    ] {
        let form = Form::of(ada.through(here), page, &action, &[]).await;
        let held = ada.cookies.clone();
        let answer = lost(&cluster.postgres, entry, form.post(&mut ada)).await;
        says(
            &answer,
            &["This browser is signed out", "may be written or not"],
        );
        assert!(!ada.is_signed_in(), "forgotten");
        leads_to(&form.post(ada.through(there)).await, LOGIN);
        // With what a thief has kept of it.
        ada.cookies = held;
        assert_eq!(ada.through(there).get("/echo").await.status, 303);
        ada.cookies.clear();
        ada.sign_in().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_whose_last_step_was_not_answered_begins_again() {
    let cluster = cluster().await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let mut ada = here.person("ada", "operator").await;

    // The last step of a sign-in, and a fresh sign-in over a session that is there.
    for with_session in [false, true] {
        let mut hers = ada.elsewhere();
        if with_session {
            hers.sign_in().await;
            ada.recovery_codes.pop();
        }
        let before = hers.is_signed_in().then(|| hers.token().to_owned());
        let next = if with_session { "/fresh/x" } else { "/echo" };
        if with_session {
            tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        }
        let login = format!("{LOGIN}?next={next}");
        let (name, password) = (hers.name.clone(), hers.password.clone());
        let fields = [("user", name.as_str()), ("password", &password)];
        let half = hers.through(here).submit(&login, LOGIN, &fields).await;
        let step = leads_to(&half, "/.portcullis/second-factor").to_owned();
        let code = ada.recovery_codes.pop().unwrap();
        hers.recovery_codes.pop();
        let form = Form::of(&mut hers, &step, &step, &[("code", &code)]).await;
        let answer = lost(&cluster.postgres, "session-started", form.post(&mut hers)).await;
        says(&answer, &["not certain", "Begin again"]);
        assert_eq!(hers.is_signed_in().then(|| hers.token().to_owned()), before);
        let again = form.post(hers.through(there)).await;
        assert_eq!(again.status, 303, "{}", again.text());
        // What is offered next leads in.
        let mut hers = ada.elsewhere();
        hers.through(there).sign_in().await;
        ada.recovery_codes.pop();
        assert_eq!(hers.through(here).get("/echo").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_password_and_a_first_app_end_well() {
    let cluster = cluster().await;
    let [here, there] = cluster.nodes.as_slice() else {
        panic!("two nodes")
    };
    let ada = here.person("ada", "operator").await;
    // The first password, by a link.
    let added = here.operator(&["user", "add", "bob", "--role", "operator"]);
    let url = added["setup_url"].as_str().unwrap();
    let link = url[url.find("/.portcullis").unwrap()..].to_owned();
    secrets::keep(link.split_once("token=").unwrap().1);
    let mut bob = ada.elsewhere();
    bob.name = "bob".to_owned();
    let page = leads_to(&bob.through(here).get(&link).await, "/.portcullis/setup").to_owned();
    let password = bob.password.clone();
    let fields = [
        ("password", password.as_str()),
        ("password_again", &password),
    ];
    let form = Form::of(&mut bob, &page, &page, &fields).await;
    let answer = lost(&cluster.postgres, "password-set", form.post(&mut bob)).await;
    says(&answer, &["may be written or not", "open the link again"]);
    let mut opened = bob.elsewhere();
    let login = opened.through(there).get(&link).await;
    let login = leads_to(&login, LOGIN).to_owned();
    assert!(
        opened
            .get(&login)
            .await
            .text()
            .contains("This link has set a password already")
    );
    let enrol = form.post(bob.through(there)).await;
    let enrol = leads_to(&enrol, "/.portcullis/enrol").to_owned();

    // The first app.
    let code = bob.takes_the_secret(&enrol).await;
    let form = Form::of(&mut bob, &enrol, &enrol, &[("code", &code)]).await;
    let answer = lost(
        &cluster.postgres,
        "second-factor-enrolled",
        form.post(&mut bob),
    )
    .await;
    says(&answer, &["not certain", "Begin again"]);
    leads_to(&form.post(bob.through(here)).await, LOGIN);
    bob.cookies.clear();
    let code = bob.next_code();
    let answer = bob.through(there).sign_in_with(&code).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(bob.is_signed_in());
}
