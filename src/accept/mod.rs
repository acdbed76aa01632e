//! From bytes to a request: listeners, TLS, the check of request heads, HTTP/1.1 and HTTP/2, clocks.
//!
//! Knows no session and no panel: it is handed a [`Handler`]. Everything that must be judged on raw
//! bytes is judged here, because hyper repairs some of it before a handler could see it.
//!
//! ```text
//!  crowd ─> introduction by a proxy ─> Socket ─ clock on writes, hard end ─> TLS ─> HeadCheck ─ one judged head at a time ─> hyper ─> Handler
//! ```

mod answer;
pub mod certificate;
mod clocks;
mod connection;
mod crowd;
mod fault;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handed;
mod head;
mod head_check;
mod http2_watch;
mod introduction;
mod lease;
mod listen;
mod pace;
mod protocol;
mod received;
mod request_line;
mod seldom;
mod socket;
mod spread;
#[cfg(test)]
mod tests;
pub mod tls;
mod withdrawn;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::request::Parts;
use rustls::ServerConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

pub use clocks::Clocks;
pub use connection::Connection;
pub use crowd::{Crowd, network};
pub use fault::HeadFault;
pub use forwarded::{Forwarded, Scheme};
pub use handed::Handed;
pub use lease::Lease;
pub use listen::{
    ListenError, Listener, bind, bind_unix, bind_unix_for_group, can_bind, can_bind_unix,
};
pub use received::Received;
pub use withdrawn::withdrawn;

use crate::config::{ProxyProtocol, TrustedProxies};
use crate::shutdown::Shutdown;
use crate::wire::Response;
use connection::OtherEnd;
use crowd::Place;
use introduction::Introduction;
use protocol::Service;
use socket::{Socket, Stream};
use spread::Seat;

/// Bytes of a request head, the empty line included.
pub const HEAD_LIMIT: usize = 64 * 1024;
/// Header fields of a request.
pub const FIELD_LIMIT: usize = 100;

/// How long to wait after an error of `accept`: out of descriptors, it would repeat at once.
const BACK_OFF: Duration = Duration::from_millis(50);

/// Answers requests.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The answer to one request. Dropped when the client leaves. A panic becomes a `500`.
    fn handle(
        &self,
        connection: Arc<Connection>,
        request: Request<Received>,
    ) -> impl Future<Output = Response> + Send;

    /// Learns that a request head was refused before it became a request. Its answer is sent by this
    /// room.
    fn head_refused(&self, _connection: &Connection, _fault: HeadFault) {}

    /// The answer to a request that came in the clear where TLS is spoken; `None` for a plain document.
    fn without_tls(&self, _parts: &Parts) -> Option<Response> {
        None
    }

    /// Whether browsers are told to come to this host over TLS alone.
    fn is_over_tls_alone(&self) -> bool {
        false
    }
}

/// What the connections of a listener need. Clones share what is counted.
#[derive(Clone)]
pub struct Entrance<H> {
    pub handler: H,
    /// With it, TCP listeners speak HTTPS, else HTTP/1.1.
    pub tls: Option<Arc<ServerConfig>>,
    /// Who speaks for others.
    pub proxies: Arc<TrustedProxies>,
    pub guests: Guests,
    pub crowd: Crowd,
    pub clocks: Clocks,
    pub shutdown: Shutdown,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    Everyone,
    /// Trusted proxies; on a UNIX socket whoever its mode lets in is one.
    ProxiesOnly,
}

/// Serves the connections of one listener until `shutdown` begins; then the connections end when
/// their exchanges in progress have.
///
/// # Errors
/// When the runtime does not take the listener.
pub async fn serve<H: Handler>(
    listener: Listener,
    entrance: Entrance<H>,
) -> Result<(), ListenError> {
    let Listener { socket, mut spread } = listener;
    let socket = tokio::net::TcpListener::from_std(socket).map_err(ListenError::Runtime)?;
    let mut troubled = false;
    loop {
        tokio::select! {
            biased;
            () = entrance.shutdown.begun() => return Ok(()),
            Some((stream, peer, seat)) = spread.handed() => match TcpStream::from_std(stream) {
                Ok(stream) => entrance.admit(Stream::Tcp(stream), Some(peer.ip()), Some(seat)),
                Err(error) => tracing::debug!(%error, "a connection could not change its worker"),
            },
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    troubled = false;
                    if let Some((stream, seat)) = spread.place(stream, peer) {
                        entrance.admit(Stream::Tcp(stream), Some(peer.ip()), Some(seat));
                    }
                }
                Err(error) => back_off(&error, &mut troubled).await,
            },
        }
    }
}

/// Serves HTTP/1.1 on a UNIX socket, otherwise like [`serve`].
///
/// # Errors
/// When the runtime does not take the listener.
pub async fn serve_unix<H: Handler>(
    listener: UnixListener,
    entrance: Entrance<H>,
) -> Result<(), ListenError> {
    let listener = tokio::net::UnixListener::from_std(listener).map_err(ListenError::Runtime)?;
    let mut troubled = false;
    while let Some(accepted) = until(&entrance.shutdown, listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                troubled = false;
                entrance.admit(Stream::Unix(stream), None, None);
            }
            Err(error) => back_off(&error, &mut troubled).await,
        }
    }
    Ok(())
}

/// `None` once `shutdown` has begun.
async fn until<T>(shutdown: &Shutdown, accepting: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown.begun() => None,
        accepted = accepting => Some(accepted),
    }
}

async fn back_off(error: &io::Error, troubled: &mut bool) {
    if !std::mem::replace(troubled, true) {
        tracing::warn!(%error, "cannot accept connections; trying on");
    }
    tokio::time::sleep(BACK_OFF).await;
}

fn owner(stream: &UnixStream) -> Option<u32> {
    match stream.peer_cred() {
        Ok(peer) => Some(peer.uid()),
        Err(error) => {
            tracing::warn!(%error, "cannot tell whose process connected to the socket");
            None
        }
    }
}

impl<H: Handler> Entrance<H> {
    /// Serves a connection in a task of its own; `peer` is the address of one over TCP.
    fn admit(&self, stream: Stream, peer: Option<IpAddr>, seat: Option<Seat>) {
        let is_proxy = match peer {
            Some(peer) => self.proxies.trusts(peer),
            None => self.guests == Guests::ProxiesOnly,
        };
        if self.guests == Guests::ProxiesOnly && !is_proxy {
            tracing::info!(?peer, "turned away: only trusted_proxies may connect here");
            return;
        }
        let Some(mut place) = self.crowd.enter() else {
            return;
        };
        match peer {
            Some(peer) if !is_proxy && !place.is_given_to(peer) => {
                tracing::debug!(%peer, "turned away: too many connections from this address");
            }
            _ => {
                let serving = self.clone().receive(stream, peer, is_proxy, place);
                self.shutdown.spawn(async move {
                    let _seat = seat;
                    serving.await;
                });
            }
        }
    }

    async fn receive(
        self,
        mut stream: Stream,
        peer: Option<IpAddr>,
        is_proxy: bool,
        mut place: Place,
    ) {
        let introduced = match is_proxy {
            true => until(&self.shutdown, self.introduced(&mut stream)).await,
            false => Some(Ok((Introduction::None, Vec::new()))),
        };
        let (introduction, ahead) = match introduced {
            Some(Ok(introduced)) => introduced,
            Some(Err(fault)) => {
                tracing::info!(?peer, %fault, "a proxy's connection is closed");
                return;
            }
            None => return,
        };
        // One that is a trusted proxy itself comes for many.
        if let Introduction::Of(client) = introduction
            && !self.proxies.trusts(client)
            && !place.is_given_to(client)
        {
            tracing::debug!(%client, "turned away: too many connections from this address");
            return;
        }
        let connection = self.connection(&stream, peer, is_proxy, introduction);
        self.converse(stream, ahead, connection, place).await;
    }

    async fn introduced(
        &self,
        stream: &mut Stream,
    ) -> Result<(Introduction, Vec<u8>), introduction::Fault> {
        match self.proxies.protocol {
            ProxyProtocol::Off => Ok((Introduction::None, Vec::new())),
            protocol => {
                let required = protocol == ProxyProtocol::Required;
                introduction::read(stream, &self.clocks, required).await
            }
        }
    }

    /// A proxy that introduces its clients does not write into their requests: what those say about
    /// addresses is believed only where the client is itself a trusted proxy.
    fn connection(
        &self,
        stream: &Stream,
        peer: Option<IpAddr>,
        is_proxy: bool,
        introduction: Introduction,
    ) -> Connection {
        let connection = match (introduction, peer, stream) {
            (Introduction::Of(client), _, _) => Connection::tcp(client),
            (_, Some(peer), _) => Connection::tcp(peer),
            (_, None, Stream::Unix(stream)) => Connection::local(owner(stream)),
            (_, None, Stream::Tcp(_)) => Connection::local(None),
        };
        let end = match introduction {
            Introduction::Of(client) if !self.proxies.trusts(client) => OtherEnd::Client,
            Introduction::OfNobody => OtherEnd::SilentProxy,
            Introduction::None if !is_proxy => OtherEnd::Client,
            Introduction::None | Introduction::Of(_) => OtherEnd::Proxy(self.proxies.clone()),
        };
        let is_plain = self.tls.is_none() || matches!(stream, Stream::Unix(_));
        connection.with(end, is_plain)
    }

    async fn converse(self, stream: Stream, ahead: Vec<u8>, connection: Connection, place: Place) {
        if let Stream::Tcp(stream) = &stream
            && let Err(error) = prepare(stream)
        {
            tracing::debug!(%error, "a connection was gone at once");
            return;
        }
        let is_tcp = matches!(stream, Stream::Tcp(_));
        let connection = Arc::new(connection);
        let socket = Socket::new(stream, ahead, connection.clone(), self.clocks.write, place);
        let service = Service {
            connection,
            handler: self.handler,
            clocks: self.clocks,
            shutdown: self.shutdown,
        };
        match self.tls.filter(|_| is_tcp) {
            Some(tls) => serve_tls(socket, &TlsAcceptor::from(tls), service).await,
            None => protocol::http1(socket, service, None).await,
        }
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Answers are written whole: waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    listen::watch_for_dead_peer(stream)
}

async fn serve_tls<H: Handler>(socket: Socket, tls: &TlsAcceptor, service: Service<H>) {
    let handshake = tokio::time::timeout(service.clocks.handshake, shake_hands(socket, tls));
    let stream = tokio::select! {
        shaken = handshake => shaken,
        () = service.shutdown.begun() => return,
    };
    match stream {
        Ok(Ok(Hands::Tls(stream))) if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2) => {
            protocol::http2(*stream, service).await;
        }
        Ok(Ok(Hands::Tls(stream))) => protocol::http1(*stream, service, None).await,
        Ok(Ok(Hands::Plain(socket))) => {
            protocol::http1(socket, service, Some(HeadFault::NotTls)).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(peer = %service.connection.peer(), %error, "no TLS handshake");
        }
        Err(_) => {
            tracing::debug!(peer = %service.connection.peer(), "the TLS handshake took too long");
        }
    }
}

/// What the peer turned out to speak.
enum Hands {
    Tls(Box<tokio_rustls::server::TlsStream<Socket>>),
    /// A method in place of a handshake: somebody typed `http://`.
    Plain(Socket),
}

async fn shake_hands(socket: Socket, tls: &TlsAcceptor) -> io::Result<Hands> {
    match socket.peek().await? {
        Some(first) if first.is_ascii_uppercase() => Ok(Hands::Plain(socket)),
        _ => Ok(Hands::Tls(Box::new(tls.accept(socket).await?))),
    }
}
