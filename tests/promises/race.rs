//! A thousand revocations against clients that hammer with the session that is revoked.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Wire;
use crate::support::http2::Http2;
use crate::support::panel::Panel;
use crate::support::person::with_the_password_alone as alone;
use crate::support::websocket::WebSocket;

const ROUNDS: u64 = 1000;

/// What one client did: each request's number, and when it was begun.
type Begun = Vec<(u64, Instant)>;

/// Numbers for requests, and the sign to end.
#[derive(Default)]
struct Hammer {
    next: AtomicU64,
    ends: AtomicBool,
}

impl Hammer {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Lets the clients begin a few more, and then end.
    async fn ends_after_some_more(&self) {
        let now = self.next.load(Ordering::SeqCst);
        eventually("a few more requests", || async {
            (self.next.load(Ordering::SeqCst) > now + 6).then_some(())
        })
        .await;
        self.ends.store(true, Ordering::SeqCst);
    }

    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_the_answer_reaches_the_panel() {
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "[second_factor]\nrequired = false", RULES).await;
    gateway.add_with_password("ada");
    let bearer = format!("Authorization: Bearer {}", gateway.token("revoke"));
    let shared = Http2::connect(gateway.port).await;
    let mut management = Wire::connect(gateway.management_port).await;
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        let token = alone(gateway.port, "ada").await.unwrap();
        let hammer = Arc::new(Hammer::default());
        let clients = clients(gateway.port, &shared, &token, &hammer);
        tokio::time::sleep(Duration::from_micros(500 + (round * 37) % 6000)).await;
        let path = "/v1/users/ada/password-changed";
        let answer = management.request("POST", path, &[&bearer], b"").await;
        let answered = Instant::now();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["sessions_ended"], 1);
        hammer.ends_after_some_more().await;
        let mut begun = Begun::new();
        for client in clients {
            begun.extend(client.await.unwrap());
        }
        let seen = numbers(&panel);
        for (number, at) in begun {
            let is_late = at > answered;
            assert!(
                !(is_late && seen.contains(&number)),
                "round {round}: request {number} got through"
            );
            *(if is_late { &mut after } else { &mut before }) += 1;
        }
        panel.forget();
    }
    println!(
        "{ROUNDS} revocations, {before} requests begun before an answer and {after} after one, none of those forwarded"
    );
}

/// The numbers of the requests that reached the panel.
fn numbers(panel: &Panel) -> HashSet<u64> {
    let number = |line: &str| {
        line.split("number=")
            .nth(1)?
            .split('.')
            .next()?
            .parse()
            .ok()
    };
    panel
        .seen()
        .iter()
        .filter_map(|seen| number(seen.request_line()))
        .collect()
}

fn clients(port: u16, shared: &Http2, token: &str, hammer: &Arc<Hammer>) -> [JoinHandle<Begun>; 3] {
    let cookie = format!("__Host-Http-portcullis={token}");
    [
        tokio::spawn(over_http1(port, cookie.clone(), hammer.clone())),
        tokio::spawn(over_http2(shared.clone(), cookie.clone(), hammer.clone())),
        tokio::spawn(over_websockets(port, cookie, hammer.clone())),
    ]
}

async fn over_http1(port: u16, cookie: String, hammer: Arc<Hammer>) -> Begun {
    let mut begun = Vec::new();
    let field = format!("Cookie: {cookie}");
    let mut wire = Wire::connect(port).await;
    while hammer.goes_on() {
        let number = hammer.number();
        begun.push((number, Instant::now()));
        let target = format!("/echo?number={number}.");
        if wire
            .try_request("GET", &target, &[&field], b"")
            .await
            .is_none()
        {
            wire = Wire::connect(port).await;
        }
    }
    begun
}

async fn over_http2(shared: Http2, cookie: String, hammer: Arc<Hammer>) -> Begun {
    let mut begun = Vec::new();
    while hammer.goes_on() {
        let number = hammer.number();
        begun.push((number, Instant::now()));
        let target = format!("/echo?number={number}.");
        // A stream that is reset is an answer as well.
        let _ = shared.get(&target, &[("cookie", &cookie)]).await;
    }
    begun
}

async fn over_websockets(port: u16, cookie: String, hammer: Arc<Hammer>) -> Begun {
    let mut begun = Vec::new();
    let field = format!("Cookie: {cookie}");
    while hammer.goes_on() {
        let wire = Wire::connect(port).await;
        let number = hammer.number();
        begun.push((number, Instant::now()));
        let target = format!("/ws?number={number}.");
        let fields = ["Origin: https://localhost", field.as_str()];
        if let Ok(mut socket) = WebSocket::open(wire, &target, &fields).await {
            // Ends with the session, or the round would not.
            socket.hear_out().await;
        }
    }
    begun
}
