//! The demo as somebody starts it who has just built it.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::gateway::{binary, call, command};
use crate::support::{eventually, free_port};

/// A running demo with a folder of its own. Killed when dropped.
pub(crate) struct Demo {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    management_port: u16,
    process: Child,
}

impl Demo {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, management_port) = (free_port(), free_port());
        let process = spawn(&folder, port, management_port);
        let demo = Self {
            folder,
            port,
            management_port,
            process,
        };
        demo.greeting().await;
        demo
    }

    /// As by Ctrl-C, and once more.
    pub(crate) async fn restart(&mut self) {
        let id = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        let process = &mut self.process;
        let ended = eventually("the demo to end", || {
            let ended = process.try_wait().unwrap();
            async move { ended }
        })
        .await;
        assert_eq!(ended.code(), Some(0), "{}", self.log());
        self.process = spawn(&self.folder, self.port, self.management_port);
        self.greeting().await;
    }

    /// What it prints once it can be connected to.
    pub(crate) async fn greeting(&self) -> String {
        eventually("the demo to greet", async || {
            let printed = std::fs::read_to_string(self.folder.path().join("printed")).unwrap();
            printed.contains("Ctrl-C ends the demo").then_some(printed)
        })
        .await
    }

    /// The printed link for the first administrator; `None` once there is one.
    pub(crate) async fn link(&self) -> Option<String> {
        let greeting = self.greeting().await;
        let mut lines = greeting.lines().map(str::trim);
        let link = lines.find(|line| line.contains("/.portcullis/setup?token="))?;
        Some(link.to_owned())
    }

    /// What people type.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// Tells the gateway that a user's password has changed, as any other program would.
    pub(crate) async fn password_changed(&self, user: &str) -> Value {
        let token = self.operator(&["token", "add", "a-script", "--scope", "revoke"]);
        let token = token["token"].as_str().unwrap();
        let path = format!("/v1/users/{user}/password-changed");
        let answer = call(self.management_port, token, "POST", &path, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// A command of the operator, while the demo runs.
    pub(crate) fn operator(&self, arguments: &[&str]) -> Value {
        let output = command(&self.data_dir().join("portcullis.toml"), arguments, None);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn data_dir(&self) -> PathBuf {
        data_dir(&self.folder)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

fn data_dir(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("demo")
}

fn spawn(folder: &tempfile::TempDir, port: u16, management_port: u16) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(folder.path().join("log"))
        .unwrap();
    binary()
        .arg("demo")
        .arg(format!("--listen=127.0.0.1:{port}"))
        .arg(format!("--management-listen=127.0.0.1:{management_port}"))
        .arg("--data-dir")
        .arg(data_dir(folder))
        .stdin(Stdio::null())
        .stdout(File::create(folder.path().join("printed")).unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("the demo's log:\n{log}");
        } else {
            assert!(!log.contains("panicked"), "the demo panicked:\n{log}");
        }
    }
}
