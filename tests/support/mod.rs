//! The harness: a gateway from the built binary, a panel that records raw bytes, and the people and
//! programs around them, all over real sockets. Every wait has a deadline.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses its own part of the harness"
)]

pub mod app;
pub mod cluster;
pub mod disk;
pub mod gateway;
pub mod http1;
pub mod http2;
pub mod lost;
pub mod network;
pub mod own_tls;
pub mod panel;
pub mod person;
pub mod postgres;
pub mod python;
pub mod secrets;
pub mod websocket;

use std::future::Future;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once. Generous: machines are slow and shared.
pub const SOON: Duration = Duration::from_secs(20);

/// A port that nobody listens on now, never the same twice, and below those that the system gives to
/// connections: between the look and the use nobody else takes it.
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        // Another process of tests begins elsewhere.
        let begin = std::process::id().wrapping_mul(611);
        let next = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + next % COUNT).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Waits until something holds.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "did not happen in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The outcome of something that must come in time.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, work).await {
        Ok(done) => done,
        Err(_) => panic!("did not happen in time: {what}"),
    }
}
