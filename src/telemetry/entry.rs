//! One exchange as it is counted and told: begun with the request, over when the last of its answer
//! or of its tunnel is dropped.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http_body::{Frame, SizeHint};

use super::access::AccessLog;
use super::line::Line;
use super::metrics::Answers;
use crate::clock::Clock;
use crate::wire::{Body, RequestId, Response};

/// An exchange that is under way. Clones are of the same one.
#[derive(Debug, Clone)]
pub struct Entry(Arc<Exchange>);

#[derive(Debug)]
struct Exchange {
    log: AccessLog,
    begun: Instant,
    bytes: AtomicU64,
    /// Only where lines are written.
    line: Option<Mutex<Line>>,
}

/// The body of an answer; what goes out of it is counted.
#[derive(Debug)]
struct Counted {
    body: Body,
    entry: Entry,
}

impl Entry {
    /// A request has come in.
    pub fn begin(log: &AccessLog, id: RequestId, clock: &Clock, parts: &Parts) -> Self {
        log.metrics().exchange_begun();
        let line = || Mutex::new(Line::of(id, clock.wall(), parts));
        Self(Arc::new(Exchange {
            log: log.clone(),
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

    /// The answer, whose last byte ends the exchange, what it was that was decided, and the panel that
    /// was asked, if one was.
    pub fn answer(
        self,
        verdict: &'static str,
        panel: Option<(&str, &Answers)>,
        response: Response,
    ) -> Response {
        let status = response.status();
        match panel {
            Some((_, answers)) => answers.count(status),
            None => self.0.log.metrics().answered(verdict, status),
        }
        self.tell(|line| {
            (line.verdict, line.status) = (verdict, status.as_u16());
            line.panel = panel.map(|(name, _)| name.to_owned());
        });
        response.map(|body| Body::new(Counted { body, entry: self }))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.log.metrics().exchange_over(took);
        if let Some(line) = self.line.take() {
            let line = line.into_inner().unwrap_or_else(PoisonError::into_inner);
            let bytes = self.bytes.load(Ordering::Relaxed);
            let text = line.written(self.log.format(), bytes, took);
            self.log.write(text);
        }
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
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.entry.sent(data.len());
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
