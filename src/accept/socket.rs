//! The bytes of one client, below TLS: what was read ahead, the clock on writes, and the hard end.
//!
//! The clock sits here because only here is seen what the kernel really took: above TLS a slow
//! client and one that has stopped reading look alike.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::connection::Connection;
use super::crowd::Place;
use crate::deadline::Deadline;

/// The socket of one connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    /// Bytes that came together with an introduction, and are still to be read.
    ahead: Vec<u8>,
    connection: Arc<Connection>,
    limit: Duration,
    stalled: Deadline,
    /// The kernel has not taken all that was to be written.
    is_behind: bool,
    /// Kept until the last byte, as a tunnel lives longer than what began it.
    _place: Place,
}

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Up to so many bytes it costs less to copy them than to have the kernel gather them.
const SMALL: usize = 2048;

/// What is read at once while it is open who is there.
const AT_FIRST: usize = 1024;

impl Stream {
    /// Some more bytes, at the end of `bytes`.
    pub(super) async fn read_some(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut fresh = [0; AT_FIRST];
        let count = match self {
            Self::Tcp(stream) => stream.read(&mut fresh).await?,
            Self::Unix(stream) => stream.read(&mut fresh).await?,
        };
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(fresh.get(..count).unwrap_or_default());
        Ok(())
    }
}

impl Socket {
    /// `ahead`: bytes that were read from the stream already. `limit`: how long a write may stand
    /// still.
    pub(super) fn new(
        stream: Stream,
        ahead: Vec<u8>,
        connection: Arc<Connection>,
        limit: Duration,
        place: Place,
    ) -> Self {
        Self {
            stream,
            ahead,
            connection,
            limit,
            stalled: Deadline::default(),
            is_behind: false,
            _place: place,
        }
    }

    /// The first byte that the peer sends, which stays to be read.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        if let Some(first) = self.ahead.first() {
            return Ok(Some(*first));
        }
        let mut first = [0];
        match &self.stream {
            Stream::Tcp(stream) => {
                let read = stream.peek(&mut first).await?;
                Ok(first.first().copied().filter(|_| read > 0))
            }
            Stream::Unix(_) => Ok(None),
        }
    }

    /// What was let pass before the process stood still does not go out after.
    fn may_write(&self) -> io::Result<()> {
        if self.connection.may_go_out(self.is_behind) {
            return Ok(());
        }
        self.connection.closer().cancel();
        Err(io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the process stood still for too long",
        ))
    }

    /// Looks at the clock when a write stands still.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.is_behind = polled.is_pending();
        if polled.is_ready() {
            self.stalled.clear();
            return polled;
        }
        if !self.stalled.is_set() {
            self.stalled.set(self.limit);
        }
        ready!(self.stalled.poll_passed(cx));
        self.connection.closer().cancel();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read",
        )))
    }
}

impl Drop for Socket {
    /// A connection that was closed by force must not go on delivering what the kernel still holds:
    /// with SO_LINGER at zero it is thrown away and the peer sees a reset.
    fn drop(&mut self) {
        if let Stream::Tcp(stream) = &self.stream
            && self.connection.closer().is_cancelled()
            && let Err(error) = stream.set_zero_linger()
        {
            tracing::debug!(%error, "cannot reset a connection");
        }
    }
}

/// Copies what is small into one piece; how many bytes that is.
fn flattened(parts: &[io::IoSlice<'_>], into: &mut [u8; SMALL]) -> Option<usize> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut rest = into.get_mut(..length)?;
    for part in parts {
        let (here, after) = rest.split_at_mut_checked(part.len())?;
        here.copy_from_slice(part);
        rest = after;
    }
    Some(length)
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.ahead.is_empty() {
            let count = buf.remaining().min(self.ahead.len());
            buf.put_slice(self.ahead.get(..count).unwrap_or_default());
            self.ahead.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.may_write()?;
        let polled = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        };
        self.watched(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut small = [0; SMALL];
        if let Some(count) = flattened(bufs, &mut small) {
            return self.poll_write(cx, small.get(..count).unwrap_or_default());
        }
        self.may_write()?;
        let polled = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        };
        self.watched(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
