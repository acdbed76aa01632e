//! Clients that hammer all nodes with whatever session they are given, as fast as they are answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::cluster::Cluster;
use crate::support::eventually;
use crate::support::http1::Wire;
use crate::support::http2::Http2;
use crate::support::websocket::WebSocket;

/// Each request's number, and when it was begun.
pub(crate) type Begun = Vec<(u64, Instant)>;

/// Streams on the HTTP/2 connection to each node.
const STREAMS: usize = 4;

/// What the clients share.
#[derive(Default)]
struct Board {
    next: AtomicU64,
    begun: Mutex<Begun>,
    /// How many requests were answered.
    answered: AtomicU64,
}

impl Board {
    /// A number for a request that begins now.
    fn begin(&self) -> u64 {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        self.begun.lock().unwrap().push((number, Instant::now()));
        number
    }

    fn end(&self) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

/// The clients. `None` is the sign to end.
pub(crate) struct Hammer {
    board: Arc<Board>,
    cookie: watch::Sender<Option<String>>,
    clients: Vec<JoinHandle<()>>,
}

/// What a client hammers with.
type Cookie = watch::Receiver<Option<String>>;

impl Hammer {
    /// Over HTTP/1.1, HTTP/2 and by opening WebSockets, at each node.
    pub(crate) async fn at(cluster: &Cluster) -> Self {
        let board = Arc::new(Board::default());
        let nobody = "__Host-Http-portcullis=nobody".to_owned();
        let (cookie, known) = watch::channel(Some(nobody));
        let mut clients = Vec::new();
        for node in &cluster.nodes {
            let port = node.port;
            let shared = Http2::connect(port).await;
            clients.push(tokio::spawn(over_http1(port, known.clone(), board.clone())));
            clients.push(tokio::spawn(over_websockets(
                port,
                known.clone(),
                board.clone(),
            )));
            for _ in 0..STREAMS {
                let client = over_http2(shared.clone(), known.clone(), board.clone());
                clients.push(tokio::spawn(client));
            }
        }
        Self {
            board,
            cookie,
            clients,
        }
    }

    /// Goes on with this session.
    pub(crate) fn takes(&self, token: &str) {
        let cookie = format!("__Host-Http-portcullis={token}");
        self.cookie.send_replace(Some(cookie));
    }

    /// Lets every client begin some more, and waits until they were answered: all requests since the
    /// last time.
    pub(crate) async fn some_more(&mut self) -> Begun {
        let enough = self.board.next.load(Ordering::SeqCst) + 4 * self.clients.len() as u64;
        eventually("some more requests", || async {
            (self.board.answered.load(Ordering::SeqCst) > enough).then_some(())
        })
        .await;
        // Those in flight count in the next round as well, with the numbers that they have.
        std::mem::take(&mut *self.board.begun.lock().unwrap())
    }

    pub(crate) async fn ends(self) {
        self.cookie.send_replace(None);
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

fn field(cookie: &Cookie) -> Option<String> {
    cookie.borrow().clone()
}

async fn over_http1(port: u16, cookie: Cookie, board: Arc<Board>) {
    let mut wire = Wire::connect(port).await;
    while let Some(cookie) = field(&cookie) {
        let field = format!("Cookie: {cookie}");
        let target = format!("/echo?number={}.", board.begin());
        let answer = wire.try_request("GET", &target, &[&field], b"").await;
        board.end();
        if answer.is_none() {
            wire = Wire::connect(port).await;
        }
    }
}

async fn over_http2(shared: Http2, cookie: Cookie, board: Arc<Board>) {
    while let Some(cookie) = field(&cookie) {
        let target = format!("/echo?number={}.", board.begin());
        // A stream that is reset is an answer as well.
        let _ = shared.get(&target, &[("cookie", &cookie)]).await;
        board.end();
    }
}

async fn over_websockets(port: u16, cookie: Cookie, board: Arc<Board>) {
    while let Some(cookie) = field(&cookie) {
        let wire = Wire::connect(port).await;
        let field = format!("Cookie: {cookie}");
        let target = format!("/ws?number={}.", board.begin());
        let fields = ["Origin: https://localhost", field.as_str()];
        let opened = WebSocket::open(wire, &target, &fields).await;
        board.end();
        if let Ok(mut socket) = opened {
            // Ends with the session, or the round would not.
            socket.hear_out().await;
        }
    }
}
