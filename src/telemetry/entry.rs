//! One exchange as it is counted and told: begun with the request, over when the last of its answer
//! or of its tunnel is dropped.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use http_body::{Body as _, Frame, SizeHint};

use super::access::AccessLog;
use super::end::End;
use super::line::Line;
use super::metrics::Answers;
use crate::clock::Clock;
use crate::wire::{Body, RequestId, Response};

/// An exchange that is under way. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Entry(Arc<Exchange>);

#[derive(Debug)]
struct Exchange {
    id: RequestId,
    log: AccessLog,
    begun: Instant,
    bytes: AtomicU64,
    /// The answer has no body, whatever its head says (RFC 9110 §9.3.2).
    is_head: bool,
    is_answered: AtomicBool,
    /// It goes on after its answer.
    is_tunnel: AtomicBool,
    end: OnceLock<End>,
    /// Only where lines are written.
    line: Option<Mutex<Line>>,
}

/// The body of an answer; what goes out of it is counted.
#[derive(Debug)]
struct Counted {
    body: Body,
    is_over: bool,
    entry: Entry,
}

impl Entry {
    /// A request has come in.
    pub fn begin(log: &AccessLog, id: RequestId, clock: &Clock, parts: &Parts) -> Self {
        log.metrics().exchange_begun();
        let line = || Mutex::new(Line::of(id, clock.wall(), parts));
        Self(Arc::new(Exchange {
            id,
            log: log.clone(),
            is_head: parts.method == Method::HEAD,
            is_answered: AtomicBool::new(false),
            is_tunnel: AtomicBool::new(false),
            end: OnceLock::new(),
            begun: Instant::now(),
            bytes: AtomicU64::new(0),
            line: log.is_on().then(line),
        }))
    }

    /// Says something for the line, where lines are written.
    pub fn tell(&self, say: impl FnOnce(&mut Line)) {
        if let Some(line) = &self.0.line {
            say(&mut line.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Bytes that went to the browser.
    pub fn sent(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It ended in this way; what is said first counts.
    pub fn ended(&self, end: End) {
        let _ = self.0.end.set(end);
    }

    /// It broke off in this way after the head of its answer: where the panel is at fault it is counted,
    /// and those who watch are told.
    pub fn broke_off(&self, panel: &str, end: End) {
        if self.0.end.set(end).is_err() || !end.is_of_panel() {
            return;
        }
        self.0.log.metrics().broke_off(panel, end);
        tracing::warn!(
            request = %self.0.id,
            panel,
            end = end.word(),
            bytes = self.0.bytes.load(Ordering::Relaxed),
            "the panel broke off its answer"
        );
    }

    /// It is a tunnel, which goes on after its answer.
    pub fn goes_on(&self) {
        self.0.is_tunnel.store(true, Ordering::Relaxed);
    }

    /// The answer, whose last byte ends the exchange, what it was that was decided, and the panel that
    /// was asked, if one was.
    pub fn answer(
        self,
        verdict: &'static str,
        panel: Option<(&str, &Answers)>,
        response: Response,
    ) -> Response {
        let status = response.status();
        self.0.is_answered.store(true, Ordering::Relaxed);
        match panel {
            Some((_, answers)) => answers.count(status),
            None => self.0.log.metrics().answered(verdict, status),
        }
        self.tell(|line| {
            (line.verdict, line.status) = (verdict, status.as_u16());
            line.panel = panel.map(|(name, _)| name.to_owned());
        });
        response.map(|body| {
            Body::new(Counted {
                body,
                is_over: false,
                entry: self,
            })
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let end = self.end();
        self.log.metrics().exchange_over(took);
        if end.is_cut() {
            self.log.metrics().cut(end);
        }
        if let Some(line) = self.line.take() {
            let mut line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
            line.end = end.word();
            let bytes = self.bytes.load(Ordering::Relaxed);
            let text = line.written(self.log.format(), bytes, took);
            self.log.write(text);
        }
    }
}

impl Exchange {
    fn end(&self) -> End {
        let otherwise = match self.is_answered.load(Ordering::Relaxed) {
            true => End::Complete,
            // Nothing waited for the answer any more.
            false => End::ClientLeft,
        };
        self.end.get().copied().unwrap_or(otherwise)
    }
}

impl Drop for Counted {
    /// It is dropped at its end, or where the client takes no more of it.
    fn drop(&mut self) {
        let exchange = &self.entry.0;
        if exchange.is_tunnel.load(Ordering::Relaxed) {
            return;
        }
        let is_complete = exchange.is_head || self.is_over || self.body.is_end_stream();
        // A body that was cut knows why, and says so when it goes.
        drop(std::mem::take(&mut self.body));
        self.entry.ended(match is_complete {
            true => End::Complete,
            false => End::ClientLeft,
        });
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.entry.sent(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(_)) => self.entry.ended(End::Failed),
            None => self.is_over = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
