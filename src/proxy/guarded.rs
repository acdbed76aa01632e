//! A stream to which nothing is written unless the exchange that it serves may still carry.
//!
//! Towards a panel it sits below TLS, right before the system call: a process that was stopped while it
//! connected, while it repeated a request or between two writes goes on there, and what was encrypted
//! before does not go out after.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::session::Guard;

/// A stream with the guard of the exchange that it serves.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    guard: Option<Guard>,
}

impl<S: Unpin> Guarded<S> {
    /// A stream that serves no exchange.
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            guard: None,
        }
    }

    /// Nothing is written from now on but what this guard lets pass; everything, without one.
    pub(super) fn ask(&mut self, guard: Option<Guard>) {
        self.guard = guard;
    }

    /// The stream, if it may be written to at this moment.
    fn writable(&mut self) -> io::Result<Pin<&mut S>> {
        if let Some(guard) = &self.guard {
            guard.may_carry().map_err(io::Error::other)?;
        }
        Ok(Pin::new(&mut self.stream))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writable()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writable()?.poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writable()?.poll_flush(cx)
    }

    /// Carries nothing.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
