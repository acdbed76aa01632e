//! Promise 3: what was acknowledged is on disk, whatever happens to the process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::support::eventually;
use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::{Wire, tls};
use crate::support::panel::Panel;
use crate::support::person::with_the_password_alone as alone;
use crate::support::websocket::Message;

const ROUNDS: u32 = 25;
const USERS: usize = 3;

/// What a user's client knows for sure.
#[derive(Default)]
struct Known {
    live: BTreeSet<String>,
    dead: BTreeSet<String>,
}

impl Known {
    /// What was acknowledged is so on this port.
    async fn hold_on(&self, port: u16) {
        for token in &self.live {
            assert_eq!(
                status(port, token).await,
                200,
                "an acknowledged session is lost"
            );
        }
        for token in &self.dead {
            assert_eq!(status(port, token).await, 401, "an ended session is back");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_undoes_nothing_that_was_acknowledged() {
    let panel = Panel::start().await;
    let sections = "[second_factor]\nrequired = false\n[session]\nmax_per_user = 1000";
    let mut gateway = Gateway::with(&panel, sections, RULES).await;
    for user in 0..USERS {
        gateway.add_with_password(&format!("user{user}"));
    }
    let token = gateway.token("revoke");
    let mut known: Vec<Known> = (0..USERS).map(|_| Known::default()).collect();
    let (mut lived, mut died) = (0, 0);
    for round in 0..ROUNDS {
        let acknowledged = Arc::new(AtomicU32::new(0));
        let clients: Vec<_> = known
            .into_iter()
            .enumerate()
            .map(|(user, known)| {
                let client = Client {
                    name: format!("user{user}"),
                    port: gateway.port,
                    management_port: gateway.management_port,
                    token: token.clone(),
                    acknowledged: acknowledged.clone(),
                };
                tokio::spawn(client.press(round, known))
            })
            .collect();
        eventually("some to be acknowledged", || {
            let enough = acknowledged.load(Ordering::SeqCst) > 4 + round % 7;
            async move { enough.then_some(()) }
        })
        .await;
        gateway.kill();
        known = Vec::new();
        for client in clients {
            known.push(client.await.unwrap());
        }
        gateway.start().await;
        for known in &known {
            known.hold_on(gateway.port).await;
            lived += known.live.len();
            died += known.dead.len();
        }
        for known in &mut known {
            known.dead.clear();
        }
    }
    println!(
        "{ROUNDS} times kill -9: {lived} looks at sessions that had to live, {died} at ended ones"
    );
    assert!(lived > 0 && died > 0, "nothing was looked at");
}

/// Somebody who signs in and ends sessions until the gateway is gone.
struct Client {
    name: String,
    port: u16,
    management_port: u16,
    token: String,
    /// How much all of them have had acknowledged in this round.
    acknowledged: Arc<AtomicU32>,
}

impl Client {
    async fn press(self, round: u32, mut known: Known) -> Known {
        for step in round.. {
            if step % 4 == 3 {
                // Asked for and not answered, it may have been done or not.
                let asked = std::mem::take(&mut known.live);
                if self.revoke().await.is_none() {
                    return known;
                }
                known.dead.extend(asked);
            } else {
                let Some(session) = alone(self.port, &self.name).await else {
                    return known;
                };
                known.live.insert(session);
            }
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        known
    }

    async fn revoke(&self) -> Option<()> {
        let stream = tls(self.management_port, &[b"http/1.1"]).await.ok()?;
        let bearer = format!("Authorization: Bearer {}", self.token);
        let path = format!("/v1/users/{}/sessions", self.name);
        let answer = Wire::over(stream)
            .try_request("DELETE", &path, &[&bearer], b"")
            .await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["durable"], true);
        Some(())
    }
}

async fn status(port: u16, token: &str) -> u16 {
    let cookie = format!("Cookie: __Host-Http-portcullis={token}");
    Wire::connect(port)
        .await
        .get("/echo", &[&cookie])
        .await
        .status
}

#[tokio::test]
async fn sessions_outlive_a_restart_and_not_their_limits() {
    let panel = Panel::start().await;
    let sections = "[session]\nidle_timeout = \"4s\"\nmax_per_user = 2";
    let mut gateway = Gateway::with(&panel, sections, RULES).await;
    let mut first = gateway.person("ada", "operator").await;
    let mut second = first.elsewhere();
    second.sign_in().await;
    assert_eq!(gateway.stop().await, 0, "a good end");
    gateway.start().await;
    assert_eq!(first.get("/echo").await.status, 200, "after a restart");
    let mut socket = first.websocket().await;
    let mut third = first.elsewhere();
    third.recovery_codes.pop();
    third.sign_in().await;
    assert!(
        socket.hear_out().await.is_some(),
        "the oldest ends, and what it has open"
    );
    assert_eq!(first.get("/echo").await.status, 303);
    assert_eq!(second.get("/echo").await.status, 200);
    let mut events = second.connect().await;
    let head = format!(
        "GET /events HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
        second.cookie()
    );
    events.send(head).await;
    let took = events.closed_within(Duration::from_secs(10)).await;
    assert!(
        took > Duration::from_millis(3500),
        "an event stream alone keeps no session alive: {took:?}"
    );
    assert_eq!(second.get("/echo").await.status, 303);
}

#[tokio::test]
async fn sessions_can_be_ended_while_the_gateway_drains() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let token = gateway.token("revoke");
    let mut events = ada.connect().await;
    let head = format!(
        "GET /events HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
        ada.cookie()
    );
    events.send(head).await;
    assert_eq!(events.try_head().await.unwrap().status, 200);
    let begun = Instant::now();
    let (port, config) = (gateway.management_port, gateway.config());
    let calling = tokio::spawn(async move {
        eventually("the drain to begin", || async {
            let log = std::fs::read_to_string(config.with_file_name("log")).unwrap();
            log.contains("ending:").then_some(())
        })
        .await;
        let bearer = format!("Authorization: Bearer {token}");
        let path = "/v1/users/ada/password-changed";
        Wire::connect(port)
            .await
            .request("POST", path, &[&bearer], b"")
            .await
    });
    assert_eq!(gateway.stop().await, 0);
    let answer = calling.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["connections_closed"], 1);
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "nothing was left to wait for"
    );
    events.closed_within(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn a_session_is_over_when_its_lifetime_is_however_busy_it_is() {
    let panel = Panel::start().await;
    let sections = "[session]\nidle_timeout = \"4s\"\nlifetime = \"4s\"";
    let gateway = Gateway::with(&panel, sections, RULES).await;
    let mut ada = gateway.person("ada", "operator").await;
    let begun = Instant::now();
    let mut socket = ada.websocket().await;
    let mut heard = socket.hear().await;
    while let Some(Message::Text(_)) = heard {
        assert!(begun.elapsed() < Duration::from_secs(10), "it goes on");
        socket.say("I am busy").await;
        heard = socket.hear().await;
    }
    let farewell = Message::Close(1008, "the session has ended".to_owned());
    assert_eq!(heard, Some(farewell));
    let lived = begun.elapsed();
    assert!(lived > Duration::from_secs(3), "{lived:?}");
    assert_eq!(ada.get("/echo").await.status, 303);
}
