//! Where attacks take place: one gateway, built and started as operators do, before one panel.
//!
//! The tests of this binary share it, one after the other, so that what the panel saw belongs to one
//! attack. It ends with the last test that uses it.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use portcullis::shutdown::Shutdown;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_rustls::client::TlsStream;

use crate::browser::Browser;
use crate::http1::Client;
use crate::panel::Panel;
use crate::unverified;

const HOST: &str = "panel.example";
const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
/// Long enough for somebody without a second factor.
pub(crate) const PASSWORD: &str = "plum tractor elbow lamp";
pub(crate) const OPERATOR: &str = "olga";

/// Who attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    Operator,
}

/// One gateway, one panel, and who may do what.
pub(crate) struct Arena {
    gateway: Process,
    folder: tempfile::TempDir,
    panel: Panel,
    public: SocketAddr,
    management: SocketAddr,
    /// The operator's session.
    operator: String,
    /// A management token with every scope.
    token: String,
    tasks: Shutdown,
}

/// The arena, for as long as a test has its turn.
pub(crate) struct Turn {
    arena: Arc<Arena>,
    _turn: OwnedMutexGuard<()>,
}

/// A process that ends with its owner.
struct Process(Child);

/// What the tests share: the arena while one of them holds it, and the queue for it.
struct Stage {
    arena: Weak<Arena>,
    turn: Option<Arc<Mutex<()>>>,
}

static STAGE: Mutex<Stage> = Mutex::const_new(Stage {
    arena: Weak::new(),
    turn: None,
});

impl Turn {
    /// Waits for the arena.
    pub(crate) async fn next() -> Self {
        let mut stage = STAGE.lock().await;
        let arena = match stage.arena.upgrade() {
            Some(arena) => arena,
            None => {
                let arena = Arc::new(Arena::open().await);
                stage.arena = Arc::downgrade(&arena);
                arena
            }
        };
        let turn = Arc::clone(stage.turn.get_or_insert_default());
        drop(stage);
        let turn = turn.lock_owned().await;
        arena.panel.forget();
        Self { arena, _turn: turn }
    }
}

impl Deref for Turn {
    type Target = Arena;

    fn deref(&self) -> &Arena {
        &self.arena
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.panel.forget();
        }
    }
}

impl Arena {
    /// A gateway of one test alone, for what ends everybody's sessions.
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let panel = Panel::start();
        let (public, management) = (free_port(), free_port());
        let config = CONFIG
            .replace("PUBLIC", &public.to_string())
            .replace("MANAGEMENT", &management.to_string())
            .replace("PANEL", &panel.address().to_string())
            .replace("FOLDER", folder.path().to_str().unwrap());
        fs::write(folder.path().join("portcullis.toml"), config).unwrap();
        let mut arena = Self {
            gateway: Process::serve(folder.path()),
            folder,
            panel,
            public,
            management,
            operator: String::new(),
            token: String::new(),
            tasks: Shutdown::new(),
        };
        arena.wait_until_it_serves().await;
        let added = arena.json(&[
            "token",
            "add",
            "all",
            "--scope",
            "revoke,users,read",
            "--json",
        ]);
        arena.token = added["token"].as_str().unwrap().to_owned();
        arena.panel.must_not_see(&arena.token);
        arena.operator = arena.sign_in(OPERATOR).await.session();
        arena
    }

    pub(crate) fn panel(&self) -> &Panel {
        &self.panel
    }

    /// The host that people type.
    pub(crate) fn host(&self) -> &'static str {
        HOST
    }

    /// The owner of what a test leaves running; it ends with the runtime of the test.
    pub(crate) fn tasks(&self) -> &Shutdown {
        &self.tasks
    }

    pub(crate) fn token(&self, who: Who) -> Option<&str> {
        match who {
            Who::Nobody => None,
            Who::Operator => Some(&self.operator),
        }
    }

    pub(crate) fn management_token(&self) -> &str {
        &self.token
    }

    /// A TLS connection to the public listener that agreed on `protocol`.
    pub(crate) async fn connect(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        unverified::connect(self.public, HOST, protocol).await
    }

    /// Calls the management API.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let stream = unverified::connect(self.management, HOST, b"http/1.1").await;
        let mut client = Client::over(stream);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.management,
            self.token,
            body.len()
        );
        client.send(request.as_bytes()).await;
        let answer = client.answer_to(method).await.unwrap();
        let json = serde_json::from_slice(&answer.body).unwrap_or_default();
        (answer.status, json)
    }

    /// Runs a command; its output, or what it complained about.
    pub(crate) fn command(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(BINARY)
            .arg("--config")
            .arg(self.folder.path().join("portcullis.toml"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let done = child.wait_with_output().unwrap();
        if done.status.success() {
            Ok(String::from_utf8(done.stdout).unwrap())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.command(arguments, "").unwrap()).unwrap()
    }

    /// The path of a fresh set-up link for a new operator.
    pub(crate) fn invite(&self, name: &str) -> String {
        let added = self.json(&["user", "add", name, "--role", "operator", "--json"]);
        let link = added["setup_url"].as_str().unwrap();
        let (_, path) = link.split_once(HOST).unwrap();
        path.to_owned()
    }

    /// A session of a user, who is added when there is none of this name.
    pub(crate) async fn sign_in(&self, name: &str) -> Browser {
        let known = self.json(&["user", "list", "--json"]);
        let is_known = known
            .as_array()
            .unwrap()
            .iter()
            .any(|user| user["name"] == name);
        let mut browser = Browser::default();
        let answer = if is_known {
            browser.log_in(self, name, PASSWORD).await
        } else {
            browser.set_up(self, &self.invite(name), PASSWORD).await
        };
        assert_eq!(answer.status, 303, "{}", answer.text());
        let session = browser.session();
        assert_eq!(
            session.len(),
            43,
            "{name} has no session: {:?}",
            browser.jar
        );
        self.panel.must_not_see(&session);
        browser
    }

    /// What the gateway wrote to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log_of(self.folder.path())).unwrap_or_default()
    }

    /// The end of that, for the message of a failure.
    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Ends the gateway without a warning and starts it again on the same folder.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.gateway.kill();
        self.gateway = Process::serve(self.folder.path());
        self.wait_until_it_serves().await;
    }

    async fn wait_until_it_serves(&mut self) {
        let begun = Instant::now();
        while TcpStream::connect(self.public).await.is_err() {
            let ended = self.gateway.0.try_wait().unwrap();
            assert!(ended.is_none(), "the gateway ended: {}", self.last_words());
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{}",
                self.last_words()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Process {
    fn serve(folder: &Path) -> Self {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(log_of(folder))
            .unwrap();
        let child = Command::new(BINARY)
            .arg("--config")
            .arg(folder.join("portcullis.toml"))
            .arg("serve")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("gateway.log")
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

const CONFIG: &str = r#"
[gateway]
listen = ["PUBLIC"]
external_url = "https://panel.example"
data_dir = "FOLDER/var"
workers = 2

[tls]
certificate = "FOLDER/gateway.pem"
key = "FOLDER/gateway.key"
development = true

[session]
max_per_user = 50

[second_factor]
required = ["administrator"]

[management]
listen = "MANAGEMENT"

[[panel]]
name = "panel"
upstream = "http://PANEL"

  [[panel.rule]]
  path = "/static/"
  allow = "anyone"

  [[panel.rule]]
  path = "/users/"
  methods = ["POST"]
  allow = ["administrator"]
"#;
