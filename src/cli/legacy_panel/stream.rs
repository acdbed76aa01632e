//! Answers that go on: events, a slow report, and bytes as fast as they are taken.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use http_body::Frame;
use tokio::time::Interval;

use crate::wire::{Body, Response};

/// A line of text at every tick, so many times.
struct Lines {
    ticks: Interval,
    number: u32,
    last: u32,
    line: fn(u32) -> String,
}

/// Zero bytes.
struct Zeroes {
    left: u64,
}

/// One event a second, for a day.
pub(super) fn events() -> Response {
    let line = |number| format!("data: event {number}\n\n");
    stream("text/event-stream", Duration::from_secs(1), 86_400, line)
}

/// A report of a line every half second, for ten minutes.
pub(super) fn report() -> Response {
    let line = |number| format!("{number},{}\n", number * number);
    let mut response = stream("text/csv", Duration::from_millis(500), 1_200, line);
    response.headers_mut().insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"report.csv\""),
    );
    response
}

/// As many bytes as the query's `bytes` says.
pub(super) fn blob(query: Option<&str>) -> Response {
    let left = query
        .and_then(|query| query.strip_prefix("bytes="))
        .and_then(|number| number.parse().ok())
        .unwrap_or(1024 * 1024);
    let mut response = Response::new(Body::new(Zeroes { left }));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(left));
    response
}

fn stream(kind: &'static str, tick: Duration, last: u32, line: fn(u32) -> String) -> Response {
    let mut response = Response::new(Body::new(Lines {
        ticks: tokio::time::interval(tick),
        number: 0,
        last,
        line,
    }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.number == self.last {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(cx));
        self.number += 1;
        let text = (self.line)(self.number);
        Poll::Ready(Some(Ok(Frame::data(text.into()))))
    }
}

impl http_body::Body for Zeroes {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 64 * 1024] = [0; 64 * 1024];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = Bytes::from_static(&CHUNK);
        let length = usize::try_from(self.left).map_or(chunk.len(), |left| left.min(chunk.len()));
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk.slice(..length)))))
    }
}
