//! Stands between the bytes of an HTTP/1.1 connection and hyper, and lets one judged head pass at a
//! time.
//!
//! The next head is looked at only when the exchange before it is over. So a head that is refused is
//! answered in its turn, and what follows a request to upgrade is either a tunnel, unread, or judged
//! like any other request. A refused head is replaced by a stand-in, because only hyper can write an
//! answer; the service recognises it by [`Connection::head_fault`].

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::HEAD_LIMIT;
use super::clocks::Clocks;
use super::connection::Connection;
use super::fault::HeadFault;
use super::head::{Head, HeadReader};
use crate::deadline::Deadline;
use crate::wire::framing::{Framing, FramingFault};

/// Asks for nothing that could be forwarded, should it ever be taken for a request.
const STAND_IN: &[u8] = b"GET * HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";
/// The same for a client that expects no body.
const STAND_IN_HEAD: &[u8] =
    b"HEAD * HTTP/1.1\r\nHost: refused.invalid\r\nConnection: close\r\n\r\n";

/// What a peer may still send after the last answer before it is cut off.
const LINGER_LIMIT: usize = 1024 * 1024;

/// Bytes of an HTTP/1.1 connection of which hyper sees only what was judged.
#[derive(Debug)]
pub(super) struct HeadCheck<S> {
    io: S,
    connection: Arc<Connection>,
    clocks: Clocks,
    phase: Phase,
    /// Bytes that came and were not yet passed on.
    stash: Vec<u8>,
    /// Heads that were passed on, and so exchanges that must end before the next head is read.
    passed: u64,
    /// Set to answer every head with this.
    refusing: Option<HeadFault>,
    waiting: Option<Waiting>,
    deadline: Deadline,
    /// Bytes thrown away after the last answer, once that has begun.
    lingered: Option<usize>,
}

#[derive(Debug)]
enum Phase {
    /// A head is being read, or waited for.
    Head(HeadReader),
    /// The first `left` bytes of the stash are a judged head.
    Passing {
        left: usize,
        framing: Framing,
    },
    Body(Framing),
    /// The stand-in is passing; after it, nothing.
    Refused(&'static [u8]),
}

/// What the clock is running for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    FirstByte,
    RestOfHead,
    NextHead,
}

impl<S: AsyncRead + Unpin> HeadCheck<S> {
    pub(super) fn new(io: S, connection: Arc<Connection>, clocks: Clocks) -> Self {
        Self {
            io,
            connection,
            clocks,
            phase: Phase::Head(HeadReader::default()),
            stash: Vec::new(),
            passed: 0,
            refusing: None,
            waiting: None,
            deadline: Deadline::default(),
            lingered: None,
        }
    }

    /// Answers every head with `fault`.
    pub(super) fn refusing(mut self, fault: Option<HeadFault>) -> Self {
        self.refusing = fault;
        self
    }

    /// Reads from below into the stash, with `buf` as scratch space. Returns the bytes read.
    fn poll_stash(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let count = fresh.len();
        self.stash.extend_from_slice(fresh);
        buf.set_filled(before);
        Poll::Ready(Ok(count))
    }

    /// Passes up to `limit` bytes of the stash on.
    fn unstash(&mut self, buf: &mut ReadBuf<'_>, limit: usize) -> usize {
        let count = limit.min(buf.remaining()).min(self.stash.len());
        buf.put_slice(self.stash.get(..count).unwrap_or_default());
        self.stash.drain(..count);
        if self.stash.is_empty() {
            // An idle connection keeps no buffer of its own.
            self.stash = Vec::new();
        }
        count
    }

    /// Everything passes: the exchange has become a tunnel.
    fn poll_tunnel(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stash.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        self.unstash(buf, usize::MAX);
        Poll::Ready(Ok(()))
    }

    /// An exchange is in progress: nothing is judged, but the end of the input is noticed.
    fn poll_held(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.rest();
        while self.stash.len() < HEAD_LIMIT {
            if ready!(self.poll_stash(cx, buf))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Reads a head to its end. Ready without a change of phase is the end of the input. A head that
    /// comes in one piece, as most do, is in `buf` then; any other still has to pass.
    fn poll_head(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Phase::Head(reader) = &mut self.phase else {
                return Poll::Ready(Ok(()));
            };
            let read = match self.stash.as_slice() {
                // The record of a handshake (RFC 8446 §5.1), in which there may be no line at all.
                [22, 3, ..] if self.passed == 0 => Err(HeadFault::Tls),
                bytes => reader.read(bytes),
            };
            match read {
                Ok(Some(head)) => {
                    self.pass(head);
                    return Poll::Ready(Ok(()));
                }
                Ok(None) => {}
                Err(fault) => {
                    // Where nothing can be right, what else is wrong is of no use.
                    self.refuse(self.refusing.unwrap_or(fault));
                    return Poll::Ready(Ok(()));
                }
            }
            let before = buf.filled().len();
            let polled = if self.stash.is_empty() {
                let polled = Pin::new(&mut self.io).poll_read(cx, buf)?;
                polled.map(|()| self.take_in(buf, before))
            } else {
                self.poll_stash(cx, buf)?
            };
            match polled {
                Poll::Ready(_) if buf.filled().len() > before => return Poll::Ready(Ok(())),
                Poll::Ready(0) if self.stash.is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(0) => self.refuse(HeadFault::Incomplete),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    self.wait();
                    ready!(self.deadline.poll_passed(cx));
                    if self.stash.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    self.refuse(HeadFault::TooSlow);
                }
            }
        }
    }

    /// Judges what was read behind `before`: a whole head that may pass stays there, and all else goes
    /// into the stash. Returns the bytes read.
    fn take_in(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> usize {
        let fresh = buf.filled().get(before..).unwrap_or_default();
        let count = fresh.len();
        let whole = match self.refusing {
            None => HeadReader::default().read(fresh).ok().flatten(),
            Some(_) => None,
        };
        let kept = whole.as_ref().map_or(0, |head| head.length);
        let rest = fresh.get(kept..).unwrap_or_default();
        self.stash.extend_from_slice(rest);
        buf.set_filled(before + kept);
        if let Some(head) = whole {
            self.rest();
            self.passed += 1;
            self.phase = Phase::Body(head.framing);
        }
        count
    }

    /// Starts the clock for what is being waited for, unless it runs.
    fn wait(&mut self) {
        let (waiting, limit) = match (self.stash.is_empty(), self.passed) {
            (false, _) => (Waiting::RestOfHead, self.clocks.head),
            (true, 0) => (Waiting::FirstByte, self.clocks.first_byte),
            (true, _) => (Waiting::NextHead, self.clocks.idle),
        };
        if self.waiting != Some(waiting) {
            self.waiting = Some(waiting);
            self.deadline.set(limit);
        }
    }

    /// Stops the clock.
    fn rest(&mut self) {
        self.waiting = None;
        self.deadline.clear();
    }

    fn pass(&mut self, head: Head) {
        if let Some(fault) = self.refusing {
            // It is what it seems to be, and is answered as what it asks for; nothing follows it.
            self.connection.refuse(fault);
        }
        self.rest();
        self.passed += 1;
        self.phase = Phase::Passing {
            left: head.length,
            framing: head.framing,
        };
    }

    fn refuse(&mut self, fault: HeadFault) {
        tracing::debug!(peer = %self.connection.peer(), %fault, "a request head is refused");
        self.rest();
        self.passed += 1;
        self.connection.refuse(fault);
        self.phase = Phase::Refused(if self.stash.starts_with(b"HEAD ") {
            STAND_IN_HEAD
        } else {
            STAND_IN
        });
        self.stash = Vec::new();
    }

    /// Passes bytes of a body on, and stops where it ends.
    fn poll_body(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Phase::Body(framing) = &mut self.phase else {
            return Poll::Ready(Ok(()));
        };
        if self.stash.is_empty() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let fresh = buf.filled().get(before..).unwrap_or_default();
            let count = framing.advance(fresh).map_err(invalid)?;
            let surplus = fresh.get(count..).unwrap_or_default();
            self.stash.extend_from_slice(surplus);
            buf.set_filled(before + count);
        } else {
            let room = buf.remaining().min(self.stash.len());
            let next = self.stash.get(..room).unwrap_or_default();
            let count = framing.advance(next).map_err(invalid)?;
            self.unstash(buf, count);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the peer may be sending something that nobody will read.
    fn leaves_unread(&self) -> bool {
        match &self.phase {
            Phase::Head(_) => !self.stash.is_empty(),
            Phase::Passing { .. } | Phase::Refused(_) => true,
            Phase::Body(framing) => !framing.is_over(),
        }
    }

    /// Throws away what still comes. Closing with unread input would reset the connection, and the
    /// reset could overtake the answer (RFC 9112 §9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut thrown_away = self.lingered.unwrap_or_default();
        let mut scratch = [0; 4096];
        while thrown_away < LINGER_LIMIT {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Pending => {
                    self.lingered = Some(thrown_away);
                    return self.deadline.poll_passed(cx).map(Ok);
                }
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    thrown_away += buf.filled().len();
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn invalid(fault: FramingFault) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadCheck<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.phase {
                Phase::Head(_) if this.connection.is_tunnel() => return this.poll_tunnel(cx, buf),
                Phase::Head(_) if !this.connection.has_ended(this.passed, cx) => {
                    return this.poll_held(cx, buf);
                }
                Phase::Head(_) => {
                    let before = buf.filled().len();
                    ready!(this.poll_head(cx, buf))?;
                    if matches!(this.phase, Phase::Head(_)) || buf.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Phase::Passing { left, framing } => {
                    let (limit, framing) = (*left, framing.clone());
                    let left = limit.saturating_sub(this.unstash(buf, limit));
                    this.phase = match left {
                        0 => Phase::Body(framing),
                        left => Phase::Passing { left, framing },
                    };
                    return Poll::Ready(Ok(()));
                }
                Phase::Body(framing) if framing.is_over() => {
                    this.phase = Phase::Head(HeadReader::default());
                }
                Phase::Body(_) => return this.poll_body(cx, buf),
                // No end of input: hyper would take it for a client that left before the answer.
                Phase::Refused([]) => return Poll::Pending,
                Phase::Refused(rest) => {
                    let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
                    buf.put_slice(now);
                    this.phase = Phase::Refused(later);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadCheck<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingered.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
            if this.connection.is_tunnel() || !this.leaves_unread() {
                return Poll::Ready(Ok(()));
            }
            this.lingered = Some(0);
            this.deadline.set(this.clocks.linger);
        }
        this.poll_linger(cx)
    }
}
