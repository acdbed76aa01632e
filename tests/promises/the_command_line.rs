//! The command line, with a gateway and without one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::support::gateway::{Gateway, binary, command};
use crate::support::panel::Panel;
use crate::support::person::PASSWORD;
use crate::support::{SOON, free_port};

/// A configuration in a folder, which no gateway runs on.
struct Alone {
    folder: tempfile::TempDir,
}

impl Alone {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let alone = Self { folder };
        let made = alone.init("localhost");
        assert!(made.status.success(), "{made:?}");
        alone
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn init(&self, host: &str) -> Output {
        binary()
            .current_dir(self.folder.path())
            .args(["init", "--upstream", "http://127.0.0.1:1", "--host", host])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// A command as a person gives it, in the folder.
    fn run(&self, arguments: &[&str]) -> Output {
        binary()
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = command(&self.path("config/portcullis.toml"), arguments, None);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_writes_what_a_gateway_needs_and_nothing_twice() {
    let alone = Alone {
        folder: tempfile::tempdir().unwrap(),
    };
    let host = format!("localhost:{}", free_port());
    let made = alone.init(&host);
    assert!(made.status.success(), "{made:?}");
    let link = out(&made);
    let begin = format!("https://{host}/.portcullis/setup?token=");
    assert!(
        link.starts_with(&begin) && link.lines().count() == 1,
        "{link}"
    );
    let files = [
        "config/portcullis.toml",
        "config/gateway.key",
        "config/gateway.pem",
        "var/master.key",
    ];
    for file in files.iter().filter(|file| !file.ends_with(".pem")) {
        assert_eq!(mode(&alone.path(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&alone.path("var")), 0o700);
    assert_eq!(out(&alone.run(&["check"])), "ok\n");
    let before = files.map(|file| fs::read(alone.path(file)).unwrap());

    let again = alone.init(&host);
    assert_eq!((code(&again), out(&again).as_str()), (1, ""));
    let words = told(&again);
    for word in [
        "is there already; nothing was changed",
        "master key   there",
        "var/portcullis.db",
    ] {
        assert!(words.contains(word), "{word}: {words}");
    }
    assert_eq!(
        before,
        files.map(|file| fs::read(alone.path(file)).unwrap())
    );
    // The same folder under another configuration: its accounts are not touched either.
    let other = alone.run(&[
        "init",
        "--config",
        "other.toml",
        "--host",
        "a.example",
        "--upstream",
        "http://127.0.0.1:1",
    ]);
    assert_eq!(code(&other), 1);
    assert!(told(&other).contains("holds accounts already"), "{other:?}");
    assert!(!alone.path("other.toml").exists());
    assert_eq!(alone.json(&["user", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_bad_init_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    for (host, upstream) in [
        ("localhost", "ftp://127.0.0.1"),
        ("localhost", "\"]\n[panel]"),
        ("a_b c", "http://127.0.0.1:1"),
        ("x@y", "http://127.0.0.1:1"),
        ("y:99999", "http://127.0.0.1:1"),
    ] {
        let output = binary()
            .current_dir(folder.path())
            .args(["init", "--host", host, "--upstream", upstream])
            .output()
            .unwrap();
        assert_eq!(code(&output), 2, "{output:?}");
        assert!(!told(&output).is_empty());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "{output:?}"
        );
    }
    let output = binary()
        .current_dir(folder.path())
        .args([
            "init",
            "--host",
            "localhost",
            "--upstream",
            "http://127.0.0.1:1",
        ])
        .args(["--data-dir", "/proc/portcullis"])
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(told(&output).contains("/proc/portcullis"), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn two_inits_at_once_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let begin = || {
        binary()
            .current_dir(folder.path())
            .args([
                "init",
                "--host",
                "localhost",
                "--upstream",
                "http://127.0.0.1:1",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [begin(), begin()].map(|child| child.wait_with_output().unwrap());
    let done = both.iter().filter(|output| output.status.success()).count();
    assert_eq!(done, 1, "{both:?}");
    assert!(both.iter().any(|output| code(output) == 1), "{both:?}");
}

#[test]
fn commands_at_once_wait_for_each_other() {
    let alone = Alone::new();
    let names = ["ada", "b+c", "d@e.f", "g_h"];
    let adding = names.map(|name| {
        binary()
            .current_dir(alone.folder.path())
            .args(["user", "add", name, "--role", "operator"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for child in adding {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let list = out(&alone.run(&["user", "list"]));
    for name in names {
        assert!(list.contains(name), "{list}");
        let shown = alone.json(&["user", "show", name]);
        assert_eq!(shown["name"], name);
    }
}

#[test]
fn a_backup_is_whole_private_and_never_over_another() {
    let alone = Alone::new();
    let done = alone.run(&["backup", "b.db"]);
    assert!(done.status.success(), "{done:?}");
    assert!(out(&done).contains("master.key"));
    assert_eq!(mode(&alone.path("b.db")), 0o600);
    let before = fs::read(alone.path("b.db")).unwrap();
    let again = alone.run(&["backup", "b.db"]);
    assert_eq!(code(&again), 1);
    assert!(told(&again).contains("never replaced"), "{again:?}");
    assert_eq!(fs::read(alone.path("b.db")).unwrap(), before);
    let nowhere = alone.run(&["backup", "no/such/folder/b.db"]);
    assert_eq!(code(&nowhere), 1);
    assert!(
        told(&nowhere).contains("no/such/folder/b.db"),
        "{nowhere:?}"
    );
    let left: Vec<_> = fs::read_dir(alone.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("draft"))
        .collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn what_is_no_sound_backup_is_refused_and_changes_nothing() {
    let alone = Alone::new();
    assert!(alone.run(&["backup", "good.db"]).status.success());
    let good = fs::read(alone.path("good.db")).unwrap();
    fs::write(alone.path("text.db"), "not a database").unwrap();
    fs::write(alone.path("empty.db"), "").unwrap();
    fs::write(alone.path("half.db"), &good[..good.len() / 2]).unwrap();
    let mut torn = good.clone();
    let middle = torn.len() / 2;
    torn[middle..].fill(0xa5);
    fs::write(alone.path("torn.db"), torn).unwrap();
    let other = Alone::new();
    assert!(other.run(&["backup", "b.db"]).status.success());
    fs::copy(other.path("b.db"), alone.path("other.db")).unwrap();
    let live = alone.path("var/portcullis.db");
    let before = fs::read(&live).unwrap();
    for (file, word) in [
        ("text.db", "database"),
        ("empty.db", "no database of Portcullis"),
        ("half.db", "da"),
        ("torn.db", "da"),
        ("other.db", "not the key"),
        ("missing.db", "No such file"),
        ("config", "it is no file"),
    ] {
        let output = alone.run(&["restore", file]);
        assert_eq!(code(&output), 1, "{file}: {output:?}");
        assert!(told(&output).contains(word), "{file}: {output:?}");
        assert_eq!(fs::read(&live).unwrap(), before, "{file}");
    }
    let names = fs::read_dir(alone.path("var")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("draft")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_restored_store_revives_no_session() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let backup = gateway.data_dir().with_file_name("b.db");
    let backup = backup.to_str().unwrap();
    let token = gateway.token("read");
    // Made while the gateway runs and the session lives.
    gateway.operator(&["backup", backup]);
    gateway.operator(&["user", "logout", "ada"]);
    gateway.operator(&["user", "add", "later", "--role", "operator"]);
    let refused = gateway.command(&["restore", backup], None);
    assert_eq!(code(&refused), 1);
    assert!(told(&refused).contains("end it first"), "{refused:?}");

    assert_eq!(gateway.stop().await, 0);
    let restored = gateway.operator(&["restore", backup]);
    let kept = restored["kept"].as_str().unwrap();
    assert!(Path::new(kept).exists());
    gateway.start().await;
    assert_eq!(ada.get("/echo").await.status, 303);
    // It may have been removed after the backup was made.
    let call = gateway.call(&token, "GET", "/v1/users", "").await;
    assert_eq!(call.status, 401);
    assert_eq!(gateway.operator(&["token", "list"]), serde_json::json!([]));
    assert_eq!(
        gateway
            .command(&["user", "show", "later"], None)
            .status
            .code(),
        Some(1)
    );
    // The account is as it was, but its codes may have been used since.
    let code = ada.recovery_codes.pop().unwrap();
    assert_eq!(ada.sign_in_with(&code).await.status, 401);
    gateway.operator(&["user", "reset-second-factor", "ada"]);
    let password = ada.give_password().await;
    let location = password.header("location").unwrap();
    assert!(location.starts_with("/.portcullis/enrol"), "{location}");
    let audit = gateway.operator(&["audit", "list"]);
    let restored = audit
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["action"] == "store-restored");
    assert_eq!(restored.unwrap()["actor"], "operator");
}

#[tokio::test]
async fn accounts_sessions_and_tokens_are_changed_through_the_running_gateway() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    gateway.add_with_password("b+c");
    let sessions = gateway.operator(&["session", "list", "--user", "ada"]);
    let id = sessions[0]["id"].as_str().unwrap();
    assert_eq!(
        gateway.operator(&["session", "end", id])["sessions_ended"],
        1
    );
    assert_eq!(ada.get("/echo").await.status, 303);
    assert_eq!(
        gateway.operator(&["session", "list"]),
        serde_json::json!([])
    );
    ada.sign_in().await;
    assert_eq!(gateway.operator(&["user", "show", "ada"])["sessions"], 1);
    assert_eq!(
        gateway.operator(&["user", "disable", "ada"])["disabled"],
        true
    );
    assert_eq!(ada.get("/echo").await.status, 303);
    assert_eq!(
        gateway.operator(&["user", "enable", "ada"])["disabled"],
        false
    );
    gateway.operator(&["user", "reset-second-factor", "ada"]);
    let shown = gateway.operator(&["user", "show", "ada"]);
    assert_eq!(shown["second_factors"], serde_json::json!([]));
    gateway.operator(&["user", "remove", "b+c"]);
    let gone = gateway.command(&["user", "show", "b+c"], None);
    assert_eq!((code(&gone), out(&gone).as_str()), (1, ""));

    let made = gateway.operator(&["token", "add", "t", "--scope", "read", "--expires", "90d"]);
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        gateway.call(token, "GET", "/v1/users", "").await.status,
        200
    );
    let tokens = gateway.operator(&["token", "list"]);
    assert_eq!(tokens[0]["expires"], made["expires"]);
    assert!(!tokens.to_string().contains(token));
    gateway.operator(&["token", "remove", "t"]);
    assert_eq!(
        gateway.call(token, "GET", "/v1/users", "").await.status,
        401
    );
    let audit = gateway.operator(&["audit", "list"]).to_string();
    for action in [
        "user-removed",
        "user-disabled",
        "token-removed",
        "session-ended",
    ] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    assert!(!audit.contains(token) && !audit.contains(PASSWORD));
}

#[test]
fn a_reader_that_is_gone_ends_a_command_without_a_word() {
    let alone = Alone::new();
    for arguments in [
        &["user", "list"][..],
        &["completions", "bash"],
        &["audit", "list"],
    ] {
        let mut child = binary()
            .current_dir(alone.folder.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (code(&output), told(&output).as_str()),
            (1, ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn without_a_terminal_nothing_is_asked() {
    let alone = Alone::new();
    let output = alone.run(&["user", "password", "admin"]);
    assert_eq!(code(&output), 2);
    assert!(told(&output).contains("--password-stdin"), "{output:?}");
    let output = alone.run(&["user", "show", "nobody"]);
    assert_eq!((code(&output), out(&output).as_str()), (1, ""));
    let output = alone.run(&["audit", "list", "--follow"]);
    assert_eq!(code(&output), 1);
    assert!(out(&output).contains("user-added"), "{output:?}");
    assert!(told(&output).contains("no gateway runs"), "{output:?}");
}

#[tokio::test]
async fn the_audit_list_is_followed_while_the_gateway_runs() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut following = binary();
    following.args(["audit", "list", "--follow", "--json", "--config"]);
    following.arg(gateway.config()).stdout(Stdio::piped());
    let mut child = following.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || lines.for_each(|line| tell.send(line.unwrap()).unwrap_or_default()));
    for name in ["first", "second"] {
        gateway.operator(&["user", "add", name, "--role", "operator"]);
        let line = told.recv_timeout(SOON).unwrap();
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        let seen = (entry["action"].as_str(), entry["subject"].as_str());
        assert_eq!(seen, (Some("user-added"), Some(name)));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn every_command_has_a_manual_page_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    let pages = binary().arg("man").arg(folder.path()).output().unwrap();
    assert!(pages.status.success(), "{pages:?}");
    let page = fs::read_to_string(folder.path().join("portcullis-user-reset-second-factor.1"));
    assert!(page.unwrap().contains("lost phone"));
    for shell in ["bash", "zsh", "fish"] {
        let script = binary().args(["completions", shell]).output().unwrap();
        assert!(script.status.success());
        assert!(out(&script).contains("reset-second-factor"), "{shell}");
    }
}
