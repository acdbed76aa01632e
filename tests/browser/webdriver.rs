//! The W3C WebDriver protocol over a plain socket: a driver, and a session with one browser.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::http1::Wire;
use crate::support::{eventually, soon};

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
    /// Whether the element is not there yet, or went with its page between two commands; the driver
    /// has more than one word for that.
    pub(crate) fn is_of_an_absent_element(&self) -> bool {
        ["no such element", "stale element reference"].contains(&self.error.as_str())
            || self.message.contains("does not belong to the document")
    }
}

impl WebDriver {
    /// Starts both, with a profile that nobody has used.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("chromedriver, which tests/run installs");
        let mut driver = Self {
            process,
            folder,
            port: 0,
            session: String::new(),
        };
        driver.port = eventually("the driver to start", async || driver.chosen_port()).await;
        driver.session = driver.new_session().await;
        driver
    }

    /// From the line that says so.
    fn chosen_port(&self) -> Option<u16> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("started success"))?;
        line.rsplit(' ').next()?.trim_end_matches('.').parse().ok()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    async fn new_session(&self) -> String {
        let profile = self.folder.path().join("profile");
        let capabilities = json!({
            "browserName": "chrome",
            // The demo makes its certificate on the spot.
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
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
            eprintln!("the driver's log:\n{}", self.log());
        }
        // Told to end, the driver ends its browser; killed, it could not.
        let id = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}
