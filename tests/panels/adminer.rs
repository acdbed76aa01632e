//! Adminer, the database page that hosting providers leave lying about, over SQLite and PHP's own
//! server: the kind of panel that nobody can change and everybody wants a door before.

use std::fs;
use std::process::Command;

use crate::form::Form;
use crate::served::Served;
use crate::support::gateway::Gateway;
use crate::support::http1::Answer;
use crate::support::person::Person;

const PASSWORD: &str = "a password of the panel's own";

/// Where the tables of the one database are.
const DATABASE: &str = "/?sqlite=&username=&db=library.sqlite";

/// Adminer refuses databases without a password of their own; this is its own plugin for them.
const INDEX: &str = r#"<?php
function adminer_object() {
    include_once "/usr/share/adminer/plugins/plugin.php";
    include_once "/usr/share/adminer/plugins/login-password-less.php";
    $password = password_hash(getenv("PANEL_PASSWORD"), PASSWORD_DEFAULT);
    return new AdminerPlugin([new AdminerLoginPasswordLess($password)]);
}
include "/usr/share/adminer/adminer.php";
"#;

/// A gateway before Adminer, and somebody who is signed in to the gateway.
struct Desk {
    panel: Served,
    gateway: Gateway,
    person: Person,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.php"), INDEX).unwrap();
        fs::write(folder.path().join("library.sqlite"), "").unwrap();
        let panel = Served::start(folder, |port| {
            let mut php = Command::new("php");
            php.arg("-S").arg(format!("127.0.0.1:{port}"));
            php.env("PANEL_PASSWORD", PASSWORD);
            php
        });
        assert_eq!(panel.answers("/").await.status, 200, "{}", panel.log());
        let gateway = Gateway::at(&panel.upstream(), "", "").await;
        let person = gateway.person("ada", "operator").await;
        Self {
            panel,
            gateway,
            person,
        }
    }

    async fn sign_in(&mut self) {
        let page = self.page("/").await;
        let mut form = Form::read(&page, "action=''");
        form.add("auth[driver]", "sqlite");
        form.set("auth[password]", PASSWORD);
        form.set("auth[db]", "library.sqlite");
        let answer = self.post("/", &form).await;
        assert_eq!(leads_to(&answer), DATABASE, "{}", answer.text());
        assert!(self.page(DATABASE).await.contains("No tables."));
    }

    async fn page(&mut self, target: &str) -> String {
        let answer = self.person.get(target).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    async fn post(&mut self, target: &str, form: &Form) -> Answer {
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let body = form.encoded();
        self.person
            .send("POST", target, &[kind], body.as_bytes())
            .await
    }
}

#[tokio::test]
async fn a_table_is_created_and_filled() {
    let mut desk = Desk::new().await;
    desk.sign_in().await;

    let create = format!("{DATABASE}&create=");
    let mut form = Form::read(&desk.page(&create).await, "id=\"form\"");
    form.set("name", "books");
    form.set("fields[1][field]", "title");
    form.add("fields[1][type]", "text");
    let answer = desk.post(&create, &form).await;
    assert_eq!(leads_to(&answer), format!("{DATABASE}&table=books"));

    let edit = format!("{DATABASE}&edit=books");
    let mut form = Form::read(&desk.page(&edit).await, "id=\"form\"");
    form.add("fields[title]", "Käse & <b>Brot</b>");
    let answer = desk.post(&edit, &form).await;
    let books = format!("{DATABASE}&select=books");
    assert_eq!(leads_to(&answer), books);
    let page = desk.page(&books).await;
    assert!(
        page.contains("Käse &amp; &lt;b&gt;Brot&lt;/b&gt;"),
        "{page}"
    );

    let file = fs::read(desk.panel.folder().join("library.sqlite")).unwrap();
    assert!(file.starts_with(b"SQLite format 3"));
}

#[tokio::test]
async fn nobody_sees_it_without_a_session_and_its_own_cookie_is_not_one() {
    let mut desk = Desk::new().await;
    desk.sign_in().await;
    let mut stranger = desk.person.elsewhere();
    assert_eq!(stranger.get(DATABASE).await.status, 303);

    let token = desk.gateway.token("revoke");
    let path = format!("/v1/users/{}/password-changed", desk.person.name);
    let ended = desk.gateway.call(&token, "POST", &path, "").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    let sid = desk.person.cookies.get("adminer_sid").cloned();
    assert!(sid.is_some(), "Adminer's own cookie is still there");
    let answer = desk.person.get(DATABASE).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let login = answer.header("location").unwrap();
    assert!(login.starts_with("/.portcullis/login?next="), "{login}");
}

/// Where a redirect leads, on this host.
fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 302, "{}", answer.text());
    let location = answer.header("location").unwrap();
    assert!(location.starts_with('?'), "leads elsewhere: {location}");
    format!("/{location}")
}
