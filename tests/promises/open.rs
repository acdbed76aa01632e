//! Everything that a person can have open through the gateway at one time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::Request;

use crate::support::http1::Wire;
use crate::support::http2::{self, Http2};
use crate::support::panel::Panel;
use crate::support::person::Person;
use crate::support::websocket::{Message, WebSocket};
use crate::support::{eventually, soon};

/// How many exchanges [`Everything`] has in flight.
pub(crate) const COUNT: u64 = 8;

/// One of each, with bytes already flowing.
pub(crate) struct Everything {
    websocket: WebSocket,
    websocket_over_http2: WebSocket,
    events: Wire,
    long_poll: Wire,
    download: Wire,
    stalled_download: Wire,
    upload: Wire,
    stream: RecvStream,
    /// Dropping its sender would end the upload.
    _shared: Http2,
}

impl Everything {
    /// Opens all of it; the HTTP/2 ones on `shared`, beside whoever else uses that.
    pub(crate) async fn open(person: &Person, panel: &Panel, shared: &Http2) -> Self {
        let before = panel.open();
        let cookie = person.cookie();
        let everything = Self {
            websocket: person.websocket().await,
            websocket_over_http2: websocket_over(shared, person).await,
            events: begun(person, "/events", true).await,
            long_poll: begun(person, "/poll", false).await,
            download: begun(person, "/blob?bytes=100000000000", true).await,
            stalled_download: begun(person, "/blob?bytes=100000000001", false).await,
            upload: upload(person).await,
            stream: stream(shared, &cookie).await,
            _shared: shared.clone(),
        };
        let wanted = before + usize::try_from(COUNT).unwrap();
        eventually("all of it to reach the panel", || {
            let open = panel.open();
            async move { (open == wanted).then_some(()) }
        })
        .await;
        everything
    }

    /// All of it ends, each in its own good form, before `limit` has passed.
    pub(crate) async fn ends_within(self, limit: Duration) {
        self.ends_for((1008, "the session has ended"), 401, limit)
            .await;
    }

    /// The same for a reason: a code and words for WebSockets, a status for what was not answered yet.
    pub(crate) async fn ends_for(self, why: (u16, &str), status: u16, limit: Duration) {
        let begun = Instant::now();
        soon("all of it to end", self.ends(why, status)).await;
        assert!(begun.elapsed() < limit, "it took {:?}", begun.elapsed());
    }

    async fn ends(mut self, why: (u16, &str), status: u16) {
        let expected = Some(Message::Close(why.0, why.1.to_owned()));
        assert_eq!(self.websocket.hear_out().await, expected, "over HTTP/1.1");
        assert_eq!(
            self.websocket_over_http2.hear_out().await,
            expected,
            "over HTTP/2"
        );
        assert!(ends_broken(&mut self.events).await, "events");
        assert!(ends_broken(&mut self.download).await, "a download");
        assert!(
            ends_broken(&mut self.stalled_download).await,
            "a stalled download"
        );
        assert_eq!(self.long_poll.answer().await.status, status, "a long poll");
        assert_eq!(self.upload.answer().await.status, status, "an upload");
        let ended = loop {
            match http2::next(&mut self.stream).await {
                Ok(Some(_)) => {}
                ended => break ended,
            }
        };
        assert!(ended.is_err(), "a stream of HTTP/2 that looks complete");
    }
}

impl Everything {
    /// All of it is open still.
    pub(crate) async fn goes_on(&mut self) {
        self.websocket.check_echo().await;
        self.websocket_over_http2.check_echo().await;
        assert!(goes_on(&mut self.stream).await, "events over HTTP/2");
        for (what, wire) in [
            ("events", &mut self.events),
            ("a download", &mut self.download),
        ] {
            for _ in 0..3 {
                assert!(!wire.some().await.is_empty(), "{what}");
            }
        }
        self.upload.send("more bytes").await;
        assert!(!self.stalled_download.some().await.is_empty());
    }
}

/// A WebSocket on a shared HTTP/2 connection.
pub(crate) async fn websocket_over(shared: &Http2, person: &Person) -> WebSocket {
    let mut shared = shared.clone();
    shared.await_extended_connect().await;
    let fields = [
        ("origin", "https://localhost"),
        ("sec-websocket-version", "13"),
    ];
    let mut request = http2::head("CONNECT", "/ws", &fields);
    let cookie = person.cookie().trim_start_matches("Cookie: ").to_owned();
    request
        .headers_mut()
        .insert("cookie", cookie.parse().unwrap());
    request
        .extensions_mut()
        .insert(h2::ext::Protocol::from_static("websocket"));
    let (response, sender) = shared.begin(request, false).await;
    let (head, receiver) = soon("a WebSocket over HTTP/2", response)
        .await
        .unwrap()
        .into_parts();
    assert_eq!(head.status, 200);
    let mut socket = WebSocket::over(join(sender, receiver));
    socket.check_echo().await;
    socket
}

/// An event stream on a shared HTTP/2 connection, with the first event read.
pub(crate) async fn stream(shared: &Http2, cookie: &str) -> RecvStream {
    let cookie = cookie.trim_start_matches("Cookie: ");
    let request: Request<()> = http2::head("GET", "/events", &[("cookie", cookie)]);
    let (response, _) = shared.begin(request, true).await;
    let mut body = soon("events over HTTP/2", response)
        .await
        .unwrap()
        .into_body();
    assert!(http2::next(&mut body).await.unwrap().is_some());
    body
}

/// Whether more events come.
pub(crate) async fn goes_on(stream: &mut RecvStream) -> bool {
    for _ in 0..3 {
        if !matches!(http2::next(stream).await, Ok(Some(_))) {
            return false;
        }
    }
    true
}

async fn begun(person: &Person, target: &str, read_some: bool) -> Wire {
    let mut wire = person.connect().await;
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
        person.cookie()
    );
    wire.send(head).await;
    if read_some {
        assert_eq!(wire.try_head().await.unwrap().status, 200, "{target}");
        assert!(!wire.some().await.is_empty());
    }
    wire
}

async fn upload(person: &Person) -> Wire {
    let mut wire = person.connect().await;
    let cookie = person.cookie();
    let head = format!(
        "POST /slow-read HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\nContent-Length: 1000000\r\n\r\nthe first bytes"
    );
    wire.send(head).await;
    wire
}

/// Reads to the end: the connection must end, and nothing in it may look like a complete answer.
async fn ends_broken(wire: &mut Wire) -> bool {
    let mut last = Vec::new();
    loop {
        let some = wire.some().await;
        if some.is_empty() {
            return !last.ends_with(b"0\r\n\r\n");
        }
        last = some;
    }
}

/// Both halves of an HTTP/2 stream as one transport.
fn join(mut sender: SendStream<Bytes>, mut receiver: RecvStream) -> tokio::io::DuplexStream {
    let (outside, inside) = tokio::io::duplex(64 * 1024);
    let (mut from_test, mut to_test) = tokio::io::split(inside);
    tokio::spawn(async move {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = tokio::io::AsyncReadExt::read(&mut from_test, &mut bytes).await
        {
            if sender
                .send_data(Bytes::copy_from_slice(&bytes[..count]), false)
                .is_err()
            {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(chunk)) = receiver.data().await {
            let _ = receiver.flow_control().release_capacity(chunk.len());
            if tokio::io::AsyncWriteExt::write_all(&mut to_test, &chunk)
                .await
                .is_err()
            {
                return;
            }
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut to_test).await;
    });
    outside
}
