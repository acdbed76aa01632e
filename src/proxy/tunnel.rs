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

use super::body::RequestBody;
use super::ending::Teller;
use super::guarded::Guarded;
use super::upstream::{Answer, Head, Stream};
use super::websocket::{self, Frames, close_frame};
use super::{ForwardError, Held, Outbound, Way, fault, request_head, response_head};
use crate::clock::Clock;
use crate::session::{CutReason, Exchange};
use crate::telemetry::End;
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
        held: Held,
    ) -> Result<Response, ForwardError> {
        let over_http2 = parts.version == Version::HTTP_2;
        let browser = parts.extensions.remove::<OnUpgrade>();
        let (head, key) = handshake(outbound, parts, over_http2);
        // A handshake has no body that could be carried along.
        let request = head.with(RequestBody::empty(), exchange.guard());
        let sent = exchange.until_cut(self.upstream.send_alone(request)).await;
        let answer = self.answered(&exchange, sent)?;
        if answer.head.status != StatusCode::SWITCHING_PROTOCOLS {
            return self.declined(answer, outbound, exchange, over_http2, held);
        }
        let proved = key.is_some_and(|key| proves(&answer.head, &key));
        let (Some(browser), true) = (browser, proved) else {
            return Err(fault::nonsense(
                &self.panel,
                "it switched protocols without the proof",
            ));
        };
        held.1.is_endless();
        let tunnel = Tunnel {
            exchange,
            teller: Teller::of(outbound, &self.panel),
            _held: held,
            clock: self.clock.clone(),
        };
        outbound.entry.goes_on();
        if !over_http2 {
            outbound.connection.becomes_tunnel();
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
        held: Held,
    ) -> Result<Response, ForwardError> {
        if over_http2 && answer.head.status.is_success() {
            // To the browser a success would mean that the tunnel stands.
            return Err(fault::nonsense(&self.panel, "it did not switch protocols"));
        }
        let head = response_head::clean(answer.head, outbound);
        let body = self.body(outbound, answer.trip, exchange, held);
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
    /// Holds its line in the log, which is written when the tunnel is over.
    teller: Teller,
    _held: Held,
    clock: Clock,
}

/// The way to the browser, and where in the stream of frames it stands.
struct ToBrowser<'a> {
    writer: Guarded<WriteHalf<TokioIo<Upgraded>>>,
    frames: Frames,
    teller: &'a Teller,
    /// Some of a write may have gone out: where the stream stands is not known.
    is_writing: bool,
}

impl Tunnel {
    /// `ahead`: what came from the panel behind its answer.
    async fn run(self, browser: OnUpgrade, panel: Stream, ahead: BytesMut) {
        let browser = match self.exchange.until_cut(browser).await {
            Ok(Ok(browser)) => browser,
            Ok(Err(_)) => return self.teller.abandoned(None),
            Err(reason) => return self.teller.abandoned(Some(reason)),
        };
        let (from_browser, to_browser) = split(TokioIo::new(browser));
        let (from_panel, mut to_panel) = split(panel);
        let mut writer = Guarded::new(to_browser);
        writer.ask(Some(self.exchange.guard().clone()));
        let mut to_browser = ToBrowser {
            writer,
            frames: Frames::default(),
            teller: &self.teller,
            is_writing: false,
        };
        let ended = tokio::select! {
            biased; // the end of the session wins over bytes that are ready at the same moment
            reason = self.exchange.guard().is_cut() => Err(reason),
            end = until_both_end(
                self.carry_up(from_browser, &mut to_panel),
                to_browser.carry_down(from_panel, ahead),
            ) => self.exchange.guard().why_cut().map_or(Ok(end), Err),
        };
        match ended {
            Ok(end) => self.teller.ended(end),
            Err(reason) => {
                self.teller.abandoned(Some(reason));
                to_browser.say_farewell(reason).await;
            }
        }
        let to_browser = async {
            // What waits from before a cut does not go out after it.
            if ended.is_ok() || !to_browser.is_writing {
                let _ = to_browser.writer.shutdown().await;
            }
        };
        let closing = async { tokio::join!(to_browser, to_panel.shutdown()) };
        // Whether it closes in good form or not: it is dropped with this function.
        let _ = timeout(FAREWELL, closing).await;
    }

    /// Messages from the browser count as activity of the session; what a browser sends on its own, and
    /// bytes from the panel, do not. `Err` where there is nothing more to say to either side.
    async fn carry_up(
        &self,
        mut from_browser: ReadHalf<TokioIo<Upgraded>>,
        to_panel: &mut WriteHalf<Stream>,
    ) -> Result<End, End> {
        let mut buffer = BytesMut::with_capacity(BUFFER);
        let mut frames = Frames::default();
        let left = |_: io::Error| End::ClientLeft;
        let reset = |_: io::Error| End::PanelReset;
        while from_browser.read_buf(&mut buffer).await.map_err(left)? > 0 {
            if frames.pass(&buffer)
                && let Some(session) = self.exchange.session()
            {
                session.touch(self.clock.now());
            }
            to_panel.write_all(&buffer).await.map_err(reset)?;
            to_panel.flush().await.map_err(reset)?;
            buffer.clear();
        }
        to_panel.shutdown().await.map_err(reset)?;
        Ok(match frames.has_closed() {
            true => End::Complete,
            false => End::ClientLeft,
        })
    }
}

impl ToBrowser<'_> {
    async fn carry_down(
        &mut self,
        mut from_panel: ReadHalf<Stream>,
        ahead: BytesMut,
    ) -> Result<End, End> {
        let mut buffer = ahead;
        buffer.reserve(BUFFER);
        let reset = |_: io::Error| End::PanelReset;
        while !buffer.is_empty() || from_panel.read_buf(&mut buffer).await.map_err(reset)? > 0 {
            self.is_writing = true;
            let writing = async {
                self.writer.write_all(&buffer).await?;
                self.writer.flush().await
            };
            // Over HTTP/2 nothing else ends a tunnel whose browser does not read.
            let written = timeout(STANDSTILL, writing).await;
            written
                .map_err(|_| End::ClientTimedOut)?
                .map_err(|_| End::ClientLeft)?;
            self.is_writing = false;
            self.frames.pass(&buffer);
            self.teller.sent(buffer.len());
            buffer.clear();
        }
        let ended = self.writer.shutdown().await;
        ended.map_err(|_| End::ClientLeft)?;
        Ok(match self.frames.has_closed() {
            true => End::Complete,
            false => End::PanelClosedEarly,
        })
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

/// Runs both directions. When one has ended in good form, the other has a few seconds for its last words;
/// when one broke off, they would go nowhere, and the other side learns it at once.
async fn until_both_end(
    up: impl Future<Output = Result<End, End>>,
    down: impl Future<Output = Result<End, End>>,
) -> End {
    let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
    let ended = tokio::select! {
        ended = up.as_mut() => ended.map(|end| (end, true)),
        ended = down.as_mut() => ended.map(|end| (end, false)),
    };
    match ended {
        Err(end) => end,
        Ok((end, true)) => {
            let _ = timeout(LAST_WORDS, down).await;
            end
        }
        Ok((end, false)) => {
            let _ = timeout(LAST_WORDS, up).await;
            end
        }
    }
}
