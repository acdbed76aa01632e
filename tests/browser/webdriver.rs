//! The W3C WebDriver protocol over a plain socket: a driver, and a session with one browser.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::http1::Wire;
use crate::support::{SOON, eventually, soon};

/// The key under which a reference to an element travels.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A running driver with one browser, both killed when dropped.
pub(crate) struct WebDriver {
    process: Child,
    folder: tempfile::TempDir,
    port: u16,
    session: String,
}

/// What the driver says when it can't.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// One of the protocol's error codes, such as `no such element`.
    pub(crate) error: String,
    pub(crate) message: String,
}

impl Refusal {
    /// `None`: it says no more than that the page is just coming or going. Anything else is a fault.
    pub(crate) fn passes_with_the_page(self) -> Option<()> {
        let passing = [
            "no such element",
            "stale element reference",
            "element not interactable",
        ];
        let Self { error, message } = self;
        // The driver's other word for a stale element.
        let is_gone = message.contains("does not belong to the document");
        assert!(
            is_gone || passing.contains(&error.as_str()),
            "{error}: {message}"
        );
        None
    }
}

impl WebDriver {
    /// Starts both, with a profile that nobody has used but for these preferences.
    pub(crate) async fn start(preferences: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (process, port) = eventually("the driver to start", || spawn(folder.path())).await;
        let mut driver = Self {
            process,
            folder,
            port,
            session: String::new(),
        };
        driver.session = driver.new_session(preferences).await;
        driver
    }

    async fn new_session(&self, preferences: Value) -> String {
        let profile = self.folder.path().join("profile");
        let capabilities = json!({
            "browserName": "chrome",
            // The demo makes its certificate on the spot.
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "prefs": preferences, "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--window-size=1280,900",
                format!("--user-data-dir={}", profile.display()),
            ] },
        });
        let asked = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let made = self.ask("POST", "/session", &asked).await;
        let made = made.unwrap_or_else(|refusal| panic!("no browser: {refusal:?}"));
        made["sessionId"].as_str().unwrap().to_owned()
    }

    /// A command within the session.
    pub(crate) async fn command(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let path = format!("/session/{}{path}", self.session);
        self.ask(method, &path, body).await
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, Refusal> {
        let stream = soon(
            "the driver to take a command",
            TcpStream::connect(("127.0.0.1", self.port)),
        )
        .await
        .unwrap();
        let bytes = match method {
            "POST" => body.to_string().into_bytes(),
            _ => Vec::new(),
        };
        let fields = ["Content-Type: application/json"];
        let answer = Wire::over(stream)
            .request(method, path, &fields, &bytes)
            .await;
        let mut document = answer.json();
        let value = document["value"].take();
        if answer.status == 200 {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Refusal {
            error: text("error"),
            message: text("message"),
        })
    }

    /// A command that must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let done = self.command("POST", path, &body).await;
        done.unwrap_or_else(|refusal| panic!("{path} {body}: {refusal:?}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let done = self.command("GET", path, &Value::Null).await;
        done.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"))
    }

    /// A command of the browser's own debugging protocol.
    pub(crate) async fn debug(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", body).await
    }

    /// The first element of the page that a CSS selector finds.
    pub(crate) async fn find(&self, selector: &str) -> Result<String, Refusal> {
        let asked = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "/element", &asked).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    /// The element that has the keyboard.
    pub(crate) async fn focused(&self) -> String {
        let found = self.get("/element/active").await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }
}

impl Drop for WebDriver {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the driver's log:\n{}", log(self.folder.path()));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        // A driver that ends, in whatever way, leaves its browser behind.
        end_all_in(self.folder.path());
    }
}

/// Ends every process of the browser whose profile is in a folder: until they have ended, they write
/// there.
fn end_all_in(folder: &Path) {
    let deadline = Instant::now() + SOON;
    loop {
        let left = processes_in(folder);
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for process in left {
            let _ = kill_process(process, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every process of a browser names its profile in its command line, until it has ended.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let process = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let is_in = String::from_utf8_lossy(&line).contains(folder);
            is_in.then_some(process)
        })
        .collect()
}

/// Starts a driver; its port. `None` when it gave up: the port that it chose for both of IPv4 and IPv6
/// was free for one alone.
async fn spawn(folder: &Path) -> Option<(Child, u16)> {
    let output = File::create(log_path(folder)).unwrap();
    let mut process = Command::new("chromedriver")
        .arg("--port=0")
        // Where the browser keeps what belongs to no profile.
        .env("HOME", folder)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .expect("chromedriver, which tests/run installs");
    let port = eventually("the driver to choose a port", || {
        let ended = process.try_wait().unwrap().map(|_| None);
        let chosen = chosen_port(&log(folder)).map(Some);
        async move { chosen.or(ended) }
    });
    let port = port.await?;
    Some((process, port))
}

/// From the line that says so.
fn chosen_port(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("started success"))?;
    line.rsplit(' ').next()?.trim_end_matches('.').parse().ok()
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(log_path(folder)).unwrap_or_default()
}
