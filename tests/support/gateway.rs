//! A gateway: the built binary with a configuration and a data folder of its own.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http1::{Answer, Wire};
use super::http2::Http2;
use super::panel::Panel;
use super::secrets;
use super::{SOON, eventually, free_port};

/// The rules of most tests: `/static/` is open to anyone, `POST` below `/users/` to administrators.
pub const RULES: &str = r#"
  [[panel.rule]]
  path  = "/static/"
  allow = "anyone"
  [[panel.rule]]
  path    = "/users/"
  methods = ["POST"]
  allow   = ["administrator"]
  [[panel.rule]]
  path           = "/fresh/"
  reauthenticate = "1s"
"#;

/// What is written in the configuration of a gateway.
pub struct Written<'a> {
    pub upstream: &'a str,
    /// More lines of its own section.
    pub lines: &'a str,
    pub sections: &'a str,
    pub rules: &'a str,
    /// Where it listens.
    pub address: IpAddr,
    /// The port of the external URL, where it is not the one on which it listens: several gateways
    /// have one address, as people see them.
    pub external_port: Option<u16>,
}

/// A running gateway. Killed when dropped.
pub struct Gateway {
    folder: tempfile::TempDir,
    pub port: u16,
    pub external_port: u16,
    pub management_port: u16,
    process: Option<Child>,
}

impl Gateway {
    /// In front of a panel, with [`RULES`].
    pub async fn in_front_of(panel: &Panel) -> Self {
        Self::with(panel, "", RULES).await
    }

    /// With more sections of configuration, and with other rules.
    pub async fn with(panel: &Panel, sections: &str, rules: &str) -> Self {
        Self::at(&format!("http://127.0.0.1:{}", panel.port), sections, rules).await
    }

    /// With more lines in its own section.
    pub async fn with_lines(panel: &Panel, lines: &str) -> Self {
        let upstream = format!("http://127.0.0.1:{}", panel.port);
        Self::written(&upstream, lines, "", RULES).await
    }

    /// In front of any upstream.
    pub async fn at(upstream: &str, sections: &str, rules: &str) -> Self {
        Self::written(upstream, "", sections, rules).await
    }

    async fn written(upstream: &str, lines: &str, sections: &str, rules: &str) -> Self {
        let mut gateway = Self::laid_out(&Written {
            upstream,
            lines,
            sections,
            rules,
            address: Ipv4Addr::LOCALHOST.into(),
            external_port: None,
        });
        gateway.start().await;
        gateway
    }

    /// Its folder alone; it runs once it is started.
    pub fn laid_out(written: &Written<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, management_port) = (free_port(), free_port());
        let external_port = written.external_port.unwrap_or(port);
        let path = folder.path().display();
        let address = |port| SocketAddr::from((written.address, port));
        let (listen, management) = (address(port), address(management_port));
        let Written {
            upstream,
            lines,
            sections,
            rules,
            ..
        } = written;
        let text = format!(
            r#"[gateway]
listen = ["{listen}"]
external_url = "https://localhost:{external_port}"
data_dir = "{path}/data"
workers = 2
{lines}
[tls]
certificate = "{path}/gateway.pem"
key = "{path}/gateway.key"
development = true
[management]
listen = "{management}"
{sections}
[[panel]]
name = "test panel"
upstream = "{upstream}"
{rules}"#
        );
        std::fs::write(folder.path().join("portcullis.toml"), text).unwrap();
        Self {
            folder,
            port,
            external_port,
            management_port,
            process: None,
        }
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        let mut command = binary();
        command.stdin(Stdio::null());
        self.run(command);
        self.answers().await;
    }

    /// Starts it as a supervisor does that is told of its state at a socket and has listened already.
    pub async fn start_supervised(&mut self, notify: &Path, listener: TcpListener) {
        let mut command = Command::new("bash");
        // The first socket is number 3.
        let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"";
        command
            .args(["-c", script])
            .arg(env!("CARGO_BIN_EXE_portcullis"));
        command.env("LISTEN_FDS", "1").env("NOTIFY_SOCKET", notify);
        command.stdin(OwnedFd::from(listener));
        self.run(command);
        self.answers().await;
    }

    /// Starts it at the end of a script of the shell, which begins it with `exec "$@"`.
    pub async fn start_by(&mut self, script: &str) {
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-ec", script, "bash"]);
        command.arg(env!("CARGO_BIN_EXE_portcullis"));
        command.stdin(Stdio::null());
        self.run(command);
        self.answers().await;
    }

    /// Starts it by a program that runs what follows, like `ip netns exec NAME`.
    pub async fn start_under(&mut self, program: &[&str]) {
        let [program, arguments @ ..] = program else {
            panic!("no program");
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(env!("CARGO_BIN_EXE_portcullis"));
        command.stdin(Stdio::null());
        self.run(command);
        self.answers().await;
    }

    /// Starts it where it can't start: what it says, and its exit code.
    pub fn refuses_to_start(&self, code: i32) -> String {
        let mut command = binary();
        command.arg("--config").arg(self.config()).arg("serve");
        let output = run_to_its_end(&mut command);
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        for mark in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!told.contains(mark), "{told}");
        }
        let given_away = secrets::given_away_by(&told);
        assert!(given_away.is_empty(), "gives away {given_away:?}: {told}");
        told
    }

    /// A file of its data folder as the gateway sees it, whatever is mounted there.
    pub fn within(&self, name: &str) -> PathBuf {
        let folder = self.data_dir();
        let folder = folder.strip_prefix("/").unwrap();
        let root = format!("/proc/{}/root", self.process_id());
        Path::new(&root).join(folder).join(name)
    }

    fn run(&mut self, mut command: Command) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        command.arg("--config").arg(self.config()).arg("serve");
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    async fn answers(&self) {
        let port = self.port;
        let answers = eventually("the gateway to answer", async || {
            let stream = super::http1::tls(port, &[b"http/1.1"]).await.ok()?;
            Wire::over(stream)
                .try_request("GET", "/.portcullis/login", &["Accept: text/html"], b"")
                .await
        });
        // Where the portal has a host of its own, its pages are closed on this one.
        assert!([200, 403].contains(&answers.await.status));
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Ends it as an operator would; its exit code.
    pub async fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.ended().await
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_child(self.process.as_ref().unwrap());
        kill_process(id, signal).unwrap();
    }

    /// Waits until it has ended, as it was told to; its exit code.
    pub async fn ended(&mut self) -> i32 {
        let mut process = self.process.take().unwrap();
        let code = eventually("the gateway to end", || {
            let ended = process.try_wait().unwrap();
            async move { ended }
        });
        code.await.code().unwrap()
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    /// Asks it to look at its files.
    pub fn hang_up(&self) {
        let id = rustix::process::Pid::from_child(self.process.as_ref().unwrap());
        rustix::process::kill_process(id, rustix::process::Signal::HUP).unwrap();
    }

    /// Changes what is written in its configuration.
    pub fn rewrite(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(old), "no {old} in {text}");
        std::fs::write(self.config(), text.replace(old, new)).unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.path().join("portcullis.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn process_id(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// A line of `/proc/PID/status` in KiB: `VmRSS`, `VmHWM`.
    pub fn memory_kib(&self, line: &str) -> u64 {
        let id = self.process_id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|text| text.starts_with(line)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// A connection for people's requests.
    pub async fn connect(&self) -> Wire {
        Wire::connect(self.port).await
    }

    /// The same over HTTP/2.
    pub async fn connect_http2(&self) -> Http2 {
        Http2::connect(self.port).await
    }

    /// A command of the operator, with `--json`.
    pub fn operator(&self, arguments: &[&str]) -> Value {
        let output = self.command(arguments, None);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// The audit list, whose numbers have to grow.
    pub fn audit(&self) -> Vec<Value> {
        let list = self.operator(&["audit", "list"]);
        let list = list.as_array().unwrap();
        let numbers: Vec<u64> = list
            .iter()
            .map(|entry| entry["seq"].as_u64().unwrap())
            .collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        list.clone()
    }

    /// Adds an operator who has the password of [`super::person::PASSWORD`] already.
    pub fn add_with_password(&self, name: &str) {
        let arguments = [
            "user",
            "add",
            name,
            "--role",
            "operator",
            "--password-stdin",
        ];
        let output = self.command(&arguments, Some(super::person::PASSWORD));
        assert!(output.status.success(), "{output:?}");
    }

    /// The same as it comes, with something to read on its standard input.
    pub fn command(&self, arguments: &[&str], input: Option<&str>) -> Output {
        command(&self.config(), arguments, input)
    }

    /// A management token of these scopes.
    pub fn token(&self, scopes: &str) -> String {
        let name = format!("token-{}", free_port());
        let made = self.operator(&["token", "add", &name, "--scope", scopes]);
        let token = made["token"].as_str().unwrap();
        secrets::keep(token);
        token.to_owned()
    }

    /// A call of a program.
    pub async fn call(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        call(self.management_port, token, method, path, body).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let log = self.log();
        self.kill();
        if std::thread::panicking() {
            eprintln!("the gateway's log:\n{log}");
        }
        assert!(
            std::thread::panicking() || !log.contains("panicked"),
            "the gateway panicked:\n{log}"
        );
        let given_away = secrets::given_away_by(&log);
        assert!(
            std::thread::panicking() || given_away.is_empty(),
            "the log gives away {given_away:?}:\n{log}"
        );
    }
}

/// The built binary.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.env("RUST_BACKTRACE", "0").env_remove("RUST_LOG");
    command
}

/// Runs something that must end by itself.
pub fn run_to_its_end(command: &mut Command) -> Output {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + SOON;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{command:?} goes on: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// A command with `--json` and a configuration.
pub fn command(config: &Path, arguments: &[&str], input: Option<&str>) -> Output {
    let mut child = binary()
        .arg("--config")
        .arg(config)
        .args(arguments)
        .arg("--json")
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(input) = input {
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(input.as_bytes()).unwrap();
    }
    child.wait_with_output().unwrap()
}

/// A call of a program to whatever gateway has this port for them.
pub async fn call(port: u16, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let mut wire = Wire::connect(port).await;
    let bearer = format!("Authorization: Bearer {token}");
    let mut fields = vec![bearer.as_str()];
    if !body.is_empty() {
        fields.push("Content-Type: application/json");
    }
    wire.request(method, path, &fields, body.as_bytes()).await
}

/// How long promise 2 gives every open connection.
pub const CUT: Duration = Duration::from_secs(1);
const _: () = assert!(CUT.as_secs() < SOON.as_secs());
