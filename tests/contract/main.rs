//! What describes itself, held to its description.
//!
//! The management API: schemathesis, which nobody here wrote, reads
//! `/v1/openapi.json` of a running gateway and sends what fits it and what does not. No answer may
//! be a 5xx, or another than the description says.
//!
//! A configuration against the JSON Schema of it, with a validator that editors' users would trust.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on should say where, and its tasks end with it"
)]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::gateway::Gateway;
use support::panel::Panel;
use support::python::{Packages, run};

const PACKAGES: Packages = Packages {
    name: "contract",
    requirements: include_str!("requirements.txt"),
    modules: &["schemathesis", "jsonschema_rs", "tomllib"],
};

/// Requests of each kind to each call.
const EXAMPLES: &str = "15";

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_as_it_describes_itself() {
    let python = PACKAGES.python().await;
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    gateway.person("ada", "administrator").await;
    let token = gateway.token("revoke,users,read");
    let port = gateway.management_port;
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/schemathesis.toml");
    let leftovers = tempfile::tempdir().unwrap();
    let mut command = Command::new(python.with_file_name("st"));
    command
        .current_dir(leftovers.path())
        .arg("--config-file")
        .arg(settings)
        .args(["run", "--no-color", "--seed", "1"])
        .args(["--max-examples", EXAMPLES])
        .arg("--tls-verify")
        .arg(gateway.config().with_file_name("gateway.pem"))
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .arg(format!("https://localhost:{port}/v1/openapi.json"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    let answer = gateway.call(&token, "GET", "/readyz", "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Files that are right, files that are not, and whether the schema says so.
const JUDGE: &str = r#"
import json, sys, tomllib, jsonschema_rs
validator = jsonschema_rs.Draft202012Validator(json.load(open(sys.argv[1])))
default = open(sys.argv[2]).read()
assert not list(map(str, validator.iter_errors(tomllib.loads(default))))
rule = default + '\n[[panel.rule]]\npath = "/static/"\nallow = ["operator"]\n'
assert validator.is_valid(tomllib.loads(rule))
for right, wrong in [
    ('max_per_user = 10', 'max_per_user = "10"'),
    ('max_per_user = 10', 'max_per_users = 10'),
    ('idle_timeout = "30m"', 'idle_timeout = 30'),
    ('listen = ["127.0.0.1:8443"]', 'listen = "127.0.0.1:8443"'),
    ('upstream = "http://127.0.0.1:8080"', ''),
    ('min_length = 12', 'min_length = 1'),
    ('[tls]', '[tsl]'),
]:
    assert right in default, right
    assert not validator.is_valid(tomllib.loads(default.replace(right, wrong))), wrong
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_as_its_schema_says() {
    let python = PACKAGES.python().await;
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    let printed = support::gateway::binary().arg("schema").output().unwrap();
    assert!(printed.status.success(), "{printed:?}");
    std::fs::write(&schema, printed.stdout).unwrap();
    let mut judge = Command::new(python);
    judge.args(["-c", JUDGE]).arg(schema);
    judge.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/portcullis.toml"));
    let judging = tokio::task::spawn_blocking(move || run(&mut judge, Duration::from_secs(60)));
    judging.await.unwrap();
}
