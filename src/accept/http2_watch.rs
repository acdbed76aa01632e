//! Watches the frames that an HTTP/2 client sends, below the library that answers them.
//!
//! h2 limits what makes it work for nothing by streams: resets (CVE-2023-44487, CVE-2025-8671),
//! CONTINUATION, header lists, empty DATA. It acknowledges PING and SETTINGS without end
//! (CVE-2019-9512, CVE-2019-9515), and waits for ever for the preface. Both are limited here.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::connection::Connection;
use crate::deadline::Deadline;

/// The client's preface (RFC 9113 §3.4).
const PREFACE_LENGTH: usize = 24;
/// The head of a frame (RFC 9113 §4.1).
const HEAD_LENGTH: usize = 9;

/// Frames that carry nothing, in a second. Browsers send a handful.
const IDLE_FRAMES: usize = 1000;
/// One more for so many bytes that were sent: clients acknowledge them in frames as small as these.
const BYTES_EACH: usize = 16;

const WINDOW: Duration = Duration::from_secs(1);

/// Bytes of an HTTP/2 connection, watched.
#[derive(Debug)]
pub(super) struct Http2Watch<S> {
    io: S,
    connection: Arc<Connection>,
    missing: usize,
    deadline: Deadline,
    frames: Frames,
}

/// Where the stream of frames stands, and what was seen.
#[derive(Debug)]
struct Frames {
    head: [u8; HEAD_LENGTH],
    known: usize,
    payload: usize,
    control: Budget,
    window_updates: Budget,
}

/// How many frames may come in a second.
#[derive(Debug)]
struct Budget {
    since: Instant,
    count: usize,
    most: usize,
}

impl<S> Http2Watch<S> {
    /// `within`: how long the whole preface may take.
    pub(super) fn new(io: S, connection: Arc<Connection>, within: Duration) -> Self {
        let mut deadline = Deadline::default();
        deadline.set(within);
        Self {
            io,
            connection,
            missing: PREFACE_LENGTH,
            deadline,
            frames: Frames::new(),
        }
    }

    fn look_at(&mut self, fresh: &[u8]) -> io::Result<()> {
        let preface = self.missing.min(fresh.len());
        self.missing -= preface;
        if self.frames.see(fresh.get(preface..).unwrap_or_default()) {
            return Ok(());
        }
        tracing::info!(peer = %self.connection.peer(), "a flood of HTTP/2 frames: the connection is closed");
        self.connection.closer().cancel();
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "too many frames that carry nothing",
        ))
    }
}

impl Frames {
    fn new() -> Self {
        Self {
            head: [0; HEAD_LENGTH],
            known: 0,
            payload: 0,
            control: Budget::new(),
            window_updates: Budget::new(),
        }
    }

    /// Reads on; `false` when there was too much of something.
    fn see(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(byte) = bytes.first() {
            let skipped = self.payload.min(bytes.len());
            if skipped > 0 {
                self.payload -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.head.get_mut(self.known) {
                *place = *byte;
            }
            self.known += 1;
            bytes = bytes.get(1..).unwrap_or_default();
            if self.known == HEAD_LENGTH && !self.has_room_for_frame() {
                return false;
            }
        }
        true
    }

    fn has_room_for_frame(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.payload = usize::try_from(length).unwrap_or(usize::MAX);
        self.known = 0;
        let ends_stream = flags & 1 == 1;
        match kind {
            // HEADERS, and DATA that brings something (RFC 9113 §6).
            1 => true,
            0 if length > 0 || ends_stream => true,
            8 => self.window_updates.spend(),
            _ => self.control.spend(),
        }
    }
}

impl Budget {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            count: 0,
            most: IDLE_FRAMES,
        }
    }

    fn spend(&mut self) -> bool {
        self.count += 1;
        if self.count <= self.most {
            return true;
        }
        let is_slow = self.since.elapsed() >= WINDOW;
        *self = Self::new();
        is_slow
    }

    fn earn(&mut self, bytes: usize) {
        self.most = self.most.saturating_add(bytes.div_ceil(BYTES_EACH));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Http2Watch<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending if self.missing > 0 => {
                ready!(self.deadline.poll_passed(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(Ok(())) => {
                let fresh = buf.filled().get(before..).unwrap_or_default();
                Poll::Ready(self.look_at(fresh))
            }
            polled => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> Http2Watch<S> {
    fn sent(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = polled {
            self.frames.window_updates.earn(count);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http2Watch<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.sent(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.sent(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 0], payload].concat()
    }

    /// Whether so many frames of a kind pass, in pieces of any size.
    fn pass(frame: &[u8], count: usize, piece: usize) -> bool {
        let mut frames = Frames::new();
        let bytes = frame.repeat(count);
        bytes.chunks(piece).all(|piece| frames.see(piece))
    }

    #[test]
    fn frames_that_carry_nothing_are_counted() {
        let ping = frame(6, 0, &[0; 8]);
        let kinds = [
            ping,
            frame(4, 0, b""),
            frame(0, 0, b""),
            frame(3, 0, &[0; 4]),
            frame(99, 0, b"x"),
        ];
        for frame in kinds {
            for piece in [1, 7, 4096] {
                assert!(pass(&frame, IDLE_FRAMES, piece), "{frame:?}");
                assert!(!pass(&frame, IDLE_FRAMES + 1, piece), "{frame:?}");
            }
        }
        let carrying = [frame(0, 0, b"x"), frame(0, 1, b""), frame(1, 4, b"abc")];
        for frame in carrying {
            assert!(pass(&frame, 10 * IDLE_FRAMES, 100), "{frame:?}");
        }
    }

    #[test]
    fn who_is_slow_may_go_on() {
        let mut frames = Frames::new();
        let ping = frame(6, 0, &[0; 8]);
        for _ in 0..3 {
            assert!(frames.see(&ping.repeat(IDLE_FRAMES)));
            let budget = &mut frames.control;
            budget.since = budget.since.checked_sub(WINDOW).unwrap();
        }
    }

    #[test]
    fn who_is_sent_much_may_acknowledge_much() {
        let update = frame(8, 0, &[0, 0, 0, 1]);
        assert!(!pass(&update, IDLE_FRAMES + 1, 100));
        let mut frames = Frames::new();
        frames.window_updates.earn(100 * BYTES_EACH);
        assert!(frames.see(&update.repeat(IDLE_FRAMES + 100)));
        assert!(!frames.see(&update));
    }
}
