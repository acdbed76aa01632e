//! A gateway whose `[gateway]` section is a block of the document, in front of a panel that records.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use tokio::net::TcpStream;

use crate::support::gateway::{binary, command};
use crate::support::panel::Panel;
use crate::support::person::PASSWORD;
use crate::support::{eventually, free_port};

pub(crate) const HOST: &str = "panel.example.org";

/// A running gateway. Killed when dropped.
pub(crate) struct Behind {
    pub(crate) panel: Panel,
    folder: tempfile::TempDir,
    process: Child,
}

impl Behind {
    /// With this `[gateway]` section, on a port that stands in it, and this limit of guesses from one address.
    pub(crate) async fn start(section: &str, port: u16, guesses: usize) -> Self {
        let panel = Panel::start().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        let (management, upstream) = (free_port(), panel.port);
        let text = format!(
            "{section}
data_dir = \"{path}/data\"
workers = 2
accept_risk = [\"development-certificate\", \"no-second-factor\"]
[tls]
certificate = \"{path}/gateway.pem\"
key = \"{path}/gateway.key\"
development = true
[second_factor]
required = false
[throttle]
per_address = \"{guesses}/15m\"
[management]
listen = \"127.0.0.1:{management}\"
[[panel]]
upstream = \"http://127.0.0.1:{upstream}\"
[[panel.rule]]
path = \"/static/\"
allow = [\"anyone\"]
"
        );
        let config = folder.path().join("portcullis.toml");
        fs::write(&config, text).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = binary()
            .arg("--config")
            .arg(&config)
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let behind = Self {
            panel,
            folder,
            process,
        };
        listens(port).await;
        let add = [
            "user",
            "add",
            "ada",
            "--role",
            "operator",
            "--password-stdin",
        ];
        let added = command(&config, &add, Some(PASSWORD));
        assert!(added.status.success(), "{added:?}");
        behind
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The one value of a field in the last request that the panel got.
    pub(crate) fn told(&self, field: &str) -> String {
        let seen = self.panel.seen();
        let seen = seen.last().expect("a request at the panel");
        let values = seen.all(field);
        assert_eq!(values.len(), 1, "{field} in {}", seen.head);
        values[0].to_owned()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{}", self.log());
        }
    }
}

/// Waits until somebody listens there.
pub(crate) async fn listens(port: u16) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("somebody to listen", async || {
        TcpStream::connect(address).await.ok()
    })
    .await;
}
