//! The HTTP/2 side, asked by a client that nobody here wrote: hyperframe and hpack, the parts of
//! Python's h2, which send what a polite client would not. The checks are in `checks.py`.
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
    name: "http2",
    requirements: "hpack==4.2.0\nhyperframe==6.1.0\n",
    modules: &["hpack", "hyperframe"],
};

#[tokio::test(flavor = "multi_thread")]
async fn what_the_standard_asks_of_a_server_holds() {
    let python = PACKAGES.python().await;
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let person = gateway.person("ada", "operator").await;
    let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http2/checks.py");
    let mut command = Command::new(python);
    command
        .arg(checks)
        .arg(gateway.port.to_string())
        .arg(person.token())
        .arg(gateway.process_id().to_string());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    // The last check told it to end.
    assert_eq!(gateway.ended().await, 0);
}
