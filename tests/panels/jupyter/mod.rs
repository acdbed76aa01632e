//! A Jupyter server as a panel: a form token and an Origin check of its own, and a shell over a
//! WebSocket, which is the last thing that a stolen session should keep.

use std::process::Command;

use serde_json::{Value, json};

use crate::form::Form;
use crate::served::Served;
use crate::support::gateway::{CUT, Gateway};
use crate::support::person::Person;
use crate::support::python::Packages;
use crate::support::websocket::{HANDSHAKE, Message, WebSocket};

const PASSWORD: &str = "a password of the panel's own";

const PACKAGES: Packages = Packages {
    name: "jupyter",
    requirements: include_str!("requirements.txt"),
    modules: &["jupyter_server", "terminado"],
};

/// Prints what the configuration wants instead of the password.
const HASH: &str = "import sys; from jupyter_server.auth import passwd; \
                    print(passwd(sys.argv[1], 'sha1'), end='')";

/// A gateway before Jupyter, and somebody who is signed in to both.
struct Desk {
    panel: Served,
    gateway: Gateway,
    person: Person,
}

impl Desk {
    async fn new() -> Self {
        let python = PACKAGES.python().await;
        let hash = Command::new(&python).args(["-c", HASH, PASSWORD]).output();
        let hash = String::from_utf8(hash.unwrap().stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_owned();
        let panel = Served::start(folder, |port| {
            let mut jupyter = Command::new(python);
            jupyter
                .args(["-m", "jupyter_server", "--no-browser", "--allow-root"])
                .args(["--ip=127.0.0.1", "--ServerApp.port_retries=0"])
                .arg(format!("--port={port}"))
                .arg(format!("--ServerApp.root_dir={}", home.display()))
                .arg(format!("--PasswordIdentityProvider.hashed_password={hash}"))
                .env("HOME", &home)
                .env("JUPYTER_CONFIG_DIR", home.join("config"))
                .env("JUPYTER_DATA_DIR", home.join("data"))
                .env("JUPYTER_RUNTIME_DIR", home.join("runtime"))
                .env("SHELL", "/bin/sh");
            jupyter
        });
        assert_eq!(panel.answers("/login").await.status, 200, "{}", panel.log());
        let gateway = Gateway::at(&panel.upstream(), "", "").await;
        let person = gateway.person("ada", "operator").await;
        let mut desk = Self {
            panel,
            gateway,
            person,
        };
        desk.sign_in().await;
        desk
    }

    /// To Jupyter; the gateway knows the person already.
    async fn sign_in(&mut self) {
        let page = self.person.get("/login").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let mut form = Form::read(&page.text(), "action=\"/login");
        form.set("password", PASSWORD);
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let body = form.encoded();
        let answer = self
            .person
            .send("POST", "/login", &[kind], body.as_bytes())
            .await;
        assert_eq!(
            answer.status,
            302,
            "{}\n{}",
            answer.text(),
            self.panel.log()
        );
        assert_eq!(self.person.get("/api/status").await.status, 200);
    }

    /// A call of a script in one of its pages.
    async fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let xsrf = format!("X-XSRFToken: {}", self.person.cookies["_xsrf"]);
        let origin = format!("Origin: {}", self.site());
        let fields = ["Content-Type: application/json", &xsrf, &origin];
        let answer = self
            .person
            .send(method, path, &fields, body.as_bytes())
            .await;
        let value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, value)
    }

    async fn terminal(&mut self) -> WebSocket {
        let (status, terminal) = self.call("POST", "/api/terminals", "{}").await;
        assert_eq!(status, 200, "{terminal}\n{}", self.panel.log());
        let path = format!(
            "/terminals/websocket/{}",
            terminal["name"].as_str().unwrap()
        );
        let host = format!("Host: localhost:{}", self.gateway.port);
        let origin = format!("Origin: {}", self.site());
        let cookie = self.person.cookie();
        let fields = [host.as_str(), &origin, &cookie];
        let opened = WebSocket::open(self.person.connect().await, &path, &fields);
        opened
            .await
            .unwrap_or_else(|refusal| panic!("{refusal:?}\n{}", self.panel.log()))
    }

    fn site(&self) -> String {
        format!("https://localhost:{}", self.gateway.port)
    }
}

#[tokio::test]
async fn a_shell_works_and_dies_with_the_session() {
    let mut desk = Desk::new().await;
    let mut terminal = desk.terminal().await;
    assert_eq!(ask(&mut terminal, "echo $((6*7))").await, "42");

    let token = desk.gateway.token("revoke");
    let path = format!("/v1/users/{}/password-changed", desk.person.name);
    let before = std::time::Instant::now();
    let ended = desk.gateway.call(&token, "POST", &path, "").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert_eq!(ended.json()["connections_closed"], 1);
    let farewell = terminal.hear_out().await;
    assert!(
        matches!(farewell, Some(Message::Close(1008, _))),
        "{farewell:?}"
    );
    assert!(before.elapsed() < CUT * 5, "it took {:?}", before.elapsed());
    assert_eq!(desk.person.get("/api/status").await.status, 303);
}

#[tokio::test]
async fn files_are_written_and_its_token_against_forgery_holds() {
    let mut desk = Desk::new().await;
    let note = json!({"type": "file", "format": "text", "content": "fünf\n"}).to_string();
    let (status, made) = desk.call("PUT", "/api/contents/note.txt", &note).await;
    assert_eq!(status, 201, "{made}");
    let written = std::fs::read_to_string(desk.panel.folder().join("note.txt")).unwrap();
    assert_eq!(written, "fünf\n");

    let kind = ["Content-Type: application/json"];
    let answer = desk
        .person
        .send("DELETE", "/api/contents/note.txt", &kind, b"")
        .await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let (status, _) = desk.call("DELETE", "/api/contents/note.txt", "").await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_shell() {
    let mut desk = Desk::new().await;
    desk.terminal().await;
    let host = format!("Host: localhost:{}", desk.gateway.port);
    let cookie = desk.person.cookie();
    let fields = [
        HANDSHAKE.as_slice(),
        &[&host, &cookie, "Origin: https://evil.example"],
    ]
    .concat();
    let mut wire = desk.person.connect().await;
    let answer = wire.get("/terminals/websocket/1", &fields).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("not from this site"));
}

/// What a command prints.
async fn ask(terminal: &mut WebSocket, command: &str) -> String {
    terminal
        .say(&json!(["stdin", format!("{command}\r")]).to_string())
        .await;
    let mut printed = String::new();
    while let Some(message) = terminal.hear().await {
        let Message::Text(text) = message else {
            continue;
        };
        let said: Value = serde_json::from_str(&text).unwrap();
        if said[0] == "stdout" {
            printed += said[1].as_str().unwrap();
        }
        // The command is echoed on the line before the answer. What is asked before the shell has shown
        // its prompt is echoed first, and the prompt comes with the answer.
        let is_prompt = |symbol: char| symbol == '#' || symbol == '$' || symbol.is_whitespace();
        let mut lines = printed
            .lines()
            .skip_while(|line| !line.contains(command))
            .skip(1)
            .map(|line| line.trim().trim_start_matches(is_prompt));
        if let Some(line) = lines
            .find(|line| !line.is_empty())
            .filter(|_| printed.trim_end().ends_with(['#', '$']))
        {
            return line.to_owned();
        }
    }
    panic!("the terminal ended: {printed}");
}
