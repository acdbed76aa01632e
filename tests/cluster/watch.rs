//! Who watches a cluster while something happens to it: clients that hammer every node with a session
//! that will end and with one that will not, and connections that are open under the first.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::support::cluster::Cluster;
use crate::support::gateway::CUT;
use crate::support::http1::{Wire, tls};
use crate::support::panel::{Panel, Seen};
use crate::support::websocket::{Message, WebSocket};

/// One request: its number, when it was begun and when it was over, and what it was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) number: u64,
    pub(crate) begun: Instant,
    pub(crate) over: Instant,
    pub(crate) status: Option<u16>,
}

/// How long a client waits for an answer before it gives the connection up.
const PATIENCE: Duration = Duration::from_secs(4);
/// Between two requests of a client: the machine has other things to do as well.
const PAUSE: Duration = Duration::from_millis(2);

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Clients of one session, one on every node.
pub(crate) struct Clients {
    ends: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Tried>>>,
}

impl Clients {
    pub(crate) fn of(cluster: &Cluster, token: &str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let cookie = format!("Cookie: __Host-Http-portcullis={token}");
        let client = |port| tokio::spawn(hammer(port, cookie.clone(), ends.clone()));
        let tasks = cluster.nodes.iter().map(|node| client(node.port)).collect();
        Self { ends, tasks }
    }

    /// All that they did, in the order of its ends.
    pub(crate) async fn end(self) -> Vec<Tried> {
        self.ends.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.unwrap());
        }
        all.sort_by_key(|tried| tried.over);
        all
    }
}

async fn hammer(port: u16, cookie: String, ends: Arc<AtomicBool>) -> Vec<Tried> {
    let mut all = Vec::new();
    let mut wire = None;
    while !ends.load(Ordering::SeqCst) {
        let number = NUMBERS.fetch_add(1, Ordering::SeqCst);
        let begun = Instant::now();
        let asking = ask(&mut wire, port, number, &cookie);
        let answered = tokio::time::timeout(PATIENCE, asking).await;
        let status = answered.ok().flatten();
        if status.is_none() {
            wire = None;
        }
        let over = Instant::now();
        all.push(Tried {
            number,
            begun,
            over,
            status,
        });
        tokio::time::sleep(PAUSE).await;
    }
    all
}

async fn ask(wire: &mut Option<Wire>, port: u16, number: u64, cookie: &str) -> Option<u16> {
    if wire.is_none() {
        *wire = Some(Wire::over(tls(port, &[b"http/1.1"]).await.ok()?));
    }
    let target = format!("/echo?number={number}.");
    let wire = wire.as_mut()?;
    let answer = wire.try_request("GET", &target, &[cookie], b"").await?;
    Some(answer.status)
}

/// For how long after the answer requests were begun that reached the panel all the same.
pub(crate) fn acted_after(panel: &Panel, tried: &[Tried], answered: Instant) -> Duration {
    let seen = numbers(&panel.seen());
    let late = tried.iter().filter(|one| one.begun > answered);
    let through = late.filter(|one| seen.contains(&one.number));
    through
        .map(|one| one.begun - answered)
        .max()
        .unwrap_or_default()
}

/// The numbers of requests that reached the panel.
pub(crate) fn numbers(seen: &[Seen]) -> HashSet<u64> {
    let number = |line: &str| {
        let rest = line.split("number=").nth(1)?;
        rest.split('.').next()?.parse().ok()
    };
    let lines = seen.iter().map(|seen| seen.request_line());
    lines.filter_map(number).collect()
}

/// The longest time in which nobody was served by any node.
pub(crate) fn longest_gap(tried: &[Tried]) -> Duration {
    let served = tried.iter().filter(|one| one.status == Some(200));
    let mut last: Option<Instant> = None;
    let mut longest = Duration::ZERO;
    for one in served {
        longest = longest.max(last.map_or(Duration::ZERO, |last| one.over - last));
        last = Some(one.over);
    }
    longest
}

/// WebSockets of one session, one on every node.
pub(crate) struct Sockets(Vec<JoinHandle<Option<Instant>>>);

impl Sockets {
    pub(crate) async fn open(cluster: &Cluster, token: &str) -> Self {
        let cookie = format!("Cookie: __Host-Http-portcullis={token}");
        let mut tasks = Vec::new();
        for node in &cluster.nodes {
            let fields = ["Origin: https://localhost", &cookie];
            let opened = WebSocket::open(node.connect().await, "/ws", &fields).await;
            let mut socket = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
            socket.check_echo().await;
            tasks.push(tokio::spawn(last_word(socket)));
        }
        Self(tasks)
    }

    /// How long after the answer the last of them carried something. They all have to end.
    pub(crate) async fn carried_after(self, answered: Instant) -> Duration {
        let mut longest = Duration::ZERO;
        for task in self.0 {
            let last = task.await.expect("the connection to be cut");
            longest = longest.max(last.map_or(Duration::ZERO, |last| {
                last.saturating_duration_since(answered)
            }));
        }
        longest
    }
}

/// When the last word of the panel came.
async fn last_word(mut socket: WebSocket) -> Option<Instant> {
    let mut last = None;
    while let Some(message) = socket.hear().await {
        if let Message::Text(_) = message {
            last = Some(Instant::now());
        }
    }
    last
}

/// No open connection of a session may live longer than this after the answer; the harness is slow.
pub(crate) const CUT_AT_LAST: Duration = CUT.saturating_add(Duration::from_millis(300));
