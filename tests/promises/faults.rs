//! What the machine does to a gateway: a full disk, a store that can't be written or is damaged,
//! clocks that jump, no descriptors left, a panel that talks nonsense. Nothing is told as done that
//! is not, nothing that was ended comes back, and the gateway goes on when the machine does.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::eventually;
use crate::support::gateway::{Gateway, binary};
use crate::support::http1::Wire;
use crate::support::panel::Panel;
use crate::support::person::Person;

const CHANGED: &str = "/v1/users/ada/password-changed";

/// What lays the data folder on a small disk of its own, or on one that can't be written.
pub(crate) fn on_a_disk(gateway: &Gateway, options: &str) -> String {
    let data = gateway.data_dir().display().to_string();
    format!(
        "cp -a {data} {data}.kept; mount -t tmpfs -o size=2m,mode=700 disk {data}; \
         cp -a {data}.kept/. {data}; mount -o remount,{options} {data}; exec \"$@\""
    )
}

async fn ended(person: &mut Person) -> bool {
    person.get("/echo").await.status == 303
}

#[tokio::test]
async fn on_a_full_disk_sessions_end_in_memory_and_the_answer_says_so() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut bob = gateway.person("bob", "operator").await;
    let token = gateway.token("revoke,read");
    gateway.stop().await;
    gateway.start_by(&on_a_disk(&gateway, "rw")).await;
    let filler = gateway.within("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    let refused = gateway.call(&token, "POST", CHANGED, "").await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let problem = refused.json();
    assert_eq!(problem["durable"], false, "{problem}");
    assert_eq!(problem["user"], "ada", "{problem}");
    assert_eq!(problem["sessions_ended"], 1, "{problem}");
    assert_eq!(problem["nodes"], 1, "{problem}");
    assert_eq!(problem["nodes_unreached"], 0, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    for words in ["the disk is full", "Nothing was written", "restart"] {
        assert!(detail.contains(words), "{words}: {detail}");
    }
    assert!(ended(&mut ada).await, "ended in memory");
    // A person who signs out is signed out in this browser, and is told what is not certain.
    let left = bob.submit("/.portcullis/account", "/.portcullis/logout", &[]);
    let left = left.await;
    assert_eq!(left.status, 503, "{}", left.text());
    for words in ["This browser is signed out", "the disk is full"] {
        assert!(left.text().contains(words), "{words}: {}", left.text());
    }
    assert!(!bob.is_signed_in(), "the cookie is forgotten");
    let reference = problem["reference"].as_str().unwrap();
    assert!(gateway.log().contains(reference), "{}", gateway.log());
    let mut again = ada.elsewhere();
    let login = again.give_password().await;
    assert!(
        login.status == 303 || login.status >= 500,
        "{}",
        login.text()
    );
    assert!(!again.is_signed_in());
    fs::remove_file(&filler).unwrap();
    drop(file);
    let done = gateway.call(&token, "POST", CHANGED, "").await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["durable"], true);
    assert!(ended(&mut ada).await, "there is room again");
    // What was ended in memory is written by the gateway itself, once it can be.
    eventually("his session to be ended on the disk", async || {
        let list = gateway
            .call(&token, "GET", "/v1/audit?limit=1000", "")
            .await;
        let list = list.json();
        let mut owed = list
            .as_array()?
            .iter()
            .filter(|entry| entry["subject"] == "bob" && entry["action"] == "session-ended");
        owed.any(|entry| entry["actor"] == "gateway").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_written_is_named_at_the_start() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.person("ada", "operator").await;
    gateway.stop().await;
    let script = on_a_disk(&gateway, "ro");
    let refused = std::process::Command::new("unshare")
        .args(["--mount", "bash", "-ec", &script, "bash"])
        .arg(binary().get_program())
        .arg("--config")
        .arg(gateway.config())
        .arg("serve")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(
        text.contains(gateway.data_dir().to_str().unwrap()),
        "{text}"
    );
    assert!(text.to_lowercase().contains("read-only"), "{text}");
    gateway.start().await;
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    gateway.person("ada", "operator").await;
    gateway.stop().await;
    let database = gateway.data_dir().join("portcullis.db");
    let whole = fs::read(&database).unwrap();
    // A page is 4096 bytes; the first one says what the file is.
    let torn = [&whole[..4096], &vec![0x5a; whole.len() - 4096]].concat();
    let short = whole[..4096].to_vec();
    for damaged in [torn, short] {
        fs::write(&database, &damaged).unwrap();
        let refused = gateway.command(&["user", "list"], None);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains("portcullis.db"), "{text}");
        assert!(fs::read(&database).unwrap() == damaged, "made anew: {text}");
    }
    fs::write(&database, &whole).unwrap();
    gateway.start().await;
}

/// Starts it with a wall clock that a file moves: `+0`, `+30d`, `-30d`.
async fn start_with_clock(gateway: &mut Gateway, moved_by: &Path) {
    let library = "echo /usr/lib/*/faketime/libfaketimeMT.so.1";
    let script = format!(
        "export LD_PRELOAD=$({library}) DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 \
         FAKETIME_TIMESTAMP_FILE={}; exec \"$@\"",
        moved_by.display()
    );
    gateway.start_by(&script).await;
}

#[tokio::test]
async fn a_clock_that_jumps_neither_ends_nor_revives_a_session() {
    let panel = Panel::start().await;
    let mut gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let mut bob = gateway.person("bob", "operator").await;
    let token = gateway.token("revoke");
    gateway.stop().await;
    let hand = gateway.config().with_file_name("clock");
    fs::write(&hand, "+0").unwrap();
    start_with_clock(&mut gateway, &hand).await;
    for jump in ["+30d", "-30d"] {
        fs::write(&hand, jump).unwrap();
        assert!(!ended(&mut ada).await && !ended(&mut bob).await, "{jump}");
    }
    let done = gateway.call(&token, "POST", CHANGED, "").await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert!(ended(&mut ada).await);
    for jump in ["-30d", "+0", "+30d"] {
        gateway.stop().await;
        fs::write(&hand, jump).unwrap();
        start_with_clock(&mut gateway, &hand).await;
        assert!(ended(&mut ada).await, "back after a start at {jump}");
    }
    assert!(
        ended(&mut bob).await,
        "a start a month later is past every lifetime"
    );
}

#[tokio::test]
async fn without_descriptors_what_is_open_goes_on_and_can_be_ended() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let bearer = format!("Authorization: Bearer {}", gateway.token("revoke,read"));
    let mut program = Wire::connect(gateway.management_port).await;
    let before = program
        .request("GET", "/v1/sessions", &[&bearer], b"")
        .await;
    assert_eq!(before.status, 200, "{}", before.text());
    let mut socket = ada.websocket().await;
    let id = Pid::from_raw(gateway.process_id().cast_signed());
    let open = fs::read_dir(format!("/proc/{}/fd", gateway.process_id()))
        .unwrap()
        .count();
    let usual = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(open as u64),
        ..usual
    };
    prlimit(id, Resource::Nofile, few).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(
            tokio::net::TcpStream::connect(("127.0.0.1", gateway.port))
                .await
                .unwrap(),
        );
    }
    socket.check_echo().await;
    let done = program.request("POST", CHANGED, &[&bearer], b"").await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["durable"], true);
    socket.hear_out().await;
    prlimit(id, Resource::Nofile, usual).unwrap();
    drop(waiting);
    eventually("the gateway to answer again", async || {
        let stream = crate::support::http1::tls(gateway.port, &[b"http/1.1"])
            .await
            .ok()?;
        let page = ["Accept: text/html"];
        let login = Wire::over(stream)
            .try_request("GET", "/.portcullis/login", &page, b"")
            .await?;
        (login.status == 200).then_some(())
    })
    .await;
    assert!(ended(&mut ada).await);
}

#[tokio::test]
async fn nonsense_from_a_panel_is_a_502_with_a_reference() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let mut ada = gateway.person("ada", "operator").await;
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let nonsense: [(&str, &[u8]); 8] = [
        ("nothing", b""),
        ("words", b"good morning\r\n\r\n"),
        ("bytes", b"\x00\xff\x16\x03\x01\x02\x00"),
        ("half", b"HTTP/1.1 200 O"),
        ("status", b"HTTP/1.1 99 Low\r\n\r\n"),
        ("length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        (
            "lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        ("long", long.as_bytes()),
    ];
    for (name, bytes) in nonsense {
        panel.answers_oddly(name, bytes);
        let answer = gateway
            .connect()
            .await
            .request("GET", &format!("/odd/{name}"), &[&ada.cookie()], b"")
            .await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        let reference = answer.json()["reference"].as_str().unwrap().to_owned();
        assert!(gateway.log().contains(&reference), "{name}");
    }
    assert!(!ended(&mut ada).await);
}
