//! `portcullis check --live`: what the configuration names is tried, and nothing is changed.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::gateway::{Gateway, binary, command};
use crate::support::panel::Panel;

fn grades(output: &Output) -> Vec<(String, String)> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |found: &Value, name: &str| found[name].as_str().unwrap().to_owned();
    let live = document["live"].as_array().unwrap().iter();
    live.map(|found| (text(found, "about"), text(found, "grade")))
        .collect()
}

fn expected(grades: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(about, grade): &(&str, &str)| ((*about).to_owned(), (*grade).to_owned());
    grades.iter().map(owned).collect()
}

// The panel answers while a command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_well_and_what_is_not_is_told() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let check = |gateway: &Gateway| gateway.command(&["check", "--live"], None);
    let listeners = [gateway.port, gateway.management_port];
    let [people, programs] = listeners.map(|port| format!("listener 127.0.0.1:{port}"));
    let well = [
        ("certificate", "warning"),
        (people.as_str(), "ok"),
        (programs.as_str(), "ok"),
        ("panel test panel", "ok"),
        ("store", "ok"),
    ];
    // While it runs, and while it does not.
    let output = check(&gateway);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(grades(&output), expected(&well));
    assert_eq!(gateway.stop().await, 0);
    let output = check(&gateway);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(grades(&output), expected(&well));

    let mut told = binary();
    told.args(["check", "--live", "--config"])
        .arg(gateway.config());
    let words = String::from_utf8(told.output().unwrap().stdout).unwrap();
    for word in [
        "nobody but itself signed it",
        "answers, with 200",
        "can be used",
        "\nok\n",
    ] {
        assert!(words.contains(word), "{word}: {words}");
    }

    let key = gateway.data_dir().join("master.key");
    fs::remove_file(&key).unwrap();
    let output = check(&gateway);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let ill = [
        ("certificate", "warning"),
        (people.as_str(), "ok"),
        (programs.as_str(), "ok"),
        ("panel test panel", "ok"),
        ("store", "failed"),
    ];
    assert_eq!(grades(&output), expected(&ill));
    assert!(!key.exists());
}

#[test]
fn what_is_not_there_yet_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("p.toml");
    let path = |name: &str| toml::Value::String(folder.path().join(name).display().to_string());
    let text = format!(
        "[gateway]\nlisten = [\"127.0.0.1:0\"]\ndata_dir = {}\n[management]\nlisten = \"\"\n\
         [tls]\ncertificate = {}\nkey = {}\ndevelopment = true\n[[panel]]\nupstream = \"http://127.0.0.1:1\"\n",
        path("var"),
        path("a.pem"),
        path("a.key"),
    );
    fs::write(&config, text).unwrap();
    let output = command(&config, &["check", "--live"], None);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = [
        ("certificate", "warning"),
        ("listener 127.0.0.1:0", "ok"),
        ("panel panel", "failed"),
        ("store", "warning"),
    ];
    assert_eq!(grades(&output), expected(&found));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

// The panel answers while a command is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_start_needs_is_known_before() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.stop().await;
    gateway.rewrite("development = true", "development = false");
    let pair = ["gateway.pem", "gateway.key"].map(|name| gateway.folder().join(name));
    let whole = pair.clone().map(|path| fs::read_to_string(path).unwrap());
    check(&gateway, &["check"], 0, &["nobody but itself"]);
    // A listener that somebody else has.
    let taken = std::net::TcpListener::bind(("127.0.0.1", gateway.port)).unwrap();
    check(
        &gateway,
        &["check", "--live"],
        1,
        &["another process listens there"],
    );
    drop(taken);
    for (place, text, words) in [
        (
            0,
            format!("\u{feff}{}", whole[0]),
            ["gateway.pem:1", "byte order mark"],
        ),
        (
            0,
            whole[0].trim_end().repeat(2),
            ["gateway.pem:", "line break between"],
        ),
        (
            1,
            whole[1].replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
            ["gateway.key:1", "encrypted"],
        ),
        (
            1,
            whole[0].clone(),
            ["no private key", "CERTIFICATE (line 1)"],
        ),
    ] {
        fs::write(&pair[place], text).unwrap();
        check(&gateway, &["check"], 1, &words);
        let told = gateway.refuses_to_start(1);
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        fs::write(&pair[place], &whole[place]).unwrap();
    }
}

/// What a check says, by its exit code.
fn check(gateway: &Gateway, arguments: &[&str], code: i32, words: &[&str]) {
    let output = gateway.command(arguments, None);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{told}");
    for word in words {
        assert!(told.contains(word), "no {word} in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_asked_for_where_a_listener_needs_one() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.stop().await;
    gateway.rewrite("development = true", "development = false");
    for name in ["gateway.pem", "gateway.key"] {
        fs::remove_file(gateway.folder().join(name)).unwrap();
    }
    check(&gateway, &["check"], 1, &["gateway.pem does not exist"]);
    assert!(
        gateway
            .refuses_to_start(1)
            .contains("gateway.pem does not exist")
    );
    gateway.rewrite(
        &format!("listen = [\"127.0.0.1:{}\"]", gateway.port),
        "listen = []\nlisten_plain = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.1\"]",
    );
    // The management API is asked for, and speaks HTTPS.
    check(&gateway, &["check"], 1, &["does not exist"]);
    assert!(gateway.refuses_to_start(1).contains("[management] listen"));
    let asked = format!("listen = \"127.0.0.1:{}\"", gateway.management_port);
    gateway.rewrite(&asked, "listen = \"\"");
    check(&gateway, &["check"], 0, &["\"ok\": true"]);
    check(&gateway, &["check", "--live"], 0, &["listener 127.0.0.1:0"]);
}
