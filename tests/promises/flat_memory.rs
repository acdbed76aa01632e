//! A gibibyte each way, in memory that stays flat.

use crate::support::gateway::Gateway;
use crate::support::panel::Panel;

const GIBIBYTE: u64 = 1 << 30;

/// More than the buffers of one exchange in both directions could ever need, in KiB.
const MOST_GROWTH: u64 = 16 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gibibyte_down_and_up_in_flat_memory() {
    let panel = Panel::start().await;
    let gateway = Gateway::in_front_of(&panel).await;
    let ada = gateway.person("ada", "operator").await;
    // The first exchange brings pools and buffers; they are not what is measured.
    let small = down(&ada, 1 << 20).await;
    assert_eq!(small, 1 << 20);
    // The peak so far is of hashed passwords: what comes is measured from now on.
    std::fs::write(format!("/proc/{}/clear_refs", gateway.process_id()), "5").unwrap();
    let before = gateway.memory_kib("VmRSS");
    assert_eq!(down(&ada, GIBIBYTE).await, GIBIBYTE);
    let after_down = gateway.memory_kib("VmHWM");
    assert_eq!(up(&ada, GIBIBYTE).await, GIBIBYTE);
    let after_up = gateway.memory_kib("VmHWM");
    println!(
        "resident memory: {before} KiB before, at the most {after_down} KiB after 1 GiB down, {after_up} KiB after 1 GiB up"
    );
    assert!(
        after_up.saturating_sub(before) < MOST_GROWTH,
        "it grew from {before} to {after_up} KiB"
    );
}

async fn down(person: &crate::support::person::Person, bytes: u64) -> u64 {
    let mut wire = person.connect().await;
    let head = format!(
        "GET /blob?bytes={bytes} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
        person.cookie()
    );
    wire.send(head).await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    let mut got = 0;
    while got < bytes {
        let some = wire.some().await;
        assert!(!some.is_empty(), "it ended after {got} bytes");
        got += some.len() as u64;
    }
    got
}

async fn up(person: &crate::support::person::Person, bytes: u64) -> u64 {
    let mut wire = person.connect().await;
    let head = format!(
        "POST /sink HTTP/1.1\r\nHost: localhost\r\n{}\r\nContent-Length: {bytes}\r\n\r\n",
        person.cookie()
    );
    wire.send(head).await;
    let chunk = vec![0; 1 << 20];
    for _ in 0..bytes >> 20 {
        wire.send(&chunk).await;
    }
    wire.answer().await.text().parse().unwrap()
}
