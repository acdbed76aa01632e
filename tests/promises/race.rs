//! A thousand revocations against clients that hammer with the session that is revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Wire;
use crate::support::http2::Http2;
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, csrf_of};
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

    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_that_begins_after_the_answer_reaches_the_panel() {
    let panel = Panel::start().await;
    let sections = "[second_factor]\nrequired = false";
    let gateway = Gateway::with(&panel, sections, RULES).await;
    gateway.command(
        &[
            "user",
            "add",
            "ada",
            "--role",
            "operator",
            "--password-stdin",
        ],
        Some(PASSWORD),
    );
    let token = gateway.token("revoke");
    let shared = Http2::connect(gateway.port).await;
    let hammer = Arc::new(Hammer::default());
    let mut management = Wire::connect(gateway.management_port).await;
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        let cookie = format!("__Host-portcullis={}", sign_in(gateway.port).await);
        hammer.ends.store(false, Ordering::SeqCst);
        let clients = [
            tokio::spawn(over_http1(gateway.port, cookie.clone(), hammer.clone())),
            tokio::spawn(over_http2(shared.clone(), cookie.clone(), hammer.clone())),
            tokio::spawn(over_websockets(gateway.port, cookie, hammer.clone())),
        ];
        tokio::time::sleep(Duration::from_micros(500 + (round * 37) % 6000)).await;
        let bearer = format!("Authorization: Bearer {token}");
        let path = "/v1/users/ada/password-changed";
        let answer = management.request("POST", path, &[&bearer], b"").await;
        let answered = Instant::now();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["sessions_ended"], 1);
        // Let every client begin something after the answer, too.
        tokio::time::sleep(Duration::from_millis(5)).await;
        hammer.ends.store(true, Ordering::SeqCst);
        for client in clients {
            for (number, at) in client.await.unwrap() {
                let seen = !panel.seen_with(&format!("number={number}.")).is_empty();
                assert!(
                    !(seen && at > answered),
                    "round {round}: request {number} got through"
                );
                *(if at > answered {
                    &mut after
                } else {
                    &mut before
                }) += 1;
            }
        }
        panel.forget();
    }
    println!(
        "{ROUNDS} revocations, {before} requests begun before an answer and {after} after one, none of those forwarded"
    );
    assert!(
        after > ROUNDS,
        "the clients did not press hard enough: {after}"
    );
}

/// With the password alone; the token.
async fn sign_in(port: u16) -> String {
    let mut wire = Wire::connect(port).await;
    let login = wire.get("/.portcullis/login", &["Accept: text/html"]).await;
    let set = login.header("set-cookie").unwrap();
    let cookie = format!("Cookie: {}", set.split(';').next().unwrap());
    let body = format!(
        "csrf={}&user=ada&password={}",
        csrf_of(&login.text()),
        PASSWORD.replace(' ', "+")
    );
    let fields = [
        &cookie,
        "Accept: text/html",
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let answer = wire
        .request("POST", "/.portcullis/login", &fields, body.as_bytes())
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let all = answer.all("set-cookie");
    let set = all
        .iter()
        .find_map(|set| set.strip_prefix("__Host-portcullis="));
    set.unwrap().split(';').next().unwrap().to_owned()
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
