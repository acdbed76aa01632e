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
    let well = [
        ("certificate", "warning"),
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

    let mut people = binary();
    people
        .args(["check", "--live", "--config"])
        .arg(gateway.config());
    let people = people.output().unwrap();
    let words = String::from_utf8(people.stdout).unwrap();
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
        "[gateway]\ndata_dir = {}\n[tls]\ncertificate = {}\nkey = {}\ndevelopment = true\n\
         [[panel]]\nupstream = \"http://127.0.0.1:1\"\n",
        path("var"),
        path("a.pem"),
        path("a.key"),
    );
    fs::write(&config, text).unwrap();
    let output = command(&config, &["check", "--live"], None);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = [
        ("certificate", "warning"),
        ("panel panel", "failed"),
        ("store", "warning"),
    ];
    assert_eq!(grades(&output), expected(&found));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
