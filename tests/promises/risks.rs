//! What takes a control away is said by `check`, at a start and at a reload, by a name that silences it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::eventually;
use crate::support::gateway::{Gateway, command};
use crate::support::panel::Panel;

const LOOSE: &str = "[session]\nlifetime = \"400d\"\n[second_factor]\nrequired = false\n\
                     [throttle]\nper_user = \"1000000/15m\"\n[log]\naccess = false\n";
const NAMES: [&str; 4] = [
    "long-sessions",
    "no-second-factor",
    "loose-throttle",
    "no-access-log",
];

/// The names in the warnings of `check --json`.
fn warned(gateway: &Gateway) -> Vec<String> {
    let output = gateway.command(&["check"], None);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = document["warnings"].as_array().unwrap().iter();
    let mut names: Vec<_> = warnings
        .filter_map(|warning| warning["risk"].as_str())
        .map(str::to_owned)
        .collect();
    names.dedup();
    names
}

#[tokio::test]
async fn what_voids_a_control_is_said_until_it_is_accepted() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, LOOSE, "").await;
    let mut expected = NAMES.to_vec();
    expected.sort_unstable();
    let mut seen = warned(&gateway);
    seen.sort_unstable();
    assert_eq!(seen, expected);
    let log = gateway.log();
    for name in NAMES {
        assert!(
            log.contains(&format!("accept_risk = [\"{name}\"]")),
            "{name}: {log}"
        );
    }
    // A reload says what is new.
    gateway.rewrite("400d", "401d");
    gateway.rewrite("lifetime", "idle_timeout = \"3d\"\nlifetime");
    gateway.hang_up();
    eventually("the reload to warn", async || {
        gateway
            .log()
            .contains("idle_timeout: a browser")
            .then_some(())
    })
    .await;
    let accepted = format!("workers = 2\naccept_risk = {NAMES:?}");
    gateway.rewrite("workers = 2", &accepted);
    assert_eq!(warned(&gateway), [] as [&str; 0]);
}

#[test]
fn a_password_is_no_risk_in_a_file_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("p.toml");
    let text =
        "[storage]\nurl = \"postgres://u:hunter2@127.0.0.1/p\"\n[[panel]]\nupstream = \"unix:p\"\n";
    fs::write(&config, text).unwrap();
    for (mode, is_risk) in [(0o600, false), (0o644, true), (0o640, true)] {
        fs::set_permissions(&config, PermissionsExt::from_mode(mode)).unwrap();
        let output = command(&config, &["check"], None);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            told.contains("readable-password"),
            is_risk,
            "{mode:o}: {told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}
