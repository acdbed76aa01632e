//! A panel that runs as a process of its own, with a folder of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use crate::support::http1::{Answer, Wire};
use crate::support::{eventually, free_port};

/// A running panel. Killed when dropped.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
    process: Child,
}

impl Served {
    /// Starts `server`, which is told its port, in `folder`.
    pub(crate) fn start(folder: tempfile::TempDir, server: impl FnOnce(u16) -> Command) -> Self {
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = server(port)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            folder,
            port,
            process,
        }
    }

    /// Waits until it answers somebody who comes past the gateway.
    pub(crate) async fn answers(&self, path: &str) -> Answer {
        let answer = eventually("the panel to answer", async || {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            Wire::over(stream).try_request("GET", path, &[], b"").await
        });
        answer.await
    }

    pub(crate) fn upstream(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder().join("log")).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the panel's log:\n{}", self.log());
        }
    }
}
