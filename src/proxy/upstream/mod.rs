//! Connections to a panel: the newest idle one first, a new one where none serves.
//!
//! A request is repeated only where that is safe: when nothing of it was sent, or when its method is
//! safe, it has no body, and a connection that was idle turned out to be closed (RFC 9112 §9.3.1).

mod connect;
mod pool;

use std::time::Duration;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, Method, Request};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

pub(super) use self::connect::Connector;
use self::connect::Stream;
pub(super) use self::pool::Lease;
use self::pool::{Pool, Sender};
use super::body::{Progress, RequestBody};
use crate::config::Bounds;
use crate::shutdown::Shutdown;

/// How often it is looked at whether the panel has been silent for too long: what it is measured from
/// moves on as long as the request's body does.
const LOOK: Duration = Duration::from_secs(1);

/// The way to one panel, with its idle connections.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    connector: Connector,
    pool: Pool,
    /// How long a connection may take to stand.
    connect: Duration,
    /// How long the head of an answer may take from the end of the request.
    answer: Duration,
    tasks: Shutdown,
}

/// The head of a panel's answer with what streams behind it.
pub(super) struct Answer {
    pub(super) head: Parts,
    pub(super) body: Incoming,
    pub(super) connection: Lease,
}

/// Why a panel did not answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("{to}: {cause}")]
    Connect { to: String, cause: std::io::Error },
    #[error("{to}: no connection in time")]
    ConnectTimeout { to: String },
    #[error("no answer in time")]
    NoAnswer,
    #[error("{0}")]
    Exchange(#[source] hyper::Error),
    #[error("the certificates in {path}: {fault}")]
    Roots { path: String, fault: String },
    #[error("{0:?} is not a host name that a certificate could be for")]
    ServerName(String),
}

impl Upstream {
    pub(super) fn new(connector: Connector, bounds: &Bounds, tasks: Shutdown) -> Self {
        Self {
            connector,
            connect: bounds.connect,
            answer: bounds.answer,
            pool: Pool::new(tasks.clone()),
            tasks,
        }
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        progress: &Progress,
    ) -> Result<Answer, UpstreamError> {
        let is_repeatable = is_safe(request.method()) && request.body().is_end_stream();
        let mut request = request;
        while let Some(sender) = self.pool.take(is_repeatable) {
            let spare = is_repeatable.then(|| without_body(&request));
            match self.attempt(sender, request, progress).await {
                Ok(answer) => return Ok(answer),
                Err((fault, unsent)) => {
                    let closed = fault.is_from_closed_connection();
                    match unsent.or_else(|| spare.filter(|_| closed)) {
                        Some(again) => request = again,
                        None => return Err(fault),
                    }
                }
            }
        }
        let sender = self.connect().await?;
        let sent = self.attempt(sender, request, progress).await;
        sent.map_err(|(fault, _)| fault)
    }

    /// Sends a request that may become a tunnel, on a connection that serves nothing else.
    pub(super) async fn send_alone(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Answer, UpstreamError> {
        let sender = self.connect().await?;
        let sent = self.attempt(sender, request, &Progress::new()).await;
        sent.map_err(|(fault, _)| fault)
    }

    async fn attempt(
        &self,
        mut sender: Sender,
        request: Request<RequestBody>,
        progress: &Progress,
    ) -> Result<Answer, (UpstreamError, Option<Request<RequestBody>>)> {
        let mut is_bound = binds_connection(request.headers(), &AUTHORIZATION);
        let sent = {
            let sending = sender.send(request);
            let mut sending = std::pin::pin!(sending);
            loop {
                match timeout(LOOK, sending.as_mut()).await {
                    Ok(sent) => break sent,
                    Err(_) if self.is_late(progress) => {
                        return Err((UpstreamError::NoAnswer, None));
                    }
                    Err(_) => {}
                }
            }
        };
        match sent {
            Ok(response) => {
                let (head, body) = response.into_parts();
                is_bound |= binds_connection(&head.headers, &WWW_AUTHENTICATE);
                let connection = self.pool.lease(sender, !is_bound);
                Ok(Answer {
                    head,
                    body,
                    connection,
                })
            }
            Err(mut fault) => {
                let unsent = fault.take_message();
                Err((UpstreamError::Exchange(fault.into_error()), unsent))
            }
        }
    }

    /// The panel has been waited for longer than it may take.
    fn is_late(&self, progress: &Progress) -> bool {
        let since = progress.panel_awaited_since();
        since.is_some_and(|since| since + self.answer < Instant::now())
    }

    async fn connect(&self) -> Result<Sender, UpstreamError> {
        let to = || self.connector.to_string();
        let stream: Stream = timeout(self.connect, self.connector.connect())
            .await
            .map_err(|_| UpstreamError::ConnectTimeout { to: to() })?
            .map_err(|cause| UpstreamError::Connect { to: to(), cause })?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Exchange)?;
        let abandoned = CancellationToken::new();
        let sender = Sender {
            requests,
            _connection: abandoned.clone().drop_guard(),
        };
        self.tasks.spawn(async move {
            // How it ends is told to whoever waits for an answer on it.
            let _ = abandoned
                .run_until_cancelled(connection.with_upgrades())
                .await;
        });
        Ok(sender)
    }
}

impl UpstreamError {
    /// Whether the panel closed the connection before it said anything of an answer.
    fn is_from_closed_connection(&self) -> bool {
        match self {
            Self::Exchange(fault) => {
                fault.is_incomplete_message()
                    || fault.is_closed()
                    || fault.is_canceled()
                    || is_reset(fault)
            }
            _ => false,
        }
    }
}

fn is_reset(fault: &hyper::Error) -> bool {
    std::error::Error::source(fault)
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .is_some_and(|cause| {
            matches!(
                cause.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            )
        })
}

/// Whether a panel knows people by their connection from here on, as NTLM and Negotiate do (RFC 4559
/// §6): nobody else may be served on it.
fn binds_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().any(|value| {
        let mut words = value.as_bytes().split(|byte| b" ,".contains(byte));
        words.any(|word| BINDING.iter().any(|known| word.eq_ignore_ascii_case(known)))
    })
}

const BINDING: [&[u8]; 2] = [b"NTLM", b"Negotiate"];

/// RFC 9110 §9.2.1, of those that are forwarded.
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

fn without_body(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}
