//! What is open is judged again when the configuration changes: what the rules forbid now is cut, what
//! they still allow is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::open::{self, Everything};
use crate::support::gateway::{CUT, Gateway, RULES};
use crate::support::http1::Wire;
use crate::support::http2;
use crate::support::panel::Panel;
use crate::support::websocket::{Message, WebSocket};
use crate::support::{eventually, soon};

const FORBIDDEN: (u16, &str) = (1008, "the rules no longer allow this");
const MOVED: (u16, &str) = (1012, "the panel has moved; connect again");

/// Rules after which nobody but administrators may enter.
const ADMINISTRATORS_ALONE: &str =
    "[[panel.rule]]\n  path = \"/\"\n  allow = [\"administrator\"]\n";

/// The last of [`RULES`].
const FRESH: &str = "[[panel.rule]]\n  path           = \"/fresh/\"\n  reauthenticate = \"1s\"\n";

/// Takes a change up, and waits until it is in force.
async fn change(gateway: &Gateway, from: &str, to: &str) {
    let taken_up = || {
        let log = gateway.log();
        log.matches("the configuration has changed").count()
    };
    let before = taken_up();
    gateway.rewrite(from, to);
    gateway.hang_up();
    eventually("the change", async || (taken_up() > before).then_some(())).await;
}

/// How often an exchange was cut for this reason.
async fn counted(gateway: &Gateway, cause: &str) -> u64 {
    let bearer = gateway.token("metrics");
    let numbers = gateway.call(&bearer, "GET", "/metrics", "").await.text();
    let name = format!("portcullis_exchanges_cut_total{{cause=\"{cause}\"}} ");
    let found = numbers.lines().find_map(|line| line.strip_prefix(&name));
    found.map_or(0, |count| count.parse().unwrap())
}

/// The ends that the lines of these paths have in the access log.
fn ends(gateway: &Gateway, path: &str) -> Vec<String> {
    let path = format!(" {path} ");
    let log = gateway.log();
    let lines = log.lines().filter(|line| line.contains(&path));
    lines
        .filter_map(|line| Some(line.rsplit(' ').next()?.to_owned()))
        .collect()
}

async fn began(wire: &mut Wire, target: &str, fields: &str) {
    wire.send(format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
    ))
    .await;
    assert_eq!(wire.try_head().await.unwrap().status, 200, "{target}");
    assert!(!wire.some().await.is_empty(), "{target}");
}

/// Whether it goes on, or has ended.
async fn comes(wire: &mut Wire) -> bool {
    let until = Instant::now() + CUT;
    while Instant::now() < until {
        if wire.some().await.is_empty() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn what_the_rules_begin_to_forbid_is_cut_and_nothing_else() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let root = gateway.person("root", "administrator").await;
    let shared = gateway.connect_http2().await;
    let mut kept = Everything::open(&root, &panel, &shared).await;
    let hers = Everything::open(&ada, &panel, &shared).await;
    // A client of HTTP/2 that takes nothing of its answer.
    let cookie = ada.cookie().trim_start_matches("Cookie: ").to_owned();
    let head = http2::head("GET", "/blob?bytes=100000002", &[("cookie", &cookie)]);
    let (unread, _) = shared.begin(head, true).await;
    let unread = unread.await.unwrap();

    let begun = Instant::now();
    change(&gateway, FRESH, ADMINISTRATORS_ALONE).await;
    hers.ends_for(FORBIDDEN, 403, CUT).await;
    let open = usize::try_from(open::COUNT).unwrap();
    eventually("the panel to see it", async || {
        (panel.open() == open).then_some(())
    })
    .await;
    assert!(begun.elapsed() < 5 * CUT, "{:?}", begun.elapsed());
    kept.goes_on().await;
    drop(unread);
    assert_eq!(counted(&gateway, "cut-not-allowed").await, open::COUNT + 1);
    for path in ["/ws", "/events", "/poll", "/slow-read"] {
        let ends = ends(&gateway, path);
        assert!(
            !ends.is_empty() && ends.iter().all(|end| end == "cut-not-allowed"),
            "{path}: {ends:?}"
        );
    }
}

#[tokio::test]
async fn a_path_that_is_no_longer_open_to_anyone_is_closed_to_strangers() {
    const OPEN: &str = "[[panel.rule]]\n  path = \"/events\"\n  allow = \"anyone\"\n\
                        [[panel.rule]]\n  path = \"/ws\"\n  allow = \"anyone\"\n\
                        [[panel.rule]]\n  path = \"/poll\"\n  allow = \"anyone\"\n";
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", OPEN).await;
    let ada = gateway.person("ada", "operator").await;
    let mut hers = ada.connect().await;
    began(&mut hers, "/events", &format!("{}\r\n", ada.cookie())).await;
    let mut strangers = gateway.connect().await;
    began(&mut strangers, "/events", "").await;
    let shared = gateway.connect_http2().await;
    let mut over_http2 = open::stream(&shared, "").await;
    let fields = ["Origin: https://localhost"];
    let socket = WebSocket::open(gateway.connect().await, "/ws", &fields).await;
    let mut socket = socket.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    socket.check_echo().await;
    let mut waiting = gateway.connect().await;
    waiting
        .send("GET /poll HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    eventually("the panel to be asked", async || {
        (!panel.seen_with("/poll").is_empty()).then_some(())
    })
    .await;

    change(&gateway, OPEN, "").await;
    let farewell = Message::Close(FORBIDDEN.0, FORBIDDEN.1.to_owned());
    assert_eq!(soon("its end", socket.hear_out()).await, Some(farewell));
    assert!(!comes(&mut strangers).await);
    let ends = async {
        // What came before is read first.
        while let Ok(Some(_)) = http2::next(&mut over_http2).await {}
    };
    soon("the end of the stream", ends).await;
    assert_eq!(waiting.answer().await.status, 403);
    assert!(comes(&mut hers).await, "who is signed in may still enter");
}

#[tokio::test]
async fn a_panel_that_is_removed_or_moved_takes_what_is_open_along() {
    let (first, second, third) = (
        Panel::start().await,
        Panel::start().await,
        Panel::start().await,
    );
    let named = |port: u16| {
        format!(
            "[[panel]]\nname = \"second\"\nhost = \"second.test\"\nupstream = \"http://127.0.0.1:{port}\"\n"
        )
    };
    let more = format!("{RULES}{}", named(second.port));
    let gateway = Gateway::with(&first, "", &more).await;
    let ada = gateway.person("ada", "operator").await;
    let cookie = ada.cookie();
    let mut beside = ada.websocket().await;
    let opened = async || {
        let fields = ["Host: second.test", "Origin: https://second.test", &cookie];
        let socket = WebSocket::open(ada.connect().await, "/ws", &fields).await;
        let mut socket = socket.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        socket.check_echo().await;
        let asked = || second.seen_with("/poll").len() + third.seen_with("/poll").len();
        let before = asked();
        let mut waiting = ada.connect().await;
        waiting
            .send(format!(
                "GET /poll HTTP/1.1\r\nHost: second.test\r\n{cookie}\r\n\r\n"
            ))
            .await;
        eventually("the panel to be asked", async || {
            (asked() > before).then_some(())
        })
        .await;
        (socket, waiting)
    };
    for (to, why, status) in [
        (named(third.port), MOVED, 503),
        (String::new(), FORBIDDEN, 403),
    ] {
        let (mut socket, mut waiting) = opened().await;
        let from = match why == MOVED {
            true => named(second.port),
            false => named(third.port),
        };
        change(&gateway, &from, &to).await;
        let farewell = Message::Close(why.0, why.1.to_owned());
        assert_eq!(soon("its end", socket.hear_out()).await, Some(farewell));
        let answer = waiting.answer().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        beside.check_echo().await;
    }
    assert!(counted(&gateway, "cut-panel-moved").await >= 2);
}

#[tokio::test]
async fn a_sign_in_that_was_fresh_enough_stays_so_for_what_it_opened() {
    const CLOSED: &str = "[[panel.rule]]\n  path = \"/\"\n  reauthenticate = \"4s\"\n";
    const OPEN: &str = "[[panel.rule]]\n  path = \"/static/\"\n  allow = \"anyone\"\n";
    let panel = Panel::start().await;
    let gateway = Gateway::with(&panel, "", OPEN).await;
    let ada = gateway.person("ada", "operator").await;
    let signed_in = Instant::now();
    let mut early = ada.websocket().await;
    while signed_in.elapsed() < Duration::from_secs(5) {
        early.check_echo().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut late = ada.websocket().await;
    change(&gateway, OPEN, CLOSED).await;
    let farewell = Message::Close(FORBIDDEN.0, FORBIDDEN.1.to_owned());
    assert_eq!(soon("its end", late.hear_out()).await, Some(farewell));
    early.check_echo().await;
    // Another change that has nothing to do with it.
    change(&gateway, CLOSED, &format!("{CLOSED}{OPEN}")).await;
    early.check_echo().await;
}

#[tokio::test]
async fn whoever_comes_while_the_rules_change_is_judged_by_the_new_ones() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let knocking: Vec<_> = (0..4)
        .map(|_| {
            let (cookie, port, is_over) = (ada.cookie(), gateway.port, is_over.clone());
            tokio::spawn(async move {
                let mut open = Vec::new();
                while open.len() < 100 && !is_over.load(Ordering::Relaxed) {
                    let mut wire = Wire::connect(port).await;
                    wire.send(format!(
                        "GET /events HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
                    ))
                    .await;
                    open.push(wire);
                }
                open
            })
        })
        .collect();
    eventually("some of them to be let pass", async || {
        (panel.open() > 8).then_some(())
    })
    .await;
    change(&gateway, FRESH, ADMINISTRATORS_ALONE).await;
    is_over.store(true, Ordering::Relaxed);
    let mut open = Vec::new();
    for one in knocking {
        open.extend(one.await.unwrap());
    }
    eventually("everything to end", async || {
        (panel.open() == 0).then_some(())
    })
    .await;
    assert!(!open.is_empty());
}
