//! Everything that can be open under a session, and how each of it ends when the session does.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Method, Request};

use crate::arena::Arena;
use crate::ask::answered;
use crate::support::http1::Wire;
use crate::support::http2::{self, Http2};
use crate::support::websocket::{HANDSHAKE, Message, WebSocket};
use crate::support::{eventually, soon};

/// The page that asks for a WebSocket.
pub(crate) const ORIGIN: &str = "Origin: https://localhost";

/// One open exchange. `ended` resolves when it is over, with what was wrong about its end.
pub(crate) struct Open {
    pub(crate) what: &'static str,
    pub(crate) ended: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
}

impl Open {
    fn new(
        what: &'static str,
        ended: impl Future<Output = Result<(), String>> + Send + 'static,
    ) -> Self {
        let ended = Box::pin(ended);
        Self { what, ended }
    }
}

/// How many exchanges [`one_of_each`] opens.
pub(crate) const KINDS: u64 = 8;

/// Opens one of each kind with this session, and waits until all of them are under way.
pub(crate) async fn one_of_each(arena: &Arena, session: &str) -> Vec<Open> {
    vec![
        events(arena, session).await,
        unread_download(arena, session).await,
        long_poll(arena, session).await,
        upload(arena, session).await,
        websocket(arena, session).await,
        events_over_http2(arena, session).await,
        long_poll_over_http2(arena, session).await,
        websocket_over_http2(arena, session).await,
    ]
}

/// The head of a request with a session, without its empty line.
pub(crate) fn head(method: &str, path: &str, session: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-portcullis={session}\r\n"
    )
}

/// Sends a request, and waits until the panel has it.
async fn begun(arena: &Arena, request: String) -> Wire {
    let before = arena.heads().len();
    let mut wire = arena.gateway.connect().await;
    wire.send(request).await;
    reached_panel(arena, before).await;
    wire
}

async fn reached_panel(arena: &Arena, before: usize) {
    let more = async || (arena.heads().len() > before).then_some(());
    eventually("the panel to be asked", more).await;
}

/// Reads to the end, in good order or not.
async fn rest(mut wire: Wire) -> Vec<u8> {
    let mut last = Vec::new();
    loop {
        let piece = wire.some().await;
        if piece.is_empty() {
            return last;
        }
        last = piece;
    }
}

/// A stream of events. It must break off: a regular end would pass for the end of the stream.
pub(crate) async fn events(arena: &Arena, session: &str) -> Open {
    let mut wire = begun(arena, head("GET", "/events", session) + "\r\n").await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    Open::new("events over HTTP/1.1", async move {
        if rest(wire).await.ends_with(b"0\r\n\r\n") {
            return Err("it seems complete".to_owned());
        }
        Ok(())
    })
}

/// A download whose client does not read.
async fn unread_download(arena: &Arena, session: &str) -> Open {
    let request = head("GET", "/blob?bytes=100000000000", session) + "\r\n";
    let mut wire = begun(arena, request).await;
    assert_eq!(wire.try_head().await.unwrap().status, 200);
    Open::new("a download that is not read", async move {
        // What the kernel on this side holds already is small against all of it.
        tokio::time::sleep(Duration::from_millis(900)).await;
        rest(wire).await;
        Ok(())
    })
}

async fn long_poll(arena: &Arena, session: &str) -> Open {
    let mut wire = begun(arena, head("GET", "/poll", session) + "\r\n").await;
    Open::new("a long poll over HTTP/1.1", async move {
        expect(answered(&mut wire, false).await?.status, 401)
    })
}

async fn upload(arena: &Arena, session: &str) -> Open {
    let request = head("POST", "/slow-read", session) + "Content-Length: 100000\r\n\r\nxxxx";
    let mut wire = begun(arena, request).await;
    Open::new("an upload", async move {
        expect(answered(&mut wire, false).await?.status, 401)?;
        rest(wire).await;
        Ok(())
    })
}

/// The request for a WebSocket, by a page of the panel.
pub(crate) fn handshake(session: &str) -> String {
    let fields = [&HANDSHAKE[..], &[ORIGIN, "\r\n"]].concat();
    head("GET", "/ws", session) + &fields.join("\r\n")
}

async fn websocket(arena: &Arena, session: &str) -> Open {
    let cookie = format!("Cookie: __Host-portcullis={session}");
    let wire = arena.gateway.connect().await;
    let opened = WebSocket::open(wire, "/ws", &[ORIGIN, &cookie]).await;
    let mut socket = opened.unwrap_or_else(|refusal| panic!("{refusal:?}"));
    socket.check_echo().await;
    Open::new("a WebSocket over HTTP/1.1", async move {
        match socket.hear_out().await {
            // RFC 6455 §7.4.1
            Some(Message::Close(1008, _)) => Ok(()),
            other => Err(format!("no close frame with 1008: {other:?}")),
        }
    })
}

fn expect(status: u16, wanted: u16) -> Result<(), String> {
    if status == wanted {
        return Ok(());
    }
    Err(format!("answered {status} in place of {wanted}"))
}

/// A request over HTTP/2 with a session.
pub(crate) fn request(path: &str, session: &str) -> Request<()> {
    http2::head(
        "GET",
        path,
        &[("cookie", &format!("__Host-portcullis={session}"))],
    )
}

/// One stream of events on a connection over HTTP/2.
pub(crate) struct Events(RecvStream);

impl Events {
    pub(crate) async fn open(http2: &Http2, session: &str) -> Self {
        let (response, _) = http2.begin(request("/events", session), true).await;
        let mut events = Self(soon("an answer", response).await.unwrap().into_body());
        events.next().await.unwrap();
        events
    }

    /// The next event; `Err` says how the stream ended.
    pub(crate) async fn next(&mut self) -> Result<(), String> {
        match http2::next(&mut self.0).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it seems complete".to_owned()),
            Err(_) => Err("broken off".to_owned()),
        }
    }

    /// Reads to the end, which must not look complete.
    pub(crate) async fn broken_off(mut self) -> Result<(), String> {
        loop {
            match self.next().await {
                Ok(()) => {}
                Err(how) if how == "broken off" => return Ok(()),
                Err(how) => return Err(how),
            }
        }
    }
}

async fn events_over_http2(arena: &Arena, session: &str) -> Open {
    let http2 = Http2::connect(arena.gateway.port).await;
    let events = Events::open(&http2, session).await;
    Open::new("events over HTTP/2", async move {
        let ended = events.broken_off().await;
        drop(http2);
        ended
    })
}

async fn long_poll_over_http2(arena: &Arena, session: &str) -> Open {
    let before = arena.heads().len();
    let http2 = Http2::connect(arena.gateway.port).await;
    let (response, _) = http2.begin(request("/poll", session), true).await;
    reached_panel(arena, before).await;
    Open::new("a long poll over HTTP/2", async move {
        let response = response.await.map_err(|error| error.to_string())?;
        drop(http2);
        expect(response.status().as_u16(), 401)
    })
}

/// Asks for a WebSocket by RFC 8441; the streams of its bytes, or the status of the refusal.
pub(crate) async fn extended_connect(
    http2: &mut Http2,
    session: &str,
) -> Result<(SendStream<Bytes>, RecvStream), u16> {
    http2.await_extended_connect().await;
    let mut request = request("/ws", session);
    *request.method_mut() = Method::CONNECT;
    let protocol = h2::ext::Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);
    let headers = request.headers_mut();
    headers.insert("origin", "https://localhost".parse().unwrap());
    headers.insert("sec-websocket-version", "13".parse().unwrap());
    let (response, sending) = http2.begin(request, false).await;
    let response = soon("an answer", response).await.unwrap();
    match response.status().as_u16() {
        200 => Ok((sending, response.into_body())),
        status => Err(status),
    }
}

async fn websocket_over_http2(arena: &Arena, session: &str) -> Open {
    let mut http2 = Http2::connect(arena.gateway.port).await;
    let (sending, mut body) = extended_connect(&mut http2, session).await.unwrap();
    http2::next(&mut body).await.unwrap().unwrap();
    Open::new("a WebSocket over HTTP/2", async move {
        let mut last = Bytes::new();
        while let Ok(Some(piece)) = http2::next(&mut body).await {
            if !piece.is_empty() {
                last = piece;
            }
        }
        drop((sending, http2));
        // A close frame of any length, then the status of RFC 6455 §7.4.1.
        if last
            .windows(4)
            .any(|part| matches!(part, [0x88, _, 0x03, 0xf0]))
        {
            return Ok(());
        }
        Err(format!("no close frame with 1008: {last:?}"))
    })
}
