//! From bytes to a request: listeners, TLS, the check of request heads, HTTP/1.1 and HTTP/2, clocks.
//!
//! Knows no session and no panel: it is handed a [`Handler`]. Everything that must be judged on raw
//! bytes is judged here, because hyper repairs some of it before a handler could see it.
//!
//! ```text
//!  Socket ─ clock on writes, hard end ─> TLS ─> HeadCheck ─ one judged head at a time ─> hyper ─> Handler
//! ```

mod answer;
mod clocks;
mod connection;
mod fault;
mod framing;
mod head;
mod head_check;
mod listen;
mod protocol;
mod request_line;
mod socket;
#[cfg(test)]
mod tests;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use rustls::ServerConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

pub use clocks::Clocks;
pub use connection::Connection;
pub use fault::{BodyFault, HeadFault};
pub use listen::{ListenError, bind, bind_unix};

use crate::shutdown::Shutdown;
use crate::wire::Response;
use protocol::Service;
use socket::{Socket, Stream};

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
        request: Request<Incoming>,
    ) -> impl Future<Output = Response> + Send;
}

/// Serves the connections of one listener until `shutdown` begins; then the connections end when
/// their exchanges in progress have. With `tls` it speaks HTTPS, else HTTP/1.1.
///
/// # Errors
/// When the runtime does not take the listener.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    handler: H,
    clocks: Clocks,
    shutdown: Shutdown,
) -> Result<(), ListenError> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(ListenError::Runtime)?;
    let tls = tls.map(TlsAcceptor::from);
    let mut troubled = false;
    while let Some(accepted) = until(&shutdown, listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                troubled = false;
                let connection = Arc::new(Connection::tcp(peer.ip(), tls.is_some()));
                let service = Service {
                    connection,
                    handler: handler.clone(),
                    clocks,
                    shutdown: shutdown.clone(),
                };
                shutdown.spawn(serve_tcp(stream, tls.clone(), service));
            }
            Err(error) => back_off(&error, &mut troubled).await,
        }
    }
    Ok(())
}

/// Serves HTTP/1.1 on a UNIX socket, otherwise like [`serve`].
///
/// # Errors
/// When the runtime does not take the listener.
pub async fn serve_unix<H: Handler>(
    listener: UnixListener,
    handler: H,
    clocks: Clocks,
    shutdown: Shutdown,
) -> Result<(), ListenError> {
    let listener = tokio::net::UnixListener::from_std(listener).map_err(ListenError::Runtime)?;
    let mut troubled = false;
    while let Some(accepted) = until(&shutdown, listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                troubled = false;
                let service = Service {
                    connection: Arc::new(Connection::local(owner(&stream))),
                    handler: handler.clone(),
                    clocks,
                    shutdown: shutdown.clone(),
                };
                let socket = service.socket(Stream::Unix(stream));
                shutdown.spawn(protocol::http1(socket, service, None));
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

async fn serve_tcp<H: Handler>(stream: TcpStream, tls: Option<TlsAcceptor>, service: Service<H>) {
    // Answers are written whole: waiting for more to send would only delay them.
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| listen::watch_for_dead_peer(&stream));
    if let Err(error) = prepared {
        tracing::debug!(%error, "a connection was gone at once");
        return;
    }
    let socket = service.socket(Stream::Tcp(stream));
    match tls {
        Some(tls) => serve_tls(socket, &tls, service).await,
        None => protocol::http1(socket, service, None).await,
    }
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
            tracing::debug!(client = %service.connection.client(), %error, "no TLS handshake");
        }
        Err(_) => {
            tracing::debug!(client = %service.connection.client(), "the TLS handshake took too long");
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

impl<H> Service<H> {
    fn socket(&self, stream: Stream) -> Socket {
        Socket::new(stream, Arc::clone(&self.connection), self.clocks.write)
    }
}
