//! Starting, and what stands in the way of it: a sentence that helps, and the right exit code.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use crate::support::gateway::{Gateway, binary, run_to_its_end};
use crate::support::panel::Panel;

/// A command in a folder with a configuration, as it comes.
fn run(folder: &Path, config: &str, arguments: &[&str]) -> Output {
    let path = folder.join("portcullis.toml");
    std::fs::write(&path, config).unwrap();
    run_to_its_end(binary().arg("--config").arg(path).args(arguments))
}

fn config(folder: &Path, port: u16) -> String {
    let path = folder.display();
    format!(
        "[gateway]\nlisten = [\"127.0.0.1:{port}\"]\nexternal_url = \"https://localhost:{port}\"\n\
         data_dir = \"{path}/data\"\n[tls]\ncertificate = \"{path}/g.pem\"\nkey = \"{path}/g.key\"\n\
         development = true\n[management]\nlisten = \"\"\n[[panel]]\nupstream = \"unix:panel.sock\"\n"
    )
}

/// What a person reads: the exit code, and one sentence without the marks of a crash.
fn refused(output: &Output, code: i32, parts: &[&str]) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text:?}");
    }
    for mark in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
        assert!(!text.contains(mark), "{text}");
    }
}

#[test]
fn a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = config(folder.path(), address.port());
    refused(
        &run(folder.path(), &config, &["serve"]),
        1,
        &[&address.to_string()],
    );
}

#[test]
fn a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 1).replace("/data\"", "/portcullis.toml/data\"");
    refused(
        &run(folder.path(), &config, &["serve"]),
        1,
        &["portcullis.toml/data"],
    );
}

#[test]
fn a_database_that_is_broken_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), 1);
    let added = run(
        folder.path(),
        &config,
        &["user", "add", "ada", "--role", "operator"],
    );
    assert!(added.status.success(), "{added:?}");
    let database = folder.path().join("data/portcullis.db");
    // What a crash would have left beside it could mend it.
    let _ = std::fs::remove_file(folder.path().join("data/portcullis.db-wal"));
    let mut bytes = std::fs::read(&database).unwrap();
    bytes.fill(0x5a);
    std::fs::write(&database, &bytes).unwrap();
    for arguments in [&["serve"][..], &["user", "list"]] {
        refused(
            &run(folder.path(), &config, arguments),
            1,
            &["portcullis.db"],
        );
    }
    assert_eq!(
        std::fs::read(&database).unwrap(),
        bytes,
        "nothing was made anew"
    );
}

#[test]
fn a_configuration_with_faults_is_exit_code_2_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        config(folder.path(), 1).replace("listen = [", "lisen = [") + "cookies = \"vault\"\n";
    for arguments in [&["serve"][..], &["check"], &["user", "list"]] {
        let output = run(folder.path(), &config, arguments);
        refused(
            &output,
            2,
            &["portcullis.toml:2:1", "listen", "portcullis.toml:13:11"],
        );
    }
    let fine = run(folder.path(), &self::config(folder.path(), 1), &["check"]);
    assert_eq!(
        (fine.status.code(), fine.stdout.as_slice()),
        (Some(0), b"ok\n".as_slice())
    );
    let usage = run_to_its_end(binary().args(["user", "add"]));
    assert_eq!(usage.status.code(), Some(2));
}

#[tokio::test]
async fn commands_work_with_and_without_a_running_gateway() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.operator(&["user", "add", "ada", "--role", "operator"]);
    let again = gateway.command(&["user", "add", "Ada", "--role", "operator"], None);
    refused(&again, 1, &["already"]);
    refused(
        &gateway.command(&["user", "logout", "nobody"], None),
        1,
        &["no"],
    );
    let second = run_to_its_end(binary().arg("--config").arg(gateway.config()).arg("serve"));
    refused(&second, 1, &["another gateway", "data"]);
    gateway.stop().await;
    gateway.operator(&["user", "add", "bob", "--role", "manager"]);
    let names = |gateway: &Gateway| -> Vec<String> {
        let users = gateway.operator(&["user", "list"]);
        let name = |user: &serde_json::Value| user["name"].as_str().unwrap().to_owned();
        users.as_array().unwrap().iter().map(name).collect()
    };
    assert_eq!(names(&gateway), ["ada", "bob"]);
    gateway.start().await;
    assert_eq!(names(&gateway), ["ada", "bob"]);
}

#[tokio::test]
async fn what_is_kept_is_for_the_gateways_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    gateway.person("ada", "operator").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&gateway.data_dir()), 0o700);
    let mut files = 0;
    for entry in std::fs::read_dir(gateway.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        files += 1;
    }
    assert!(files >= 4, "database, log, key and socket");
    assert_eq!(mode(&gateway.config().with_file_name("gateway.key")), 0o600);
}

#[tokio::test]
async fn the_master_key_may_be_elsewhere_and_must_be_the_right_one() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    gateway.stop().await;
    let own = gateway.data_dir().join("master.key");
    let moved = gateway.folder().join("moved.key");
    std::fs::rename(&own, &moved).unwrap();
    let told = |gateway: &Gateway| told_with(gateway, 1);
    assert!(told(&gateway).contains("can't be used without the key"));

    let text = std::fs::read_to_string(gateway.config()).unwrap();
    let config = gateway.config();
    let with = |source: &str| {
        let storage = format!("[storage]\nmaster_key = {source:?}\n[management]");
        std::fs::write(&config, text.replace("[management]", &storage)).unwrap();
    };
    with(&format!("file:{}", moved.display()));
    gateway.start().await;
    ada.cookies.clear();
    ada.sign_in().await;
    gateway.stop().await;
    with("env:NOT_SET_ANYWHERE");
    assert!(told(&gateway).contains("NOT_SET_ANYWHERE"));
    let another = gateway.folder().join("another.key");
    std::fs::copy(&moved, &another).unwrap();
    std::fs::write(&another, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    with(&format!("file:{}", another.display()));
    assert!(told(&gateway).contains("not the key that this database"));
    with("a key in the open");
    let refused = told_with(&gateway, 2);
    assert!(
        refused.contains("file:PATH") && !refused.contains("in the open"),
        "{refused}"
    );
}

fn told_with(gateway: &Gateway, code: i32) -> String {
    let output = gateway.command(&["user", "list"], None);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}
