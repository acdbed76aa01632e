//! The management API against its own description: schemathesis, which nobody here wrote, reads
//! `/v1/openapi.json` of a running gateway and sends what fits it and what does not. No answer may
//! be a 5xx, or another than the description says.
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

use support::gateway::Gateway;
use support::panel::Panel;
use support::python::Packages;

const PACKAGES: Packages = Packages {
    name: "contract",
    requirements: include_str!("requirements.txt"),
    modules: &["schemathesis"],
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
