//! Django with its admin, served from a project of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::served::Served;
use crate::support::python::{Packages, run};

pub(crate) const USER: &str = "root";
pub(crate) const PASSWORD: &str = "a password of the panel's own";

/// How long a command of Django may take.
const COMMAND: Duration = Duration::from_secs(120);

const PACKAGES: Packages = Packages {
    name: "django",
    requirements: include_str!("requirements.txt"),
    modules: &["django", "waitress"],
};

/// A running Django.
pub(crate) struct Panel(Served);

impl Panel {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/panels/django/project");
        copy(&project, folder.path());
        let python = PACKAGES.python().await;
        let django = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            command
                .current_dir(folder.path())
                .arg("manage.py")
                .args(arguments)
                .env("DJANGO_SUPERUSER_PASSWORD", PASSWORD);
            run(&mut command, COMMAND);
        };
        django(&["migrate", "--run-syncdb", "--verbosity", "0"]);
        django(&[
            "createsuperuser",
            "--noinput",
            "--username",
            USER,
            "--email",
            "root@panel.test",
        ]);
        let served = Served::start(folder, |port| {
            let mut command = Command::new(&python);
            command
                .args(["-m", "waitress", "--no-clear-untrusted-proxy-headers"])
                .args([&format!("--listen=127.0.0.1:{port}"), "wsgi:application"]);
            command
        });
        // To somebody who comes past the gateway it says that this isn't TLS.
        let answer = served.answers("/admin/").await;
        assert_eq!(answer.status, 301, "{}", served.log());
        assert_eq!(answer.header("location"), Some("https://localhost/admin/"));
        fs::remove_file(served.folder().join("requests")).unwrap();
        Self(served)
    }

    pub(crate) fn upstream(&self) -> String {
        self.0.upstream()
    }

    /// What it was sent, request by request.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let record = fs::read_to_string(self.0.folder().join("requests")).unwrap_or_default();
        record
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// A file that it took in.
    pub(crate) fn uploaded(&self, name: &str) -> Vec<u8> {
        let path = self.0.folder().join("media/documents").join(name);
        fs::read(&path).unwrap_or_else(|fault| panic!("{name}: {fault}\n{}", self.0.log()))
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
