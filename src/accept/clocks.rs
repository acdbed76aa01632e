//! How long each phase of a connection may take. hyper has no clock for most of them.
//!
//! An exchange in progress (a slow panel, a stream of events) is never cut by a clock of reading;
//! the clock on a request body belongs to whoever reads it.

use std::time::Duration;

/// The limits, together, so that tests can shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// What a trusted proxy says before TLS about its client, from its first byte.
    pub introduction: Duration,
    /// The TLS handshake.
    pub handshake: Duration,
    /// From the start of a connection to its first byte, and over HTTP/2 to the whole preface.
    pub first_byte: Duration,
    /// From the first byte of a head to its end.
    pub head: Duration,
    /// HTTP/1.1: between two exchanges.
    pub idle: Duration,
    /// HTTP/2: without an exchange.
    pub idle_http2: Duration,
    /// A write of which the peer takes nothing.
    pub write: Duration,
    /// HTTP/2: between two pings.
    pub ping_interval: Duration,
    /// HTTP/2: until the answer to a ping.
    pub ping_answer: Duration,
    /// After the last answer, for what the peer still sends (RFC 9112 §9.6).
    pub linger: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            introduction: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(15),
            head: Duration::from_secs(15),
            idle: Duration::from_secs(60),
            idle_http2: Duration::from_secs(120),
            write: Duration::from_secs(60),
            ping_interval: Duration::from_secs(30),
            ping_answer: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}
