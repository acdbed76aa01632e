//! A request as it is written to a panel (RFC 9112 §3 and §6).

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{AUTHORIZATION, CONNECTION};
use http::{HeaderName, HeaderValue, Method};
use tokio::io::AsyncWrite;

use super::binds_connection;
use super::connect::Stream;
use crate::proxy::body::{ClientFault, RequestBody};
use crate::session::Guard;

/// The head of a request, while it is being written. How its body is framed is not the caller's to
/// say: [`Head::with`] adds that.
#[derive(Debug)]
pub(in crate::proxy) struct Head {
    method: Method,
    text: Vec<u8>,
    is_binding: bool,
    /// It has a `Connection` of its own.
    is_upgrade: bool,
}

/// A request on its way.
#[derive(Debug)]
pub(in crate::proxy) struct Outgoing {
    method: Method,
    head: Bytes,
    /// No other request may follow on its connection: it has a body, or is no plain question, or the
    /// panel takes all that follows for whoever it signs in.
    is_last: bool,
    body: RequestBody,
    framing: Framing,
    guard: Guard,
    /// What is being written: the head, the line before a chunk, data, the end of the chunk.
    queue: [Bytes; 4],
    /// Something of it has gone out.
    is_begun: bool,
    /// All of the body is in the queue.
    is_read: bool,
    /// Nothing is left but to wait for more of the body.
    waits_for_client: bool,
    needs_flush: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

/// Why a request was not sent to its end.
#[derive(Debug)]
pub(super) enum SendFault {
    Client(ClientFault),
    Panel,
}

impl Head {
    pub(in crate::proxy) fn new(method: &Method, target: &str, capacity: usize) -> Self {
        let mut text = Vec::with_capacity(capacity);
        for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            text.extend_from_slice(part.as_bytes());
        }
        Self {
            method: method.clone(),
            text,
            is_binding: false,
            is_upgrade: false,
        }
    }

    /// A field as it was received.
    pub(in crate::proxy) fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.is_binding |= name == AUTHORIZATION && binds_connection(value);
        self.is_upgrade |= name == CONNECTION;
        self.line(name, &[value.as_bytes()]);
    }

    /// A field made of these parts; not where they hold what no field may (RFC 9110 §5.5).
    pub(in crate::proxy) fn text(&mut self, name: &HeaderName, parts: &[&[u8]]) {
        let possible = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        if parts.iter().all(|part| part.iter().all(possible)) {
            self.line(name, parts);
        }
    }

    /// A field that lists parts of fields as they were received; none without any.
    pub(in crate::proxy) fn list<'a>(
        &mut self,
        name: &HeaderName,
        parts: impl Iterator<Item = &'a [u8]>,
        between: &[u8],
    ) {
        let mut is_first = true;
        for part in parts {
            if std::mem::take(&mut is_first) {
                self.text.extend_from_slice(name.as_str().as_bytes());
                self.text.extend_from_slice(b": ");
            } else {
                self.text.extend_from_slice(between);
            }
            self.text.extend_from_slice(part);
        }
        if !is_first {
            self.text.extend_from_slice(b"\r\n");
        }
    }

    fn line(&mut self, name: &HeaderName, parts: &[&[u8]]) {
        self.text.extend_from_slice(name.as_str().as_bytes());
        self.text.extend_from_slice(b": ");
        parts
            .iter()
            .for_each(|part| self.text.extend_from_slice(part));
        self.text.extend_from_slice(b"\r\n");
    }

    /// The whole request, of which nothing is written that its guard does not let pass: the one place
    /// that says how its body is framed.
    pub(in crate::proxy) fn with(self, body: RequestBody, guard: &Guard) -> Outgoing {
        let Self {
            method,
            mut text,
            is_binding,
            is_upgrade,
        } = self;
        let framing = match body.length() {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        // Writing to a vector does not fail.
        let _ = match framing {
            Framing::Chunked => write!(text, "transfer-encoding: chunked\r\n"),
            // RFC 9110 §8.6
            Framing::Length(0) if !expects_body(&method) => Ok(()),
            Framing::Length(length) => write!(text, "content-length: {length}\r\n"),
        };
        let has_body = framing != Framing::Length(0);
        let is_last = is_binding || has_body || !is_safe(&method) || method == Method::HEAD;
        // RFC 9112 §9.6: a panel that misjudges where a body ends has no next request to find in it.
        if is_last && !is_upgrade {
            text.extend_from_slice(b"connection: close\r\n");
        }
        text.extend_from_slice(b"\r\n");
        let head = Bytes::from(text);
        Outgoing {
            method,
            queue: [head.clone(), Bytes::new(), Bytes::new(), Bytes::new()],
            head,
            is_last,
            is_read: framing == Framing::Length(0),
            body,
            framing,
            guard: guard.clone(),
            is_begun: false,
            waits_for_client: false,
            needs_flush: true,
        }
    }
}

/// RFC 9110 §9.2.1.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn expects_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

impl Outgoing {
    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// What is asked before anything of it is written.
    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether no other request may follow on its connection.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Whether it may be sent twice: its method is safe (RFC 9110 §9.2.1) and it has no body.
    pub(super) fn is_repeatable(&self) -> bool {
        is_safe(&self.method) && self.framing == Framing::Length(0)
    }

    /// The request once more, for another connection; `None` when it can't be sent again.
    pub(super) fn again(mut self) -> Option<Self> {
        if !self.is_begun {
            return Some(self);
        }
        if !self.is_repeatable() {
            return None;
        }
        self.queue = [self.head.clone(), Bytes::new(), Bytes::new(), Bytes::new()];
        (self.is_begun, self.needs_flush) = (false, true);
        Some(self)
    }

    /// Whether it is the client that is waited for, and not the panel.
    pub(super) fn waits_for_client(&self) -> bool {
        self.waits_for_client
    }

    /// Whether all of it has been sent.
    pub(super) fn is_sent(&self) -> bool {
        self.is_read && self.is_written() && !self.needs_flush
    }

    /// Writes on, and says how many bytes went out; ready when all of it has been sent.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> (usize, Poll<Result<(), SendFault>>) {
        let mut written = 0;
        let polled = self.poll_on(stream, cx, &mut written);
        (written, polled)
    }

    fn poll_on(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        written: &mut usize,
    ) -> Poll<Result<(), SendFault>> {
        loop {
            // First, so that a head and the first of its body go out together.
            let waits = match self.poll_body(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(SendFault::Client(fault))),
                Poll::Pending => true,
            };
            if !self.is_written() {
                *written += ready!(self.poll_write(stream, cx)).map_err(|_| SendFault::Panel)?;
                continue;
            }
            if self.needs_flush {
                ready!(Pin::new(&mut *stream).poll_flush(cx)).map_err(|_| SendFault::Panel)?;
                self.needs_flush = false;
            }
            if waits {
                return Poll::Pending;
            }
            if self.is_read {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes more of the body into the queue, if there is room.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientFault>> {
        let [_, line, data, end] = &mut self.queue;
        if self.is_read || !(line.is_empty() && data.is_empty() && end.is_empty()) {
            return Poll::Ready(Ok(()));
        }
        self.waits_for_client = true;
        let more = ready!(self.body.poll_data(cx)).transpose()?;
        self.waits_for_client = false;
        match (&mut self.framing, more) {
            (Framing::Length(left), Some(more)) => {
                // What is below this has counted too: a longer body would be read as a request.
                *left = left
                    .checked_sub(more.len() as u64)
                    .ok_or(ClientFault::Broken)?;
                self.is_read = *left == 0;
                *data = more;
            }
            (Framing::Length(0), None) => self.is_read = true,
            (Framing::Length(_), None) => return Poll::Ready(Err(ClientFault::Broken)),
            (Framing::Chunked, Some(more)) if more.is_empty() => {}
            (Framing::Chunked, Some(more)) => {
                *line = Bytes::from(format!("{:x}\r\n", more.len()));
                *data = more;
                *end = Bytes::from_static(b"\r\n");
            }
            (Framing::Chunked, None) => {
                *line = Bytes::from_static(b"0\r\n\r\n");
                self.is_read = true;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn is_written(&self) -> bool {
        self.queue.iter().all(Bytes::is_empty)
    }

    fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        let [head, rest @ ..] = &self.queue;
        let written = if rest.iter().all(Bytes::is_empty) {
            ready!(stream.poll_write(cx, head))?
        } else {
            let slices = self.queue.each_ref().map(|part| IoSlice::new(part));
            ready!(stream.poll_write_vectored(cx, &slices))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        (self.is_begun, self.needs_flush) = (true, true);
        let mut left = written;
        for part in &mut self.queue {
            let count = left.min(part.len());
            part.advance(count);
            left -= count;
        }
        Poll::Ready(Ok(written))
    }
}
