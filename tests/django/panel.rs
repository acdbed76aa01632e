//! Django with its admin, served from a project of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::python::{python, run, sources};
use crate::support::http1::Wire;
use crate::support::{eventually, free_port};

pub(crate) const USER: &str = "root";
pub(crate) const PASSWORD: &str = "a password of the panel's own";

/// How long a command of Django may take.
const COMMAND: Duration = Duration::from_secs(120);

/// A running Django. Killed when dropped.
pub(crate) struct Panel {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    process: Child,
}

impl Panel {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&sources().join("project"), folder.path());
        let python = tokio::task::spawn_blocking(python).await.unwrap();
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
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new(&python)
            .current_dir(folder.path())
            .args(["-m", "waitress", "--no-clear-untrusted-proxy-headers"])
            .args([&format!("--listen=127.0.0.1:{port}"), "wsgi:application"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let panel = Self {
            folder,
            port,
            process,
        };
        panel.answers().await;
        panel
    }

    /// Waits until it answers: to somebody who comes past the gateway, that this isn't TLS.
    async fn answers(&self) {
        let answer = eventually("Django to answer", async || {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            Wire::over(stream)
                .try_request("GET", "/admin/", &[], b"")
                .await
        });
        let answer = answer.await;
        assert_eq!(answer.status, 301, "{}", self.log());
        assert_eq!(answer.header("location"), Some("https://localhost/admin/"));
        fs::remove_file(self.folder.path().join("requests")).unwrap();
    }

    /// What it was sent, request by request.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let record = fs::read_to_string(self.folder.path().join("requests")).unwrap_or_default();
        record
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// A file that it took in.
    pub(crate) fn uploaded(&self, name: &str) -> Vec<u8> {
        let path = self.folder.path().join("media/documents").join(name);
        fs::read(&path).unwrap_or_else(|fault| panic!("{name}: {fault}\n{}", self.log()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the panel's log:\n{}", self.log());
        }
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
