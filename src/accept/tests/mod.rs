//! The room driven from outside, over real sockets on loopback.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};

use super::*;
use crate::wire::Body;

mod in_memory;
mod over_tls;
mod plain;

/// Between two pieces of a body.
const PAUSE: Duration = Duration::from_millis(50);

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers by path, and counts what it was asked.
#[derive(Clone)]
struct Panel {
    asked: Arc<AtomicUsize>,
    shutdown: Shutdown,
}

impl Handler for Panel {
    async fn handle(
        &self,
        connection: Arc<Connection>,
        mut request: Request<Received>,
    ) -> Response {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            connection.head_fault(),
            None,
            "a stand-in reached the handler"
        );
        match request.uri().path() {
            "/panic" => std::panic::resume_unwind(Box::new("as asked")),
            "/never" => std::future::pending().await,
            "/refused" => said(StatusCode::UNAUTHORIZED, "no"),
            "/events" => Response::new(Scripted::body(b"data: x\n\n", PAUSE, usize::MAX)),
            "/flood" => Response::new(Scripted::body(&[b'x'; 65536], Duration::ZERO, usize::MAX)),
            "/broken" => Response::new(Scripted::body(b"half", PAUSE, 1)),
            "/close" => {
                connection.closer().cancel();
                std::future::pending().await
            }
            "/flood-and-close" => {
                let closer = connection.closer().clone();
                self.shutdown.spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    closer.cancel();
                });
                Response::new(Scripted::body(&[b'x'; 65536], Duration::ZERO, usize::MAX))
            }
            "/tunnel" => self.tunnel(&connection, request),
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                said(StatusCode::OK, "slow")
            }
            path => {
                let text = format!("{} {path}", request.method());
                match request.body_mut().collect().await {
                    Ok(body) => said(StatusCode::OK, &format!("{text} {}", body.to_bytes().len())),
                    Err(_) => said(StatusCode::BAD_REQUEST, "broken body"),
                }
            }
        }
    }
}

impl Panel {
    /// An echo after an upgrade.
    fn tunnel(&self, connection: &Connection, mut request: Request<Received>) -> Response {
        connection.becomes_tunnel();
        let upgraded = hyper::upgrade::on(&mut request);
        self.shutdown.spawn(async move {
            let mut io = TokioIo::new(upgraded.await.unwrap());
            let mut buf = [0; 64];
            while let Ok(count @ 1..) = io.read(&mut buf).await {
                io.write_all(&buf[..count]).await.unwrap();
            }
        });
        let mut response = Response::new(Body::empty());
        if request.method() != Method::CONNECT {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("echo"));
        }
        response
    }
}

fn said(status: StatusCode, text: &str) -> Response {
    let mut response = Response::new(Body::from(text.to_owned()));
    *response.status_mut() = status;
    response
}

/// A body that never ends in good order.
struct Scripted {
    piece: &'static [u8],
    pause: Duration,
    /// After so many pieces it fails.
    pieces: usize,
    timer: Pin<Box<Sleep>>,
}

impl Scripted {
    fn body(piece: &'static [u8], pause: Duration, pieces: usize) -> Body {
        let timer = Box::pin(tokio::time::sleep(pause));
        Body::new(Self {
            piece,
            pause,
            pieces,
            timer,
        })
    }
}

impl http_body::Body for Scripted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        ready!(self.timer.as_mut().poll(cx));
        let next = Instant::now() + self.pause;
        self.timer.as_mut().reset(next);
        let Some(left) = self.pieces.checked_sub(1) else {
            return Poll::Ready(Some(Err(io::Error::other("fails as asked"))));
        };
        self.pieces = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.piece)))))
    }
}

/// For everybody, and believing nobody.
fn entrance<H>(
    handler: H,
    tls: Option<Arc<ServerConfig>>,
    clocks: Clocks,
    shutdown: &Shutdown,
) -> Entrance<H> {
    Entrance {
        handler,
        tls,
        proxies: Arc::default(),
        guests: Guests::Everyone,
        crowd: Crowd::new(1000, 1000),
        clocks,
        shutdown: shutdown.clone(),
    }
}

struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    shutdown: Shutdown,
}

impl Server {
    fn start(clocks: Clocks, tls: Option<Arc<ServerConfig>>) -> Self {
        let mut workers =
            bind(&["127.0.0.1:0".parse().unwrap()], 1, &mut Handed::default()).unwrap();
        let listener = workers.remove(0).remove(0);
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let asked = Arc::new(AtomicUsize::new(0));
        let panel = Panel {
            asked: Arc::clone(&asked),
            shutdown: shutdown.clone(),
        };
        let entrance = entrance(panel, tls, clocks, &shutdown);
        shutdown.spawn(serve(listener, entrance));
        Self {
            address,
            asked,
            shutdown,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// Everything that comes back for `text`, until the connection ends.
    async fn exchange(&self, text: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        client.send(text).await;
        client.rest().await
    }
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).await.unwrap();
    }

    /// Reads until the text has come; returns all up to its end.
    async fn until(&mut self, text: &str) -> String {
        timeout(PATIENCE, async {
            loop {
                let found = self
                    .read
                    .windows(text.len())
                    .position(|part| part == text.as_bytes());
                if let Some(at) = found {
                    let rest = self.read.split_off(at + text.len());
                    let all = std::mem::replace(&mut self.read, rest);
                    return String::from_utf8_lossy(&all).into_owned();
                }
                let count = self.stream.read_buf(&mut self.read).await.unwrap();
                let so_far = String::from_utf8_lossy(&self.read);
                assert!(count > 0, "ended before {text:?}: {so_far:?}");
            }
        })
        .await
        .expect(text)
    }

    /// Reads until the connection ends in good order.
    async fn rest(&mut self) -> String {
        let reading = self.stream.read_to_end(&mut self.read);
        timeout(PATIENCE, reading)
            .await
            .expect("stays open")
            .expect("ends in good order");
        String::from_utf8_lossy(&self.read).into_owned()
    }
}
