//! What must not even compile: a permit made outside the gate, a session from half a sign-in, an
//! answer of success without a commit, and an outcome of which only the good half is told.
//!
//! Each file of `tests/compile_fail/` names in its first line the errors that the compiler must find,
//! and no others; what is not marked as wrong in it has to be right. Compiled with rustc against the
//! library that this test is linked with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on should say where"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn what_is_not_proven_cannot_be_spelled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 4, "the cases are missing: {cases:?}");
    for case in cases {
        let text = std::fs::read_to_string(&case).unwrap();
        let first = text.lines().next().unwrap();
        let expected: BTreeSet<&str> = first.trim_start_matches("//~").split_whitespace().collect();
        let messages = compile(&case);
        let found: BTreeSet<&str> = messages.lines().filter_map(error).collect();
        assert_eq!(found, expected, "{}:\n{messages}", case.display());
    }
}

/// The number of an error, or the word for a value that is dropped and must be used.
fn error(line: &str) -> Option<&str> {
    if line.starts_with("error: unused") && line.contains("must be used") {
        return Some("must-use");
    }
    line.strip_prefix("error[")?.split(']').next()
}

/// What the compiler says to one file.
fn compile(case: &Path) -> String {
    let (library, folder) = library();
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "lib",
            "--emit",
            "metadata",
        ])
        .arg("-o")
        .arg(std::env::temp_dir().join(format!("compile-fail-{}.rmeta", std::process::id())))
        .arg("--extern")
        .arg(format!("portcullis={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", folder.display()))
        .arg(case)
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

/// The library that was built last, which is the one that this test was built with.
fn library() -> (PathBuf, PathBuf) {
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .to_owned();
    let newest = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| {
            let name = entry.file_name().into_string().unwrap();
            name.starts_with("libportcullis-") && name.ends_with(".rlib")
        })
        .max_by_key(|entry| entry.metadata().unwrap().modified().unwrap());
    (newest.unwrap().path(), folder)
}
