//! A node that stands still between the verdict and a byte: whatever it was waiting for has come when it
//! goes on, and the session has ended meanwhile. It carries nothing more, in either direction. All that
//! is counted is counted from the answer of the revocation.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::support::cluster::{Cluster, local};
use crate::support::http1::Wire;
use crate::support::http2::head;
use crate::support::network::{Road, Way};
use crate::support::own_tls::OwnTls;
use crate::support::websocket::{HANDSHAKE, Message, WebSocket, client_frame};
use crate::support::{eventually, soon};

use super::trial::{PLAIN, Trial};

/// As a race is run more than once.
const ROUNDS: usize = 3;

/// The node that stands still.
const STILL: usize = 1;

impl Trial {
    async fn of_two(sections: &str) -> Self {
        Self::of(Cluster::with(2, &format!("{PLAIN}{sections}")).await).await
    }

    fn cookie(&self) -> String {
        format!("Cookie: __Host-Http-portcullis={}", self.ada)
    }

    /// Stops the node; returns when it stands still.
    async fn stands_still(&self) {
        let node = &self.cluster.nodes[STILL];
        node.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", node.process_id());
        eventually("the node to stand still", async || {
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.contains(") T ").then_some(())
        })
        .await;
    }

    /// The node goes on, until it serves again.
    async fn goes_on(&self) {
        self.cluster.nodes[STILL].signal(Signal::CONT);
        self.recovers().await;
    }

    async fn wire(&self) -> Wire {
        self.cluster.nodes[STILL].connect().await
    }

    /// An answer to her of which the head is there.
    async fn reads(&self, target: &str) -> Wire {
        let mut wire = self.wire().await;
        let cookie = self.cookie();
        wire.send(format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
        ))
        .await;
        assert_eq!(wire.try_head().await.unwrap().status, 200);
        wire
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_carries_nothing_in_either_direction() {
    let mut trial = Trial::of_two("").await;
    for round in 0..ROUNDS {
        trial.she_comes_back().await;
        let cookie = trial.cookie();
        let fields = ["Origin: https://localhost", &cookie];
        let opened = WebSocket::open(trial.wire().await, "/ws", &fields).await;
        let mut socket = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        socket.check_echo().await;
        trial.stands_still().await;
        // What the node had sent before.
        socket.drain().await;
        trial.ends_hers(0).await;
        let order = format!("delete everything {round}");
        socket.say(&order).await;
        trial.goes_on().await;
        loop {
            match socket.hear().await {
                Some(Message::Text(text)) => panic!("after the answer came {text:?}"),
                Some(Message::Close(code, why)) => {
                    assert!([1008, 1013].contains(&code), "{code} {why}");
                }
                Some(_) => {}
                None => break,
            }
        }
        let frame = client_frame(0x81, order.as_bytes());
        assert!(!trial.cluster.panel.ever_got(&frame), "the panel heard it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_an_upload_goes_nowhere() {
    let mut trial = Trial::of_two("").await;
    for round in 0..ROUNDS {
        trial.she_comes_back().await;
        // What is small is sent on when it is whole.
        let first = format!("first {round};{}", "x".repeat(100_000));
        let rest = format!("rest {round}");
        let mut wires = Vec::new();
        for framing in ["chunked", "length"] {
            let mut wire = trial.wire().await;
            let (field, first) = match framing {
                "chunked" => (
                    "Transfer-Encoding: chunked".to_owned(),
                    format!("{:x}\r\n{first}\r\n", first.len()),
                ),
                _ => (
                    format!("Content-Length: {}", first.len() + rest.len()),
                    first.clone(),
                ),
            };
            let cookie = trial.cookie();
            wire.send(format!(
                "POST /echo?{framing}{round}. HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n{field}\r\n\r\n{first}"
            ))
            .await;
            wires.push((framing, wire));
        }
        eventually("the first parts to be there", async || {
            let both = ["chunked", "length"].iter().all(|framing| {
                let seen = trial.cluster.panel.seen_with(&format!("{framing}{round}."));
                !seen.is_empty()
            });
            (both && trial.cluster.panel.ever_got(&first.as_bytes()[..100])).then_some(())
        })
        .await;
        trial.stands_still().await;
        trial.ends_hers(0).await;
        for (framing, wire) in &mut wires {
            let rest = match *framing {
                "chunked" => format!("{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()),
                _ => rest.clone(),
            };
            wire.send(rest).await;
        }
        trial.goes_on().await;
        for (_, mut wire) in wires {
            if let Some(answer) = wire.try_answer(false).await {
                assert!([401, 503].contains(&answer.status), "{}", answer.text());
            }
        }
        assert!(
            !trial.cluster.panel.ever_got(rest.as_bytes()),
            "the panel got it"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_says_nothing_more() {
    let mut trial = Trial::of_two("").await;
    for _ in 0..ROUNDS {
        trial.she_comes_back().await;
        let mut wire = trial.reads("/events").await;
        assert!(!wire.some().await.is_empty());
        trial.stands_still().await;
        drain(&mut wire).await;
        trial.ends_hers(0).await;
        trial.goes_on().await;
        let late = wire.some().await;
        assert!(late.is_empty(), "{:?}", String::from_utf8_lossy(&late));
    }
}

/// Reads until nothing has come for a while; how many bytes.
async fn drain(wire: &mut Wire) -> usize {
    let mut count = 0;
    let quiet = Duration::from_millis(300);
    while let Ok(bytes) = tokio::time::timeout(quiet, wire.some()).await {
        if bytes.is_empty() {
            break;
        }
        count += bytes.len();
    }
    count
}

/// What a panel got that the test plays itself.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<u8>>>);

impl Got {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Reads all that comes, and answers nothing.
    async fn record(self, mut stream: impl tokio::io::AsyncRead + Unpin) {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            self.0.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
    }
}

fn section(host: &str, upstream: &str, more: &str) -> String {
    format!("[[panel]]\nname = \"{host}\"\nhost = \"{host}\"\nupstream = \"{upstream}\"\n{more}")
}

/// A request under hers that waits for its panel while the node stands still, and the session ends;
/// `comes`: what it has waited for comes before the node goes on.
async fn is_not_sent(trial: &mut Trial, host: &str, asked: &str, comes: impl AsyncFnOnce()) {
    let mut wire = trial.wire().await;
    let cookie = trial.cookie();
    wire.send(asked.replace("FIELDS", &format!("Host: {host}\r\n{cookie}")))
        .await;
    // It is judged by now, and its connection to the panel is on its way: nothing refused it.
    let refused = tokio::time::timeout(Duration::from_millis(500), wire.try_answer(false)).await;
    assert!(refused.is_err(), "{refused:?}");
    trial.stands_still().await;
    trial.ends_hers(0).await;
    comes().await;
    // Until it is at the socket of the node, which nobody can look at.
    tokio::time::sleep(Duration::from_millis(300)).await;
    trial.goes_on().await;
    if let Some(answer) = wire.try_answer(false).await {
        assert!([401, 503].contains(&answer.status), "{}", answer.text());
    }
}

const POST: &str = "POST /act HTTP/1.1\r\nFIELDS\r\nContent-Length: 5\r\n\r\nshoot";
const GET: &str = "GET /act HTTP/1.1\r\nFIELDS\r\n\r\n";

fn websocket(host: &str) -> String {
    let fields = HANDSHAKE.join("\r\n");
    format!("GET /act HTTP/1.1\r\nFIELDS\r\nOrigin: https://{host}\r\n{fields}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waited_for_a_connection_is_not_sent() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local(0)).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = format!("http://{address}");
    let mut trial = Trial::of_two(&section("late.example", &upstream, "")).await;
    let (got, mut accepted) = (Got::default(), 0);
    for asked in [POST.to_owned(), GET.to_owned(), websocket("late.example")] {
        trial.she_comes_back().await;
        let crowd = fill(address).await;
        let crowd_size = crowd.len();
        is_not_sent(&mut trial, "late.example", &asked, async || {
            // The kernel tries to connect again and again, also while the process stands still.
            for _ in 0..=crowd_size {
                let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
                accepted += 1;
                tokio::spawn(got.clone().record(stream));
            }
        })
        .await;
        drop(crowd);
        assert_eq!(got.text(), "", "sent after the answer");
    }
    assert!(accepted > 3);
}

/// Connects until the place where connections wait is full.
async fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    let patience = Duration::from_millis(300);
    while let Ok(stream) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        crowd.push(stream.unwrap());
    }
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_waited_for_tls_is_not_sent() {
    let own = OwnTls::new();
    let acceptor = own.acceptor.clone();
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let road = Road::to(listener.local_addr().unwrap());
    let (got, shaken) = (Got::default(), watch::Sender::new(0));
    let (recording, shaking) = (got.clone(), shaken.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, got, shaken) = (acceptor.clone(), recording.clone(), shaking.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    shaken.send_modify(|count| *count += 1);
                    got.record(stream).await;
                }
            });
        }
    });
    let upstream = format!("https://localhost:{}", road.port);
    let trusting = format!("upstream_ca = \"{}\"\n", own.ca().display());
    let mut trial = Trial::of_two(&section("late.example", &upstream, &trusting)).await;
    let each = [POST.to_owned(), GET.to_owned(), websocket("late.example")];
    for asked in each.iter().cycle().take(2 * each.len()) {
        trial.she_comes_back().await;
        road.close(Way::Both);
        is_not_sent(&mut trial, "late.example", asked, async || road.open()).await;
        assert_eq!(got.text(), "", "sent after the answer");
    }
    println!("cluster: {} late handshakes were done", *shaken.borrow());
}

/// Keeps connections, and answers what warms them; any other request waits until its connection is
/// closed, and is recorded.
async fn keeps_and_closes(listener: TcpListener, got: Got, closes: watch::Receiver<u32>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (got, mut closes) = (got.clone(), closes.clone());
        let ends = *closes.borrow_and_update() + 1;
        tokio::spawn(async move {
            let mut bytes = [0; 4096];
            loop {
                tokio::select! {
                    read = stream.read(&mut bytes) => {
                        let Ok(count @ 1..) = read else { return };
                        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                        if !text.contains("/warm") {
                            got.0.lock().unwrap().extend_from_slice(&bytes[..count]);
                            continue;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                    }
                    () = async { drop(closes.wait_for(|now| *now >= ends).await) } => return,
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_kept_connection_was_closed_is_not_sent_again() {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let (got, closes) = (Got::default(), watch::Sender::new(0));
    tokio::spawn(keeps_and_closes(listener, got.clone(), closes.subscribe()));
    let mut trial = Trial::of_two(&section("kept.example", &upstream, "")).await;
    for _ in 0..2 * ROUNDS {
        trial.she_comes_back().await;
        // Both workers keep a connection.
        for _ in 0..8 {
            let mut wire = trial.wire().await;
            let cookie = trial.cookie();
            let answer = wire.get("/warm", &["Host: kept.example", &cookie]).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let before = got.text().matches("/act").count();
        is_not_sent(&mut trial, "kept.example", GET, async || {
            assert_eq!(got.text().matches("/act").count(), before + 1, "once");
            closes.send_modify(|now| *now += 1);
        })
        .await;
        let after = got.text().matches("/act").count();
        assert_eq!(after, before + 1, "sent again after the answer");
    }
}

/// More than the kernel takes for a client that does not read.
const LARGE: &str = "/blob?bytes=200000000";

/// The browser reads slowly: what was let pass waits in the process, above the kernel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_slow_browser_is_thrown_away() {
    let mut trial = Trial::of_two("").await;
    for _ in 0..ROUNDS {
        trial.she_comes_back().await;
        let mut wire = trial.reads(LARGE).await;
        // Until the kernel takes no more.
        tokio::time::sleep(Duration::from_millis(500)).await;
        trial.stands_still().await;
        let before = drain(&mut wire).await;
        assert!(before > 100_000, "{before}");
        trial.ends_hers(0).await;
        trial.goes_on().await;
        let late = drain(&mut wire).await;
        assert_eq!(late, 0, "bytes after the answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_window_of_a_stream_is_thrown_away() {
    let mut trial = Trial::of_two("").await;
    for _ in 0..ROUNDS {
        trial.she_comes_back().await;
        let connection = trial.cluster.nodes[STILL].connect_http2().await;
        let cookie = format!("__Host-Http-portcullis={}", trial.ada);
        let (response, _) = connection
            .begin(head("GET", LARGE, &[("cookie", &cookie)]), true)
            .await;
        let mut body = soon("an answer", response).await.unwrap().into_body();
        let (mut taken, quiet) = (0, Duration::from_millis(500));
        while let Ok(Some(Ok(data))) = tokio::time::timeout(quiet, body.data()).await {
            taken += data.len();
        }
        assert!(taken > 60_000, "{taken}");
        trial.stands_still().await;
        trial.ends_hers(0).await;
        body.flow_control().release_capacity(taken).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        trial.goes_on().await;
        let late = soon("the end", body.data()).await;
        assert!(!matches!(late, Some(Ok(_))), "{late:?}");
    }
}
