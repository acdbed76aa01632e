//! Asks the handler for the answer to one request, and answers in its place where it may not be
//! asked or has failed.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::Handler;
use super::connection::{Connection, Underway};
use super::fault::HeadFault;
use super::pace::Pace;
use super::received::{Linger, Received};
use crate::wire::own_answer::{self, InTheClear};
use crate::wire::{Body, Problem, Response};

/// The body of an answer; with its end, or when it is dropped, the exchange is over.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    /// Over HTTP/2.
    pace: Option<Pace>,
    /// What was not read of the request is read on, before the answer ends.
    linger: Option<Linger>,
    _underway: Underway,
}

/// Answers one request. `underway` was begun when the request was read.
pub(super) async fn answer<H: Handler>(
    handler: H,
    connection: Arc<Connection>,
    request: Request<Incoming>,
    underway: Underway,
) -> Result<http::Response<Tracked>, Infallible> {
    let version = request.version();
    let (request, linger) = Received::of(request);
    let over_tls_alone = handler.is_over_tls_alone();
    let mut response = match connection.head_fault() {
        Some(fault) => {
            handler.head_refused(&connection, fault);
            let asked = Some(request).filter(|_| fault == HeadFault::NotTls);
            let answer = asked.and_then(|request| handler.without_tls(&request.into_parts().0));
            last(
                in_the_clear(answer.unwrap_or_else(|| refused(fault)), fault),
                version,
            )
        }
        None => match (Caught {
            handling: handler.handle(Arc::clone(&connection), request),
        })
        .await
        {
            Some(response) => response,
            None => {
                connection.retire();
                last(failed(&connection), version)
            }
        },
    };
    own_answer::guard(&mut response, over_tls_alone);
    let pace = Pace::current();
    if let Some(pace) = &pace {
        pace.waits_for_client();
    }
    Ok(response.map(|body| Tracked {
        body,
        pace,
        linger,
        _underway: underway,
    }))
}

pin_project! {
    /// The handler's answer; `None` when it panicked. A panic ends its own request and nothing else.
    struct Caught<F> {
        #[pin]
        handling: F,
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let handling = self.project().handling;
        // Nothing of the broken state is looked at again: the future is not polled after a panic.
        match catch_unwind(AssertUnwindSafe(|| handling.poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}

/// Of a head that is no request.
fn refused(fault: HeadFault) -> Response {
    let title = match fault.status() {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "request head too large",
        StatusCode::REQUEST_TIMEOUT => "request too slow",
        StatusCode::HTTP_VERSION_NOT_SUPPORTED => "HTTP version not supported",
        StatusCode::NOT_IMPLEMENTED => "method not implemented",
        _ => "malformed request",
    };
    Problem::new(fault.status(), title)
        .detail(fault.to_string())
        .into_response()
}

fn in_the_clear(mut response: Response, fault: HeadFault) -> Response {
    if fault == HeadFault::NotTls {
        response.extensions_mut().insert(InTheClear);
    }
    response
}

fn failed(connection: &Connection) -> Response {
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
        .detail("the gateway failed while it answered this request; the log has the cause")
        .referenced();
    tracing::error!(
        reference = problem.reference().unwrap_or_default(),
        peer = %connection.peer(),
        "the handling of a request panicked; its connection is closed"
    );
    problem.into_response()
}

/// Says that the connection ends with this answer. HTTP/2 has no such field (RFC 9113 §8.2.2).
fn last(mut response: Response, version: Version) -> Response {
    if version <= Version::HTTP_11 {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        if let (Poll::Ready(None), Some(linger)) = (&polled, &mut self.linger) {
            polled = linger.poll_over(cx).map(|()| None);
        }
        match &self.pace {
            Some(pace) if polled.is_pending() => pace.waits_for_answer(),
            Some(pace) => pace.waits_for_client(),
            None => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream() && self.linger.as_ref().is_none_or(Linger::is_over)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
