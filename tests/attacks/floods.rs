//! D1, D6: floods by the tools that people use for them, and what somebody signed in feels of it.
//!
//! The tools come from 127.0.0.1 and fill the places of that address; the user comes from another.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::class_b_proxies::tls_after;
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::panel::Panel;

/// What nearly every request of somebody signed in takes at most. Far more than it does, as machines
/// are slow and shared; far less than a gateway that is down.
const AT_MOST: Duration = Duration::from_secs(5);

/// A flood, ended with the test.
struct Flood(Child);

impl Flood {
    fn begin(tool: &str) -> Self {
        let mut words = tool.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command.args(words).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.expect("tests/run installs it"))
    }

    fn is_over(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time that 99 of 100 requests stay below, each tenth on a new connection.
async fn p99(port: u16, cookie: &str) -> Duration {
    let mut took = Vec::new();
    for _ in 0..10 {
        let mut wire = tls_after("127.0.0.2", port, b"").await.expect("a place");
        for _ in 0..10 {
            let begun = Instant::now();
            let answer = wire.get("/echo", &[cookie]).await;
            took.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[tokio::test]
async fn who_is_signed_in_is_served_during_floods() {
    let panel = Panel::start().await;
    // The tools can't say what a browser says.
    let gateway = Gateway::with_lines(&panel, "old_browsers = true").await;
    let ada = gateway.person("ada", "operator").await;
    let (port, cookie) = (gateway.port, ada.cookie());
    let before = p99(port, &cookie).await;
    println!("p99 before: {before:?}");
    let page = format!("https://localhost:{port}/.portcullis/login");
    let open = format!("https://localhost:{port}/static/a");
    let tools = [
        (
            "slow heads",
            100,
            format!("slowhttptest -c 700 -r 350 -i 5 -l 60 -p 3 -H -u {page}"),
        ),
        (
            "slow bodies",
            100,
            format!("slowhttptest -c 700 -r 350 -i 5 -l 60 -p 3 -B -u {page}"),
        ),
        (
            "slow reads",
            100,
            format!("slowhttptest -c 700 -r 350 -i 5 -l 60 -p 3 -X -u {page}"),
        ),
        ("many streams", 4, format!("h2load -D 60 -c 4 -m 16 {open}")),
    ];
    for (name, at_least, tool) in tools {
        let mut flood = Flood::begin(&tool);
        eventually("the flood to come in", || async {
            (connections(port) >= at_least).then_some(())
        })
        .await;
        let during = p99(port, &cookie).await;
        println!(
            "p99 during {name}: {during:?}, {} connections",
            connections(port)
        );
        assert!(!flood.is_over(), "{name} ended too early to tell anything");
        assert!(during < AT_MOST, "{name}: {during:?}");
    }
}

/// The connections that the system has with this port at the gateway's end.
fn connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let is_ours = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let at = columns
            .next()
            .is_some_and(|address| address.ends_with(&local));
        // Established.
        at && columns.nth(1) == Some("01")
    };
    table.lines().filter(is_ours).count()
}
