//! Calls of the management API: at the socket of the gateway that runs, else in this process.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use rustix::fs::Access;
use serde_json::Value;
use tokio::net::UnixStream;

use super::failure::{Answered, Done, Failure};
use crate::config::Config;
use crate::gateway::{self, GatewayError, Offline};
use crate::management::Door;
use crate::model::LogFormat;
use crate::shutdown::Shutdown;
use crate::telemetry;
use crate::wire::{Body, Request};

/// Makes calls.
pub(super) struct Client {
    way: Way,
}

enum Way {
    /// To the gateway that runs.
    Socket(PathBuf),
    /// No gateway runs, and none can start while this is held.
    Process(Box<Offline>),
}

impl Client {
    /// Finds the way to the API: the socket when a gateway listens there, else the store itself. While
    /// the folder is in use and nobody answers it looks again for a while: a gateway is starting or
    /// ending, or another command is at work.
    pub(super) async fn reach(config: &Config) -> Done<Self> {
        let mut tries = TRIES;
        loop {
            if let Some(running) = Self::of_running(config).await? {
                return Ok(running);
            }
            tries -= 1;
            // What is mended or odd about the folder is told, as a start tells it.
            telemetry::begin(LogFormat::Text, "warn");
            match gateway::offline(config).await {
                Ok(offline) => return Ok(Self::of(offline)),
                Err(GatewayError::InUse(_)) if tries > 0 => {
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(fault) => return Err(not_opened(fault, &socket_of(config))),
            }
        }
    }

    /// The API of the gateway that runs; `None` where none does.
    pub(super) async fn of_running(config: &Config) -> Done<Option<Self>> {
        let socket = socket_of(config);
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Some(Self {
                way: Way::Socket(socket),
            })),
            Err(fault) if nobody_listens(fault.kind()) => Ok(None),
            Err(fault) => Err(closed_socket(&socket, &fault)),
        }
    }

    /// The API in this process, over a store that is open already.
    pub(super) fn of(offline: Offline) -> Self {
        let way = Way::Process(Box::new(offline));
        Self { way }
    }

    /// Whether the calls go to a gateway that runs.
    pub(super) fn is_of_a_gateway(&self) -> bool {
        matches!(self.way, Way::Socket(_))
    }

    /// Lets go of the store, so that a gateway may start.
    pub(super) async fn leave(self) {
        if let Way::Process(offline) = self.way {
            offline.close().await;
        }
    }

    /// Makes one call; what it answers, when it succeeds.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Done<Value> {
        let request = request(method, path, body)?;
        let answering = async {
            match &self.way {
                Way::Process(offline) => {
                    let api = offline.management();
                    read(api.answer_at(Door::Process, request).await).await
                }
                Way::Socket(socket) => over(socket, request).await,
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answering).await;
        let (status, document) = answer.map_err(|_| {
            Failure::refused(format!(
                "the gateway did not answer within {} seconds; whether it did it, the audit list says",
                PATIENCE.as_secs()
            ))
        })??;
        if status.is_success() {
            Ok(document)
        } else {
            Err(refusal(status, &document))
        }
    }
}

/// A name as a segment of a path (RFC 3986 §2.3), which is never a dot segment.
pub(super) fn segment(name: &str) -> String {
    let is_dots = matches!(name, "." | "..");
    let mut segment = String::new();
    for byte in name.bytes() {
        let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_unreserved && !is_dots {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

/// Opens the store, which no gateway can use until it is let go.
pub(super) async fn open(config: &Config) -> Done<Offline> {
    gateway::offline(config)
        .await
        .map_err(|fault| Failure::Refused(fault.into()))
}

fn socket_of(config: &Config) -> PathBuf {
    config.gateway.data_dir.join("management.sock")
}

/// No socket, or one that a gateway left behind when it was killed.
fn nobody_listens(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

/// The folder is in use, and yet nobody answers.
fn not_opened(fault: GatewayError, socket: &Path) -> Failure {
    match fault {
        GatewayError::InUse(folder) => Failure::refused(format!(
            "the folder {} is in use, but nobody answers at {}; end the process that holds the \
             file {}, or wait for it",
            folder.display(),
            socket.display(),
            folder.join("lock").display(),
        )),
        fault => Failure::Refused(fault.into()),
    }
}

fn closed_socket(socket: &Path, fault: &std::io::Error) -> Failure {
    let folder = socket.parent().unwrap_or(Path::new("."));
    let owner = |path: &Path| {
        let uid = path.symlink_metadata().map(|found| found.uid());
        uid.map_or_else(
            |_| String::new(),
            |uid| format!(", which belongs to user {uid}"),
        )
    };
    // Without the right to search the folder nothing can be said of what is in it.
    let is_hidden = rustix::fs::access(folder, Access::EXEC_OK).is_err();
    match fault.kind() {
        ErrorKind::PermissionDenied if is_hidden => Failure::refused(format!(
            "this user may not look into the folder {}{}, where the state of the gateway is; run this as \
             that user, for example with sudo -u, or as root",
            folder.display(),
            owner(folder),
        )),
        ErrorKind::PermissionDenied => Failure::refused(format!(
            "this user may not speak to the gateway at {}{}; run this as that user, for example with \
             sudo -u, or as root",
            socket.display(),
            owner(socket),
        )),
        _ => Failure::refused(format!(
            "can't reach the gateway at {}: {fault}",
            socket.display()
        )),
    }
}

fn request(method: Method, path: &str, body: Option<Value>) -> Done<Request> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost");
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    Ok(request.body(body).context("can't make this call")?)
}

async fn over(socket: &Path, request: Request) -> anyhow::Result<(StatusCode, Value)> {
    let doing = || format!("the call to the gateway at {} broke off", socket.display());
    let stream = UnixStream::connect(socket).await.with_context(doing)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .with_context(doing)?;
    Shutdown::new().spawn(connection);
    let response = sender.send_request(request).await.with_context(doing)?;
    read(response.map(Body::new)).await
}

async fn read(response: http::Response<Body>) -> anyhow::Result<(StatusCode, Value)> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let document = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|fault| {
            anyhow!("the gateway answered {status} with what is no JSON: {fault}")
        })?
    };
    Ok((status, document))
}

/// What a problem document says, for a person.
fn refusal(status: StatusCode, document: &Value) -> Failure {
    let text = |field: &str| document.get(field).and_then(Value::as_str);
    let mut words = text("detail")
        .or_else(|| text("title"))
        .map_or_else(|| format!("the gateway answered {status}"), str::to_owned);
    if let Some(reference) = text("reference") {
        words.push_str(&format!(" (reference {reference})"));
    }
    let problem = document.clone();
    Failure::Refused(Answered { words, problem }.into())
}

const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

/// Far longer than any call takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(folder: &Path) -> Config {
        let folder = toml::Value::String(folder.display().to_string());
        let text = format!(
            "[gateway]\ndata_dir = {folder}\n[[panel]]\nupstream = \"http://127.0.0.1:1\"\n"
        );
        Config::parse(&text, Path::new("p.toml")).unwrap()
    }

    #[tokio::test]
    async fn without_a_gateway_the_store_itself_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let client = Client::reach(&config).await.unwrap();
        let body = json!({ "name": "ada@x", "role": "operator" });
        let call = client.call(Method::POST, "/v1/users", Some(body.clone()));
        assert_eq!(call.await.unwrap()["name"], "ada@x");
        let again = client.call(Method::POST, "/v1/users", Some(body)).await;
        let told = again.unwrap_err().to_string();
        assert_eq!(told, "there is a user of this name already");
        assert!(matches!(
            gateway::offline(&config).await,
            Err(GatewayError::InUse(_))
        ));
        client.leave().await;
        // What was done is there for the next one.
        let client = Client::reach(&config).await.unwrap();
        let path = format!("/v1/users/{}/sessions", segment("ada@x"));
        let ended = client.call(Method::DELETE, &path, None).await.unwrap();
        assert_eq!(ended["durable"], true);
    }

    #[tokio::test]
    async fn a_socket_that_a_killed_gateway_left_behind_is_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("management.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        let client = Client::reach(&config(folder.path())).await.unwrap();
        assert!(matches!(client.way, Way::Process(_)));
    }

    #[test]
    fn names_are_one_segment() {
        assert_eq!(segment("ada+x@a.b"), "ada%2Bx%40a.b");
        assert_eq!(segment(".."), "%2E%2E");
        assert_eq!(segment("a/b?c#\u{e9}"), "a%2Fb%3Fc%23%C3%A9");
    }

    #[test]
    fn problems_are_told_in_their_own_words() {
        let document = json!({ "title": "t", "detail": "it was so", "reference": "abc" });
        let told = refusal(StatusCode::CONFLICT, &document).to_string();
        assert_eq!(told, "it was so (reference abc)");
        let told = refusal(StatusCode::BAD_GATEWAY, &Value::Null).to_string();
        assert_eq!(told, "the gateway answered 502 Bad Gateway");
    }
}
