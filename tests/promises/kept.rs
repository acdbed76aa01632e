//! Promise 3: what was acknowledged is on disk, whatever happens to the process.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::gateway::{Gateway, RULES};
use crate::support::http1::Wire;
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, csrf_of};

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
        let name = format!("user{user}");
        gateway.command(
            &[
                "user",
                "add",
                &name,
                "--role",
                "operator",
                "--password-stdin",
            ],
            Some(PASSWORD),
        );
    }
    let token = gateway.token("revoke");
    let mut known: Vec<Known> = (0..USERS).map(|_| Known::default()).collect();
    let (mut lived, mut died) = (0, 0);
    for round in 0..ROUNDS {
        let clients: Vec<_> = known
            .into_iter()
            .enumerate()
            .map(|(user, known)| {
                let (port, management) = (gateway.port, gateway.management_port);
                let press = press(user, round, known, port, management, token.clone());
                tokio::spawn(press)
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(u64::from(60 + (round * 53) % 200))).await;
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
    assert!(
        lived > 50 && died > 20,
        "the clients did not press hard enough: {lived}, {died}"
    );
}

/// Signs in and ends sessions until the gateway is gone.
async fn press(
    user: usize,
    round: u32,
    mut known: Known,
    port: u16,
    management: u16,
    token: String,
) -> Known {
    let name = format!("user{user}");
    for step in round.. {
        if step % 4 == 3 {
            // Asked for and not answered, it may have been done or not.
            let asked = std::mem::take(&mut known.live);
            if revoke(management, &token, &name).await.is_none() {
                return known;
            }
            known.dead.extend(asked);
        } else {
            let Some(session) = sign_in(port, &name).await else {
                return known;
            };
            known.live.insert(session);
        }
    }
    known
}

async fn revoke(port: u16, token: &str, name: &str) -> Option<()> {
    let stream = crate::support::http1::tls(port, &[b"http/1.1"])
        .await
        .ok()?;
    let bearer = format!("Authorization: Bearer {token}");
    let path = format!("/v1/users/{name}/sessions");
    let answer = Wire::over(stream)
        .try_request("DELETE", &path, &[&bearer], b"")
        .await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["durable"], true);
    Some(())
}

async fn sign_in(port: u16, name: &str) -> Option<String> {
    let stream = crate::support::http1::tls(port, &[b"http/1.1"])
        .await
        .ok()?;
    let mut wire = Wire::over(stream);
    let login = wire
        .try_request("GET", "/.portcullis/login", &["Accept: text/html"], b"")
        .await?;
    let cookie = format!("Cookie: {}", login.header("set-cookie")?.split(';').next()?);
    let body = format!(
        "csrf={}&user={name}&password={}",
        csrf_of(&login.text()),
        PASSWORD.replace(' ', "+")
    );
    let fields = [
        &cookie,
        "Accept: text/html",
        "Content-Type: application/x-www-form-urlencoded",
    ];
    let answer = wire
        .try_request("POST", "/.portcullis/login", &fields, body.as_bytes())
        .await?;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let all = answer.all("set-cookie");
    let set = all
        .iter()
        .find_map(|set| set.strip_prefix("__Host-portcullis="))?;
    Some(set.split(';').next()?.to_owned())
}

async fn status(port: u16, token: &str) -> u16 {
    let cookie = format!("Cookie: __Host-portcullis={token}");
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
