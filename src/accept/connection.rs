//! One client connection, as its requests see it, and what its layers tell each other through it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fault::HeadFault;
use super::forwarded::Forwarded;
use super::lease::{Carried, Lease};
use crate::cancel::Cancel;
use crate::config::TrustedProxies;
use crate::model::ClientAddress;

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    peer: IpAddr,
    end: OtherEnd,
    /// It came without TLS.
    is_plain: bool,
    owner: Option<u32>,
    opened: Instant,
    closer: Cancel,
    retirement: CancellationToken,
    fault: OnceLock<HeadFault>,
    tunnel: AtomicBool,
    /// Somebody asks for how long it has been quiet.
    is_watched: AtomicBool,
    begun: AtomicU64,
    ended: AtomicU64,
    /// When the last exchange ended, in milliseconds since `opened`.
    quiet_since: AtomicU64,
    /// What may still wait to be written was let pass under it.
    carried: Mutex<Option<Carried>>,
    /// There is something in `carried`.
    has_carried: AtomicBool,
    /// Streams have windows of their own: what waits in them is not seen at the socket.
    has_streams: AtomicBool,
    /// The reader that waits for the exchange in progress to end.
    waiting: Mutex<Option<Waker>>,
}

/// Who is at the other end.
#[derive(Debug)]
pub(super) enum OtherEnd {
    /// A client of its own.
    Client,
    /// A trusted proxy, whose word about its clients is believed.
    Proxy(Arc<TrustedProxies>),
    /// A trusted proxy whose PROXY header, before the first byte, names no client.
    SilentProxy,
}

/// An exchange in progress on a connection; over when dropped.
#[derive(Debug)]
pub(super) struct Underway(Arc<Connection>);

impl Connection {
    /// A connection over TCP.
    pub fn tcp(peer: IpAddr) -> Self {
        Self::new(peer, None)
    }

    /// A connection over a UNIX socket, from a process of the user with this id.
    pub fn local(owner: Option<u32>) -> Self {
        Self::new(Ipv4Addr::LOCALHOST.into(), owner)
    }

    /// The same connection, with this at its other end.
    pub(super) fn with(self, end: OtherEnd, is_plain: bool) -> Self {
        Self {
            end,
            is_plain,
            ..self
        }
    }

    fn new(peer: IpAddr, owner: Option<u32>) -> Self {
        Self {
            // An IPv4 client of a listener on `[::]` is an IPv4 client.
            peer: peer.to_canonical(),
            end: OtherEnd::Client,
            is_plain: false,
            owner,
            opened: Instant::now(),
            closer: Cancel::new(),
            retirement: CancellationToken::new(),
            fault: OnceLock::new(),
            tunnel: AtomicBool::new(false),
            is_watched: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
            carried: Mutex::new(None),
            has_carried: AtomicBool::new(false),
            has_streams: AtomicBool::new(false),
            waiting: Mutex::new(None),
        }
    }

    /// The address of the other end, which may be a proxy's; loopback for a UNIX socket.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// The same, and whether it is one client's.
    pub fn sender(&self) -> ClientAddress {
        match self.end {
            OtherEnd::Client => ClientAddress::Known(self.peer),
            OtherEnd::Proxy(_) | OtherEnd::SilentProxy => ClientAddress::OfProxy(self.peer),
        }
    }

    /// What is known of the way of a request that has these fields. Only a trusted proxy's are read.
    pub fn forwarded<'h>(&self, headers: &'h HeaderMap) -> Forwarded<'h> {
        match &self.end {
            OtherEnd::Proxy(proxies) => Forwarded::read(self.peer, headers, proxies),
            OtherEnd::Client | OtherEnd::SilentProxy => Forwarded::direct(self.sender()),
        }
    }

    /// Whether it came without TLS: over a listener for trusted proxies alone.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The user id of the peer of a UNIX socket.
    pub fn owner(&self) -> Option<u32> {
        self.owner
    }

    /// Drops the whole connection when cancelled: at once, with what was not yet sent, and even when
    /// the peer does not read. A tunnel over HTTP/1.1 has left the connection, and must watch this
    /// itself.
    pub fn closer(&self) -> &Cancel {
        &self.closer
    }

    /// Something is carried on it from now on that was let pass under this lease. Where the process
    /// stands still past its end, what may still wait to be written is thrown away with the connection.
    pub fn carries_under(&self, lease: Arc<dyn Lease>) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        // What came before may wait, too.
        if carried.as_ref().is_none_or(Carried::may_go_out) {
            *carried = Some(Carried::under(lease));
            self.has_carried.store(true, Ordering::Release);
        }
    }

    /// Whether what waits to be written may go out. `is_behind`: something waits at the socket.
    pub(super) fn may_go_out(&self, is_behind: bool) -> bool {
        if !self.has_carried.load(Ordering::Acquire) {
            return true;
        }
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        if carried.as_ref().is_none_or(Carried::may_go_out) {
            return true;
        }
        if is_behind || self.has_streams.load(Ordering::Relaxed) {
            return false;
        }
        // All of it went out before.
        *carried = None;
        self.has_carried.store(false, Ordering::Release);
        true
    }

    /// It speaks HTTP/2.
    pub(super) fn has_streams(&self) {
        self.has_streams.store(true, Ordering::Relaxed);
    }

    /// What was wrong with the last head. The request that then appears is a stand-in, which is
    /// answered here and never reaches the handler.
    pub fn head_fault(&self) -> Option<HeadFault> {
        self.fault.get().copied()
    }

    /// Says that the exchange in progress turns into a tunnel: to be called before its `101` is
    /// returned. From now on bytes pass without being looked at.
    pub fn becomes_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }

    pub(super) fn refuse(&self, fault: HeadFault) {
        // Nothing is read after the first fault, so that there is no second one.
        let _ = self.fault.set(fault);
    }

    /// Takes no further exchange: ends when those in progress are over.
    pub(super) fn retire(&self) {
        self.retirement.cancel();
    }

    pub(super) async fn retired(&self) {
        self.retirement.cancelled().await;
    }

    /// Counts an exchange as begun until the value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Underway {
        self.begun.fetch_add(1, Ordering::AcqRel);
        Underway(Arc::clone(self))
    }

    /// Notes from now on when exchanges end.
    pub(super) fn watch_quiet(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// For how long no exchange has been in progress; `None` while one is. Only where
    /// [`Connection::watch_quiet`] was called before.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        let ended = self.ended.load(Ordering::Acquire);
        if self.begun.load(Ordering::Acquire) != ended {
            return None;
        }
        let since = Duration::from_millis(self.quiet_since.load(Ordering::Relaxed));
        Some(self.opened.elapsed().saturating_sub(since))
    }

    /// Whether `count` exchanges have ended; if not, wakes the task when the next one ends.
    pub(super) fn has_ended(&self, count: u64, cx: &mut Context<'_>) -> bool {
        if self.ended.load(Ordering::Acquire) >= count {
            return true;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waiting = Some(cx.waker().clone());
        }
        drop(waiting);
        // It may have ended between the look and the note.
        self.ended.load(Ordering::Acquire) >= count
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let connection = &self.0;
        if connection.is_watched.load(Ordering::Relaxed) {
            let now = u64::try_from(connection.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
            connection.quiet_since.store(now, Ordering::Relaxed);
        }
        connection.ended.fetch_add(1, Ordering::AcqRel);
        let waiting = connection
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_is_quiet_only_between_exchanges() {
        let pause = Duration::from_millis(30);
        let connection = Arc::new(Connection::local(None));
        connection.watch_quiet();
        let first = connection.begin();
        let second = connection.begin();
        drop(first);
        assert_eq!(connection.quiet_for(), None);
        tokio::time::sleep(pause).await;
        drop(second);
        assert!(connection.quiet_for().is_some_and(|quiet| quiet < pause));
        tokio::time::sleep(pause).await;
        assert!(connection.quiet_for().is_some_and(|quiet| quiet >= pause));
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_listener_is_an_ipv4_client() {
        let connection = Connection::tcp("::ffff:192.0.2.7".parse().unwrap());
        assert_eq!(connection.peer().to_string(), "192.0.2.7");
    }
}
