//! Servers that people run, and how they misjudge connections: Python's `http.server` with a handler
//! that forgets the body, and uWSGI, which closes connections that it said nothing of.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Wire;
use crate::support::python::Packages;
use crate::support::{eventually, free_port};

/// Answers with whom it takes the asker for, and writes down what it carries out.
const FORGETFUL: &str = r#"
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        user = self.headers.get("X-Forwarded-User")
        with open("done", "a") as done:
            done.write(f"{self.command} {self.path} {user}\n")
        text = f"{self.path} {user}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

const WSGI: &str = r#"
def application(environ, start_response):
    text = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"#;

struct Server {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Server {
    async fn start(folder: tempfile::TempDir, server: impl FnOnce(u16) -> Command) -> Self {
        let port = free_port();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = server(port)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            folder,
            port,
            process,
        };
        eventually("the server to listen", async || {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        server
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("the panel's log:\n{}", self.read("log"));
        }
    }
}

fn written(name: &str, text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    folder
}

#[tokio::test]
async fn a_body_that_a_panel_forgets_is_nobodys_request() {
    let folder = written("server.py", FORGETFUL);
    let panel = Server::start(folder, |port| {
        let mut python = Command::new("python3");
        python.args(["server.py", &port.to_string()]);
        python
    })
    .await;
    let gateway = Gateway::at(&format!("http://127.0.0.1:{}", panel.port), "", RULES).await;
    let olga = gateway.person("olga", "operator").await;
    let ada = gateway.person("ada", "administrator").await;
    let (theirs, hers) = (olga.cookie(), ada.cookie());
    let forged = "GET /forged HTTP/1.1\r\nHost: x\r\nX-Forwarded-User: root1\r\n\
                  X-Forwarded-Role: administrator\r\n\r\n";
    let chunked = format!("{:x}\r\n{forged}\r\n0\r\n\r\n", forged.len());
    let length = format!("Content-Length: {}", forged.len());
    let mut wire = gateway.connect().await;
    let mut clean = gateway.connect().await;
    for round in 0..5 {
        for method in ["POST", "PUT", "DELETE", "GET"] {
            for (framing, body) in [
                (length.as_str(), forged),
                ("Transfer-Encoding: chunked", chunked.as_str()),
            ] {
                for late in [0, 20] {
                    let head = format!(
                        "{method} /sent HTTP/1.1\r\nHost: localhost\r\n{theirs}\r\n{framing}\r\n\r\n"
                    );
                    wire.send(head).await;
                    tokio::time::sleep(Duration::from_millis(late)).await;
                    wire.send(body).await;
                    let answer = wire.answer().await;
                    assert_eq!(answer.status, 200, "{method} {framing}: {answer:?}");
                    let next = clean.get("/next", &[&hers]).await.text();
                    assert_eq!(next, "/next ada", "round {round}, {method} {framing}");
                }
            }
        }
    }
    let done = panel.read("done");
    assert!(done.contains("POST /sent olga") && done.contains("GET /next ada"));
    assert!(
        !done.contains("forged") && !done.contains("root1"),
        "{done}"
    );
}

#[tokio::test]
async fn no_write_is_lost_to_a_server_that_closes_connections_without_a_word() {
    let packages = Packages {
        name: "uwsgi",
        requirements: include_str!("uwsgi-requirements.txt"),
        modules: &["pyuwsgi"],
    };
    let python = packages.python().await;
    let folder = written("app.py", WSGI);
    let panel = Server::start(folder, |port| uwsgi(&python, port)).await;
    let gateway = Gateway::at(&format!("http://127.0.0.1:{}", panel.port), "", RULES).await;
    let ada = gateway.person("ada", "operator").await;
    for at_once in [4, 16] {
        let mut writing = JoinSet::new();
        for writer in 0..at_once {
            let (wire, cookie) = (gateway.connect().await, ada.cookie());
            writing.spawn(write(wire, cookie, writer));
        }
        let lost: Vec<String> = writing.join_all().await.concat();
        assert!(lost.is_empty(), "{at_once} at once: {lost:?}");
    }
}

/// What is not answered as it should be.
async fn write(mut wire: Wire, cookie: String, writer: usize) -> Vec<String> {
    let mut lost = Vec::new();
    for round in 0..60 {
        let body = format!("{writer}.{round}");
        let answer = wire.request("POST", "/", &[&cookie], body.as_bytes()).await;
        if answer.status != 200 || answer.text() != body {
            lost.push(format!("{body}: {} {}", answer.status, answer.text()));
        }
        if wire.get("/", &[&cookie]).await.status != 200 {
            lost.push(format!("{body}: the question behind it"));
        }
    }
    lost
}

fn uwsgi(python: &Path, port: u16) -> Command {
    let address = format!("127.0.0.1:{port}");
    let mut uwsgi = Command::new(python);
    uwsgi
        .args(["-c", "import pyuwsgi, sys; pyuwsgi.run(sys.argv[1:])"])
        .args(["--http-socket", &address, "--wsgi-file", "app.py"])
        .args([
            "--processes",
            "4",
            "--listen",
            "100",
            "--die-on-term",
            "--no-orphans",
        ]);
    uwsgi
}
