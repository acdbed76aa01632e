//! What is read at 3 a.m.: each error names its cause, its place and the next command, to people in a
//! sentence and to programs as data.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES, binary, command, run_to_its_end};
use crate::support::panel::Panel;

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// What a command with `--json` says that has failed: one object.
fn failed(output: &Output, exit: i32) -> Value {
    assert_eq!(code(output), exit, "{output:?}");
    assert_eq!(output.stdout, b"", "{output:?}");
    let document: Value = serde_json::from_str(told(output).trim()).unwrap();
    assert_eq!(document["exit_code"], exit);
    assert!(
        document["error"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    document
}

fn says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

/// A configuration in a folder, for a gateway that does not run.
fn written(folder: &Path, gateway: &str, rest: &str) -> std::path::PathBuf {
    let path = |name: &str| toml::Value::String(folder.join(name).display().to_string());
    let text = format!(
        "[gateway]\ndata_dir = {}\n{gateway}\n[management]\nlisten = \"\"\n[tls]\ncertificate = {}\n\
         key = {}\ndevelopment = true\n{rest}",
        path("var"),
        path("a.pem"),
        path("a.key"),
    );
    let file = folder.join("p.toml");
    fs::write(&file, text).unwrap();
    file
}

const PANEL: &str = "[[panel]]\nupstream = \"http://127.0.0.1:1\"\n";

#[test]
fn errors_are_data_where_data_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), "listen = [\"127.0.0.1:0\"]", PANEL);
    // The gateway refuses, with its problem document.
    let unknown = failed(&command(&config, &["user", "logout", "nobody"], None), 1);
    assert_eq!(unknown["problem"]["status"], 404, "{unknown}");
    // Arguments that can't be read.
    let usage = failed(
        &command(&config, &["user", "add", "ada", "--role", "boss"], None),
        2,
    );
    says(usage["error"].as_str().unwrap(), &["boss", "administrator"]);
    failed(&command(&config, &["user", "password", "ada"], None), 2);
    // A configuration that is not there, and one with faults: each with its place.
    let missing = folder.path().join("none.toml");
    let missing = failed(&command(&missing, &["user", "list"], None), 2);
    says(
        missing["error"].as_str().unwrap(),
        &["none.toml", "portcullis init --config"],
    );
    let faulty = written(folder.path(), "worker = 3\nlisten = [\"x\"]", PANEL);
    let faults = failed(&command(&faulty, &["session", "list"], None), 2);
    let lines: Vec<_> = faults["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| &fault["line"])
        .collect();
    assert_eq!(lines, [3, 4], "{faults}");
    // People get sentences, and help is no error.
    let prose = run_to_its_end(binary().args(["user", "list", "--config"]).arg(&faulty));
    says(&told(&prose), &["p.toml:3:", "p.toml:4:"]);
    let help = run_to_its_end(binary().args(["user", "list", "--json", "--help"]));
    assert_eq!((code(&help), told(&help).as_str()), (0, ""));
}

#[test]
fn without_a_configuration_the_command_that_writes_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["serve"][..], &["check"], &["user", "list"]] {
        let output = run_to_its_end(binary().current_dir(folder.path()).args(arguments));
        assert_eq!(code(&output), 2);
        says(
            &told(&output),
            &[
                "config/portcullis.toml",
                "/etc/portcullis/portcullis.toml",
                "portcullis init --host",
            ],
        );
    }
    let output = run_to_its_end(
        binary()
            .current_dir(folder.path())
            .args(["serve", "--config", "a b.toml"]),
    );
    assert_eq!(code(&output), 2);
    says(
        &told(&output),
        &["portcullis init --config 'a b.toml' --host"],
    );
}

#[test]
fn a_demo_names_the_way_out_and_paths_that_hold_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let demo = |arguments: &[&str]| {
        let mut command = binary();
        command
            .current_dir(folder.path())
            .arg("demo")
            .args(arguments);
        run_to_its_end(&mut command)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (option, other) in [
        ("--listen", "--management-listen"),
        ("--management-listen", "--listen"),
    ] {
        let output = demo(&[option, &taken, other, "127.0.0.1:0"]);
        assert_eq!(code(&output), 1, "{output:?}");
        let way_out = format!("portcullis demo {option} 127.0.0.1:0");
        says(
            &told(&output),
            &[&taken, "another process listens there", &way_out],
        );
    }
    let output = demo(&["--config", "mine.toml"]);
    assert_eq!(code(&output), 2);
    says(
        &told(&output),
        &[
            "mine.toml",
            "--data-dir",
            "portcullis serve --config mine.toml",
        ],
    );
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is made"
    );
}

#[test]
fn what_a_demo_prints_holds_in_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = binary()
        .current_dir(folder.path())
        .args([
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--management-listen",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut greeting = String::new();
    let mut out = running.stdout.take().unwrap();
    let mut bytes = [0; 1024];
    while !greeting.contains("ends the demo") {
        let count = out.read(&mut bytes).unwrap();
        assert!(count > 0, "{greeting}");
        greeting.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    let config = folder
        .path()
        .canonicalize()
        .unwrap()
        .join("var/demo/portcullis.toml");
    says(&greeting, &[&config.display().to_string()]);
    // From any folder.
    let listed = run_to_its_end(
        binary()
            .current_dir("/")
            .args(["user", "list", "--config"])
            .arg(&config),
    );
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(code(&listed), 0, "{listed:?}");
}

/// A server that says this to whatever comes; its port.
fn answers_with(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes);
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panel_of_the_other_scheme_is_called_that() {
    // Plain HTTP behind https://: servers answer what is no HTTP with a sentence.
    let plain = answers_with(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let upstream = format!("https://127.0.0.1:{plain}");
    let gateway = Gateway::at(&upstream, "", RULES).await;
    let checked = gateway.command(&["check", "--live"], None);
    assert_eq!(code(&checked), 1);
    let words = String::from_utf8(checked.stdout).unwrap();
    says(&words, &["write http:// in upstream"]);
    let ada = gateway.person("ada", "operator").await;
    let mut wire = gateway.connect().await;
    assert_eq!(wire.get("/page", &[&ada.cookie()]).await.status, 502);
    eventually("the log to say it", async || {
        gateway
            .log()
            .contains("write http:// in upstream")
            .then_some(())
    })
    .await;

    // TLS behind http://: a gateway is as good a server of HTTPS as any.
    let other = Gateway::at(&format!("http://127.0.0.1:{}", gateway.port), "", RULES).await;
    let checked = other.command(&["check", "--live"], None);
    assert_eq!(code(&checked), 1);
    says(
        &String::from_utf8(checked.stdout).unwrap(),
        &["it speaks TLS: write https:// in upstream"],
    );

    // One that answers with an alert.
    let port = answers_with(&[21, 3, 1, 0, 2, 2, 40]);
    for (scheme, words) in [("http", "write https:// in upstream"), ("https", "alert")] {
        let folder = tempfile::tempdir().unwrap();
        let panel = format!("[[panel]]\nupstream = \"{scheme}://127.0.0.1:{port}\"\n");
        let config = written(folder.path(), "listen = [\"127.0.0.1:0\"]", &panel);
        let checked = command(&config, &["check", "--live"], None);
        assert_eq!(code(&checked), 1);
        let checked = String::from_utf8(checked.stdout).unwrap();
        assert!(
            checked.to_lowercase().contains(words),
            "{scheme}: {checked}"
        );
    }
}

#[test]
fn a_socket_that_can_not_be_had_is_known_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let _live = UnixListener::bind(path("live.sock")).unwrap();
    drop(UnixListener::bind(path("stale.sock")).unwrap());
    fs::write(path("file.sock"), "mine").unwrap();
    for (name, grade, words) in [
        ("new.sock", "ok", "no program listens"),
        ("stale.sock", "ok", "no program listens"),
        (
            "live.sock",
            "failed",
            "another process answers on this socket",
        ),
        ("file.sock", "failed", "not a socket"),
        ("none/a.sock", "failed", "there is no folder"),
    ] {
        let socket = path(name).display().to_string();
        let config = written(
            folder.path(),
            &format!("listen = []\nlisten_plain = [\"unix:{socket}\"]"),
            PANEL,
        );
        let checked = command(&config, &["check", "--live"], None);
        let document: Value = serde_json::from_slice(&checked.stdout).unwrap();
        let about = format!("listener unix:{socket}");
        let live = document["live"].as_array().unwrap().iter();
        let found = live.clone().find(|found| found["about"] == about.as_str());
        let found = found.unwrap_or_else(|| panic!("{about}: {document}"));
        assert_eq!(found["grade"], grade, "{found}");
        says(found["message"].as_str().unwrap(), &[words]);
        if grade == "failed" {
            let served = run_to_its_end(binary().args(["serve", "--config"]).arg(&config));
            says(&told(&served), &[words]);
        }
    }
    assert!(path("stale.sock").exists() && !path("new.sock").exists());
    // A panel that is a socket of the gateway.
    let socket = path("new.sock").display().to_string();
    let panel = format!("[[panel]]\nupstream = \"unix:{socket}\"\n");
    let plain = format!("listen = []\nlisten_plain = [\"unix:{socket}\"]");
    let config = written(folder.path(), &plain, &panel);
    let checked = run_to_its_end(binary().args(["check", "--config"]).arg(config));
    assert_eq!(code(&checked), 2);
    says(
        &String::from_utf8(checked.stdout).unwrap(),
        &["a socket of the gateway itself"],
    );
}

#[test]
fn another_user_is_told_whose_folder_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = written(folder.path(), "listen = [\"127.0.0.1:0\"]", PANEL);
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).unwrap();
    let var = folder.path().join("var");
    fs::create_dir(&var).unwrap();
    let socket = var.join("management.sock");
    let _live = UnixListener::bind(&socket).unwrap();
    let program = folder.path().join("portcullis");
    fs::copy(env!("CARGO_BIN_EXE_portcullis"), &program).unwrap();
    // These tests run as root; the other user is one that no account has.
    let as_another = || {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=54321", "--regid=54321", "--clear-groups"]);
        command
            .arg(&program)
            .args(["user", "list", "--config"])
            .arg(&config);
        run_to_its_end(&mut command)
    };
    chown(&var, Some(12345), None).unwrap();
    fs::set_permissions(&var, PermissionsExt::from_mode(0o700)).unwrap();
    let hidden = told(&as_another());
    says(
        &hidden,
        &[
            "may not look into the folder",
            "var, which belongs to user 12345",
            "sudo -u",
        ],
    );
    fs::set_permissions(&var, PermissionsExt::from_mode(0o755)).unwrap();
    chown(&socket, Some(12345), None).unwrap();
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
    let closed = told(&as_another());
    says(
        &closed,
        &[
            "may not speak to the gateway",
            "management.sock, which belongs to user 12345",
        ],
    );
}

#[tokio::test]
async fn a_link_that_is_over_names_the_command_that_makes_another() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", RULES).await;
    let added = gateway.operator(&["user", "add", "ada", "--role", "operator"]);
    let first = added["setup_url"].as_str().unwrap().to_owned();
    let made = gateway.operator(&["user", "link", "ada"]);
    let second = made["setup_url"].as_str().unwrap();
    assert_ne!(first, second);
    let mut wire = gateway.connect().await;
    let navigation = [
        "Sec-Fetch-Dest: document",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Site: none",
    ];
    let path = &first[first.find("/.portcullis").unwrap()..];
    let dead = wire.get(path, &navigation).await;
    assert_eq!(dead.status, 404);
    says(&dead.text(), &["portcullis user link NAME"]);
    let path = &second[second.find("/.portcullis").unwrap()..];
    assert_eq!(wire.get(path, &navigation).await.status, 303);
}

#[test]
fn a_file_of_authorities_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    for (content, words) in [
        (None, "ca.pem"),
        (Some("no certificate"), "ca.pem"),
        (
            Some("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"),
            "ca.pem:",
        ),
    ] {
        if let Some(content) = content {
            fs::write(&ca, content).unwrap();
        }
        let storage = format!(
            "{PANEL}[storage]\nurl = \"postgres://u@db.example/p\"\nca = \"{}\"\n",
            ca.display()
        );
        let config = written(folder.path(), "listen = [\"127.0.0.1:0\"]", &storage);
        let checked = command(&config, &["check"], None);
        assert_eq!(code(&checked), 2, "{checked:?}");
        let document: Value = serde_json::from_slice(&checked.stdout).unwrap();
        let fault = &document["faults"][0];
        assert_eq!(fault["line"], 14, "{document}");
        says(fault["message"].as_str().unwrap(), &["ca", words]);
    }
}

#[test]
fn what_takes_hsts_or_sign_in_away_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "listen = [\"127.0.0.1:0\"]\nexternal_url = \"https://shop.example.org\"\nhsts = false\n\
                 portal_host = \"sign-in.example.org\"";
    let config = written(folder.path(), lines, PANEL);
    let told = || {
        let checked = run_to_its_end(binary().args(["check", "--config"]).arg(&config));
        String::from_utf8(checked.stdout).unwrap()
    };
    says(
        &told(),
        &[
            "p.toml:5:",
            "accept_risk = [\"no-hsts\"]",
            "p.toml:6:",
            "only what their rules open to anyone",
        ],
    );
    let accepted = fs::read_to_string(&config)
        .unwrap()
        .replace("hsts = false", "hsts = false\naccept_risk = [\"no-hsts\"]");
    fs::write(&config, accepted).unwrap();
    assert!(!told().contains("no-hsts"));
}
