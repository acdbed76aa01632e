//! Reaching a panel: plain TCP, TLS with public roots or a CA of one's own, or a UNIX socket.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{UpstreamError, trust};
use crate::config::{Panel, Upstream};
use crate::proxy::guarded::Guarded;
use crate::session::Guard;
use crate::wire::Authority;

/// How long a panel may take to show that it speaks TLS.
const PROBE: Duration = Duration::from_secs(2);

/// Makes connections to one panel. Cheap to clone.
#[derive(Clone)]
pub(in crate::proxy) struct Connector(Arc<Way>);

enum Way {
    Http(Authority),
    Https(Authority, TlsConnector, ServerName<'static>),
    Unix(PathBuf),
}

/// A connection to a panel.
#[derive(Debug)]
pub(in crate::proxy) enum Stream {
    Tcp(Guarded<TcpStream>),
    Tls(Box<TlsStream<Guarded<TcpStream>>>),
    Unix(Guarded<UnixStream>),
}

impl Stream {
    /// Nothing is written but what this guard lets pass, which is that of the exchange that the
    /// connection serves; `None` while it serves none.
    pub(super) fn serve(&mut self, guard: Option<Guard>) {
        match self {
            Self::Tcp(stream) => stream.ask(guard),
            // Below TLS, so that what waits there encrypted is not carried either.
            Self::Tls(stream) => stream.get_mut().0.ask(guard),
            Self::Unix(stream) => stream.ask(guard),
        }
    }
}

impl Connector {
    /// The way to a panel as configured.
    ///
    /// # Errors
    /// [`UpstreamError::Roots`] when the CA file can't be used, [`UpstreamError::ServerName`].
    pub(in crate::proxy) fn to_panel(panel: &Panel) -> Result<Self, UpstreamError> {
        let way = match &panel.upstream {
            Upstream::Http(authority) => Way::Http(authority.clone()),
            Upstream::Unix(path) => Way::Unix(path.clone()),
            Upstream::Https(authority) => {
                let name = panel.upstream_name.as_deref();
                let name = name.unwrap_or(authority.host()).to_owned();
                let name = ServerName::try_from(name.clone())
                    .map_err(|_| UpstreamError::ServerName(name))?;
                let tls = trust::connector(panel)?;
                Way::Https(authority.clone(), tls, name)
            }
        };
        Ok(Self(Arc::new(way)))
    }

    /// Whether a panel that is asked in plain HTTP answers a handshake of TLS. For a check that tries
    /// things out.
    pub(in crate::proxy) async fn meets_tls(&self) -> bool {
        let Way::Http(authority) = &*self.0 else {
            return false;
        };
        let asking = async {
            let name = ServerName::try_from(authority.host().to_owned()).ok()?;
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .ok()?
                .with_root_certificates(RootCertStore::empty());
            let tls = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
            let fault = tls
                .connect(name, tcp(authority, 80).await.ok()?)
                .await
                .err();
            let inner = fault.as_ref().and_then(io::Error::get_ref);
            // Nobody is trusted here: a certificate that is refused is one that was shown.
            match inner.and_then(|inner| inner.downcast_ref())? {
                rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_) => Some(()),
                _ => None,
            }
        };
        let asked = tokio::time::timeout(PROBE, asking).await;
        asked.ok().flatten().is_some()
    }

    pub(super) async fn connect(&self) -> io::Result<Stream> {
        Ok(match &*self.0 {
            Way::Http(authority) => Stream::Tcp(tcp(authority, 80).await?),
            Way::Https(authority, tls, name) => {
                let stream = tcp(authority, 443).await?;
                let shaken = tls.connect(name.clone(), stream).await;
                let stream = shaken.map_err(trust::explained)?;
                Stream::Tls(Box::new(stream))
            }
            Way::Unix(path) => Stream::Unix(Guarded::new(UnixStream::connect(path).await?)),
        })
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Way::Http(authority) => write!(f, "http://{authority}"),
            Way::Https(authority, ..) => write!(f, "https://{authority}"),
            Way::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({self})")
    }
}

async fn tcp(authority: &Authority, default: u16) -> io::Result<Guarded<TcpStream>> {
    let at = (authority.host(), authority.port_or(default));
    let stream = TcpStream::connect(at).await?;
    stream.set_nodelay(true)?;
    keep_alive(&stream)?;
    Ok(Guarded::new(stream))
}

/// A panel whose machine is gone is noticed within two minutes, in a tunnel or a stream too, where no
/// clock runs while nothing is to be said.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15))?;
    Ok(sockopt::set_tcp_keepcnt(stream, 4)?)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }
}
