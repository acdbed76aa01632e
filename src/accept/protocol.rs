//! Speaks HTTP/1.1 or HTTP/2 on one connection, and ends it in the right way.
//!
//! The protocol is known before the first byte: by ALPN, and on plain listeners it is HTTP/1.1.
//! Detecting it from the bytes, as hyper-util's `auto` builder does, has no clock.

use std::future::{self, Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::answer::answer;
use super::clocks::Clocks;
use super::connection::Connection;
use super::fault::HeadFault;
use super::head_check::HeadCheck;
use super::http2_watch::Http2Watch;
use super::pace::Pace;
use super::seldom::Seldom;
use super::{FIELD_LIMIT, HEAD_LIMIT, Handler};
use crate::shutdown::Shutdown;

/// Streams at a time on one HTTP/2 connection.
const STREAM_LIMIT: u32 = 128;
/// Streams that the client opened and reset before they were looked at (rapid reset).
const PENDING_RESET_LIMIT: usize = 20;
/// Streams that the client made this side reset (CVE-2025-8671).
const LOCAL_RESET_LIMIT: usize = 1024;

/// What a client may send ahead of a handler that does not read, per stream and in all.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is buffered for a client that reads slowly, per stream.
const SEND_BUFFER: usize = 64 * 1024;

/// What one connection needs besides its bytes.
pub(super) struct Service<H> {
    pub(super) connection: Arc<Connection>,
    pub(super) handler: H,
    pub(super) clocks: Clocks,
    pub(super) shutdown: Shutdown,
}

/// Serves HTTP/1.x. With `refusing`, every request is answered with that fault.
pub(super) async fn http1<S, H>(io: S, service: Service<H>, refusing: Option<HeadFault>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let connection = Arc::clone(&service.connection);
    let io = HeadCheck::new(io, Arc::clone(&connection), service.clocks).refusing(refusing);
    let handler = service.handler.clone();
    let answering = service_fn(move |request| {
        answer(
            handler.clone(),
            Arc::clone(&connection),
            request,
            connection.begin(),
        )
    });
    let conn = http1::Builder::new()
        .timer(TokioTimer::new())
        // The clocks on heads are in HeadCheck, which also knows when none is being waited for.
        .header_read_timeout(None)
        .max_header_size(HEAD_LIMIT)
        .max_headers(FIELD_LIMIT)
        .max_buf_size(2 * HEAD_LIMIT)
        .serve_connection(TokioIo::new(io), answering)
        .with_upgrades();
    drive(conn, |conn| conn.graceful_shutdown(), &service, None).await;
}

/// Serves HTTP/2.
pub(super) async fn http2<S, H>(io: S, service: Service<H>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let connection = Arc::clone(&service.connection);
    let io = Http2Watch::new(io, Arc::clone(&connection), service.clocks.first_byte);
    let handler = service.handler.clone();
    let answering = service_fn(move |request| {
        answer(
            handler.clone(),
            Arc::clone(&connection),
            request,
            connection.begin(),
        )
    });
    let conn = http2::Builder::new(Streams {
        tasks: service.shutdown.clone(),
        limit: service.clocks.write,
    })
    .timer(TokioTimer::new())
    .max_concurrent_streams(STREAM_LIMIT)
    .max_header_list_size(u32::try_from(HEAD_LIMIT).unwrap_or(u32::MAX))
    .max_pending_accept_reset_streams(PENDING_RESET_LIMIT)
    .max_local_error_reset_streams(LOCAL_RESET_LIMIT)
    .initial_stream_window_size(STREAM_WINDOW)
    .initial_connection_window_size(CONNECTION_WINDOW)
    .max_send_buf_size(SEND_BUFFER)
    .keep_alive_interval(service.clocks.ping_interval)
    .keep_alive_timeout(service.clocks.ping_answer)
    .enable_connect_protocol()
    .serve_connection(TokioIo::new(io), answering);
    let idle = Some(service.clocks.idle_http2);
    service.connection.watch_quiet();
    service.connection.has_streams();
    drive(conn, |conn| conn.graceful_shutdown(), &service, idle).await;
}

/// Runs a connection to its end, whoever brings that about. `drain` lets it end after the exchanges
/// in progress; `idle` is how long it may stay without one.
async fn drive<C, H>(
    conn: C,
    drain: impl FnOnce(Pin<&mut C>),
    service: &Service<H>,
    idle: Option<Duration>,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let connection = &service.connection;
    let mut conn = pin!(conn);
    let mut closed = connection.closer().cancelled();
    let mut drain = Some((Seldom::new(asked_to_end(service, idle)), drain));
    let ended = poll_fn(|cx| {
        if Pin::new(&mut closed).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Some((asked, _)) = &mut drain
            && Pin::new(asked).poll(cx).is_ready()
            && let Some((_, drain)) = drain.take()
        {
            drain(conn.as_mut());
        }
        conn.as_mut().poll(cx).map(Some)
    })
    .await;
    if let Some(Err(error)) = ended {
        tracing::debug!(peer = %connection.peer(), %error, "a connection ended early");
        // An answer broke off. A reset tells the peer so, even where the end of the connection
        // would be the regular end of the body.
        if error.is_user() {
            connection.closer().cancel();
        }
    }
}

/// Resolves when the connection is to end as soon as the exchanges in progress have.
async fn asked_to_end<H>(service: &Service<H>, idle: Option<Duration>) {
    let connection = &service.connection;
    tokio::select! {
        () = service.shutdown.begun() => {}
        () = connection.retired() => {}
        () = idle_for(connection, idle) => {}
    }
}

/// Resolves when there was no exchange for `limit`.
async fn idle_for(connection: &Connection, limit: Option<Duration>) {
    let Some(limit) = limit else {
        return future::pending().await;
    };
    loop {
        let quiet = connection.quiet_for().unwrap_or_default();
        if quiet >= limit {
            return;
        }
        sleep(limit.saturating_sub(quiet)).await;
    }
}

/// Runs the streams of an HTTP/2 connection as tasks that have an owner, and a clock.
#[derive(Clone)]
struct Streams {
    tasks: Shutdown,
    /// How long a client may take nothing of an answer.
    limit: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.tasks.spawn(Pace::new(self.limit).of(stream));
    }
}
