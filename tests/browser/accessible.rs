//! What axe-core finds on a page for people who use it by ear, by keyboard or with weak eyes.

use std::process::Command;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::browser::Browser;
use crate::support::python::Packages;

/// A wheel that has axe-core itself as a file; nothing else of it is used.
const PACKAGES: Packages = Packages {
    name: "axe",
    requirements: "axe-playwright-python==0.1.8\n",
    modules: &["axe_playwright_python"],
};

/// Where the wheel keeps it.
const PRINT: &str = "import importlib.util as u, pathlib; \
    folder = u.find_spec('axe_playwright_python').submodule_search_locations[0]; \
    print(pathlib.Path(folder, 'axe.min.js').read_text(), end='')";

/// All rules but those that axe calls experimental; what it can't decide is not counted.
const RUN: &str = "
const done = arguments[0];
axe.run(document).then(
  found => done(found.violations.map(v => ({
    rule: v.id, impact: v.impact, help: v.help, where: v.nodes.map(n => n.target.join(' ')),
  }))),
  fault => done([{ rule: 'axe', impact: String(fault) }]),
);";

static AXE: OnceCell<String> = OnceCell::const_new();

/// Everything that it finds on the page as it is shown now, minor things too.
pub(crate) async fn faults(browser: &Browser) -> Vec<Value> {
    let axe = AXE.get_or_init(source).await;
    if browser.run("return typeof axe").await != "object" {
        browser.run(axe).await;
    }
    let body = json!({ "script": RUN, "args": [] });
    let found = browser.driver.post("/execute/async", body).await;
    found.as_array().unwrap().clone()
}

async fn source() -> String {
    let python = PACKAGES.python().await;
    let printed = Command::new(python).args(["-c", PRINT]).output().unwrap();
    let axe = String::from_utf8(printed.stdout).unwrap();
    assert!(axe.contains("axe v4."), "no axe-core: {:?}", printed.stderr);
    axe
}

#[tokio::test]
async fn what_is_wrong_is_found() {
    let browser = Browser::start().await;
    browser.go("data:text/html,<img src=x><input>").await;
    let faults = faults(&browser).await;
    for rule in ["html-has-lang", "image-alt", "label"] {
        assert!(
            faults.iter().any(|fault| fault["rule"] == rule),
            "{rule}: {faults:?}"
        );
    }
}
