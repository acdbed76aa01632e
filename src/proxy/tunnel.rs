//! WebSockets: the handshake with the panel, and the tunnel after it.
//!
//! A tunnel begins only after the panel's 101 with the right proof (RFC 6455 §4.1); until then what
//! the browser sends is HTTP (CVE-2026-2833). Over HTTP/2 the browser asked by CONNECT and is
//! answered 200 (RFC 8441 §5). When the session ends the browser gets a close frame, where the stream
//! stands between two frames, and both sides are closed.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version, response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::body::{RequestBody, ResponseBody};
use super::condition::Place;
use super::guarded::Guarded;
use super::upstream::{Answer, Head, Stream};
use super::websocket::{self, Frames, close_frame};
use super::{ForwardError, Outbound, Way, fault, request_head, response_head};
use crate::accept::Connection;
use crate::clock::Clock;
use crate::session::{CutReason, Exchange};
use crate::shutdown::Shutdown;
use crate::telemetry::Entry;
use crate::wire::{Body, Response};

/// How long the browser has to take the close frame.
const FAREWELL: Duration = Duration::from_millis(250);

/// How long a browser may take nothing of what is written.
const STANDSTILL: Duration = Duration::from_secs(60);

/// How long one side may still speak after the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is read at once in each direction, in bytes.
const BUFFER: usize = 16 * 1024;

impl Way {
    /// Asks the panel for a WebSocket, and ties it to the browser's side if the panel agrees.
    pub(super) async fn open_tunnel(
        &self,
        outbound: &Outbound<'_>,
        parts: &mut Parts,
        exchange: Exchange,
        connection: &Connection,
        place: Place,
    ) -> Result<Response, ForwardError> {
        let over_http2 = parts.version == Version::HTTP_2;
        let browser = parts.extensions.remove::<OnUpgrade>();
        let (head, key) = handshake(outbound, parts, over_http2);
        // A handshake has no body that could be carried along.
        let request = head.with(RequestBody::empty(), exchange.guard());
        let sent = exchange.until_cut(self.upstream.send_alone(request)).await;
        let answer = self.answered(&exchange, sent)?;
        if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
            return self.declined(answer, outbound, exchange, over_http2, place);
        }
        let proved = key.is_some_and(|key| proves(&answer.head, &key));
        let (Some(browser), true) = (browser, proved) else {
            return Err(fault::nonsense(
                &self.panel,
                "it switched protocols without the proof",
            ));
        };
        let tunnel = Tunnel {
            exchange,
            entry: parts.extensions.remove(),
            _place: place,
            clock: self.clock.clone(),
            shutdown: self.tasks.clone(),
        };
        if !over_http2 {
            connection.becomes_tunnel();
        }
        let (panel, ahead) = answer.trip.into_tunnel();
        self.tasks.spawn(tunnel.run(browser, panel, ahead));
        let head = switched(answer.head, outbound, over_http2);
        Ok(Response::from_parts(head, Body::empty()))
    }

    /// The panel answered something else: that is the answer.
    fn declined(
        &self,
        answer: Answer,
        outbound: &Outbound<'_>,
        exchange: Exchange,
        over_http2: bool,
        place: Place,
    ) -> Result<Response, ForwardError> {
        if over_http2 && answer.head.status.is_success() {
            // To the browser a success would mean that the tunnel stands.
            return Err(fault::nonsense(&self.panel, "it did not switch protocols"));
        }
        let head = response_head::clean(answer.head, outbound);
        let pool = self.upstream.pool().clone();
        let body = ResponseBody::new(answer.trip, exchange, pool, place);
        Ok(Response::from_parts(head, Body::new(body)))
    }
}

/// The head of the request for the panel, and the key that its answer must prove.
fn handshake(outbound: &Outbound<'_>, parts: &Parts, over_http2: bool) -> (Head, Option<String>) {
    let mut head = request_head::build(outbound, parts);
    head.field(&CONNECTION, &HeaderValue::from_static("Upgrade"));
    head.field(&UPGRADE, &HeaderValue::from_static("websocket"));
    let key = if over_http2 {
        // HTTP/2 has no key: this one is between the gateway and the panel.
        let key = websocket::fresh_key();
        head.text(&SEC_WEBSOCKET_KEY, &[key.as_bytes()]);
        Some(key)
    } else {
        let key = parts.headers.get(SEC_WEBSOCKET_KEY);
        key.and_then(|key| key.to_str().ok()).map(str::to_owned)
    };
    (head, key)
}

fn proves(head: &response::Parts, key: &str) -> bool {
    let is = |value: Option<&HeaderValue>, text: &str| {
        value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(text.as_bytes()))
    };
    let accept = websocket::accept_of(key);
    is(head.headers.get(UPGRADE), "websocket")
        && head
            .headers
            .get(SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|value| value.as_bytes() == accept.as_bytes())
}

/// The answer to the browser once the panel has switched.
fn switched(head: response::Parts, outbound: &Outbound<'_>, over_http2: bool) -> response::Parts {
    let mut head = response_head::clean(head, outbound);
    if over_http2 {
        head.status = StatusCode::OK;
        head.headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    head
}

/// A WebSocket in flight.
struct Tunnel {
    exchange: Exchange,
    /// Its line in the log, which is written when the tunnel is over.
    entry: Option<Entry>,
    _place: Place,
    clock: Clock,
    shutdown: Shutdown,
}

/// The way to the browser, and where in the stream of frames it stands.
struct ToBrowser {
    writer: Guarded<WriteHalf<TokioIo<Upgraded>>>,
    frames: Frames,
    entry: Option<Entry>,
    /// Some of a write may have gone out: where the stream stands is not known.
    is_writing: bool,
}

impl Tunnel {
    /// `ahead`: what came from the panel behind its answer.
    async fn run(self, browser: OnUpgrade, panel: Stream, ahead: BytesMut) {
        let Ok(Ok(browser)) = self.exchange.until_cut(browser).await else {
            return;
        };
        let (from_browser, to_browser) = split(TokioIo::new(browser));
        let (from_panel, mut to_panel) = split(panel);
        let mut writer = Guarded::new(to_browser);
        writer.ask(Some(self.exchange.guard().clone()));
        let mut to_browser = ToBrowser {
            writer,
            frames: Frames::default(),
            entry: self.entry.clone(),
            is_writing: false,
        };
        let reason = tokio::select! {
            biased; // the end of the session wins over bytes that are ready at the same moment
            reason = self.exchange.guard().is_cut() => Some(reason),
            () = self.shutdown.hurried() => Some(CutReason::GatewayEnds),
            () = until_both_end(
                self.carry_up(from_browser, &mut to_panel),
                to_browser.carry_down(from_panel, ahead),
            ) => None,
        };
        if let Some(reason) = reason {
            to_browser.say_farewell(reason).await;
        }
        let closing = async { tokio::join!(to_browser.writer.shutdown(), to_panel.shutdown()) };
        // Whether it closes in good form or not: it is dropped with this function.
        let _ = timeout(FAREWELL, closing).await;
    }

    /// Bytes from the browser count as activity of the session; bytes from the panel do not.
    async fn carry_up(
        &self,
        mut from_browser: ReadHalf<TokioIo<Upgraded>>,
        to_panel: &mut WriteHalf<Stream>,
    ) -> io::Result<()> {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        while from_browser.read_buf(&mut buffer).await? > 0 {
            if let Some(session) = self.exchange.session() {
                session.touch(self.clock.now());
            }
            to_panel.write_all(&buffer).await?;
            to_panel.flush().await?;
            buffer.clear();
        }
        to_panel.shutdown().await
    }
}

impl ToBrowser {
    async fn carry_down(
        &mut self,
        mut from_panel: ReadHalf<Stream>,
        ahead: BytesMut,
    ) -> io::Result<()> {
        let mut buffer = ahead;
        buffer.reserve(BUFFER);
        while !buffer.is_empty() || from_panel.read_buf(&mut buffer).await? > 0 {
            self.is_writing = true;
            let writing = async {
                self.writer.write_all(&buffer).await?;
                self.writer.flush().await
            };
            // Over HTTP/2 nothing else ends a tunnel whose browser does not read.
            timeout(STANDSTILL, writing).await??;
            self.is_writing = false;
            self.frames.pass(&buffer);
            if let Some(entry) = &self.entry {
                entry.sent(buffer.len());
            }
            buffer.clear();
        }
        self.writer.shutdown().await
    }

    async fn say_farewell(&mut self, reason: CutReason) {
        if self.is_writing || !self.frames.is_between() {
            return;
        }
        self.writer.ask(None);
        let writing = async {
            self.writer.write_all(&close_frame(reason)).await?;
            self.writer.flush().await
        };
        // A browser that does not read gets the end of the connection instead.
        let _ = timeout(FAREWELL, writing).await;
    }
}

/// Runs both directions; when one has ended, the other has a few seconds for its last words.
async fn until_both_end(
    up: impl Future<Output = io::Result<()>>,
    down: impl Future<Output = io::Result<()>>,
) {
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    // How they end makes no difference to what is done next.
    tokio::select! {
        _ = up.as_mut() => drop(timeout(LAST_WORDS, down).await),
        _ = down.as_mut() => drop(timeout(LAST_WORDS, up).await),
    }
}
