//! Everything that can be open under a session, and how each of it ends when the session does.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{Method, Request};
use tokio::time::timeout;

use crate::arena::Arena;
use crate::http1::{Client, PATIENCE};
use crate::http2;

/// One open exchange. `ended` resolves when it is over, with what was wrong about its end.
pub(crate) struct Open {
    pub(crate) what: &'static str,
    pub(crate) ended: Pin<Box<dyn Future<Output = Result<(), String>> + Send>>,
}

/// Opens one of each kind with this session, and waits until all of them are under way.
pub(crate) async fn one_of_each(arena: &Arena, session: &str) -> Vec<Open> {
    let http2 = http2::Client::connect(arena).await;
    vec![
        events(arena, session).await,
        unread_download(arena, session).await,
        long_poll(arena, session).await,
        upload(arena, session).await,
        websocket(arena, session).await,
        events_over_http2(arena, session).await,
        long_poll_over_http2(arena, session).await,
        websocket_over_http2(http2, arena, session).await,
    ]
}

/// How many exchanges [`one_of_each`] opens.
pub(crate) const KINDS: u64 = 8;

/// The page of a path, asked for with a session.
pub(crate) fn head(arena: &Arena, method: &str, path: &str, session: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nCookie: __Host-portcullis={session}\r\n",
        arena.host()
    )
}

async fn begun(arena: &Arena, request: String) -> Client {
    let seen = arena.panel().heads().len();
    let mut client = Client::connect(arena).await;
    client.send(request.as_bytes()).await;
    reached_panel(arena, seen).await;
    client
}

async fn reached_panel(arena: &Arena, seen: usize) {
    let reached = async {
        while arena.panel().heads().len() <= seen {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, reached)
        .await
        .expect("the panel is asked");
}

/// A stream of events. It must break off: a regular end would pass for the end of the stream.
pub(crate) async fn events(arena: &Arena, session: &str) -> Open {
    let request = head(arena, "GET", "/events", session) + "\r\n";
    let mut client = begun(arena, request).await;
    client.until(b"data: x\n\n").await.unwrap();
    Open {
        what: "events over HTTP/1.1",
        ended: Box::pin(async move {
            let rest = client.rest().await;
            match rest.ends_with(b"0\r\n\r\n") {
                true => Err("it seems complete".to_owned()),
                false => Ok(()),
            }
        }),
    }
}

/// A download whose client does not read.
async fn unread_download(arena: &Arena, session: &str) -> Open {
    let request = head(arena, "GET", "/download", session) + "\r\n";
    let mut client = begun(arena, request).await;
    client.until(b"xxxx").await.unwrap();
    Open {
        what: "a download that is not read",
        ended: Box::pin(async move {
            // What the kernel on this side holds already is small against a stream that goes on.
            tokio::time::sleep(Duration::from_millis(900)).await;
            client.rest().await;
            Ok(())
        }),
    }
}

async fn long_poll(arena: &Arena, session: &str) -> Open {
    let request = head(arena, "GET", "/never", session) + "\r\n";
    let mut client = begun(arena, request).await;
    Open {
        what: "a long poll over HTTP/1.1",
        ended: Box::pin(async move {
            let answer = client.answer_to("GET").await?;
            expect(answer.status, 401)
        }),
    }
}

async fn upload(arena: &Arena, session: &str) -> Open {
    let request = head(arena, "POST", "/upload", session) + "Content-Length: 100000\r\n\r\nxxxx";
    let mut client = begun(arena, request).await;
    Open {
        what: "an upload",
        ended: Box::pin(async move {
            let answer = client.answer_to("POST").await?;
            expect(answer.status, 401)?;
            client.rest().await;
            Ok(())
        }),
    }
}

/// The handshake of a WebSocket for a page of the panel.
pub(crate) fn handshake(arena: &Arena, session: &str) -> String {
    head(arena, "GET", "/ws", session)
        + "Connection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://panel.example\r\n\
           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

async fn websocket(arena: &Arena, session: &str) -> Open {
    let mut client = begun(arena, handshake(arena, session)).await;
    assert_eq!(client.head().await.unwrap().status, 101);
    client.until(b"\x81\x05hello").await.unwrap();
    Open {
        what: "a WebSocket over HTTP/1.1",
        ended: Box::pin(async move { closed_by_policy(&client.rest().await) }),
    }
}

/// Close code 1008 (RFC 6455 §7.4.1) as the last frame.
fn closed_by_policy(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0x88, _, 0x03, 0xf0, ..] => Ok(()),
        other => Err(format!("no close frame with 1008: {other:?}")),
    }
}

fn expect(status: u16, wanted: u16) -> Result<(), String> {
    match status == wanted {
        true => Ok(()),
        false => Err(format!("answered {status} in place of {wanted}")),
    }
}

/// A request over HTTP/2 with a session.
pub(crate) fn request(arena: &Arena, path: &str, session: &str) -> Request<()> {
    Request::get(format!("https://{}{path}", arena.host()))
        .header("cookie", format!("__Host-portcullis={session}"))
        .body(())
        .unwrap()
}

/// One stream of events on a connection over HTTP/2.
pub(crate) struct Events {
    body: RecvStream,
}

impl Events {
    pub(crate) async fn open(client: &http2::Client, arena: &Arena, session: &str) -> Self {
        let ask = client.ask.clone().ready().await.unwrap();
        let (answer, _) = { ask }
            .send_request(request(arena, "/events", session), true)
            .unwrap();
        let mut events = Self {
            body: answer.await.unwrap().into_body(),
        };
        events.next().await.unwrap();
        events
    }

    /// The next event; `Err` says how the stream ended.
    pub(crate) async fn next(&mut self) -> Result<(), String> {
        match timeout(PATIENCE, self.body.data()).await {
            Ok(Some(Ok(piece))) => {
                let release = self.body.flow_control().release_capacity(piece.len());
                release.map_err(|error| error.to_string())
            }
            Ok(Some(Err(error))) => Err(format!("broken off: {error}")),
            Ok(None) => Err("complete".to_owned()),
            Err(_) => Err("silent".to_owned()),
        }
    }

    /// Reads to the end, which must not look complete.
    pub(crate) async fn broken_off(mut self) -> Result<(), String> {
        loop {
            match self.next().await {
                Ok(()) => {}
                Err(how) if how.starts_with("broken off") => return Ok(()),
                Err(how) => return Err(how),
            }
        }
    }
}

async fn events_over_http2(arena: &Arena, session: &str) -> Open {
    let client = http2::Client::connect(arena).await;
    let events = Events::open(&client, arena, session).await;
    Open {
        what: "events over HTTP/2",
        ended: Box::pin(async move {
            let ended = events.broken_off().await;
            drop(client);
            ended
        }),
    }
}

async fn long_poll_over_http2(arena: &Arena, session: &str) -> Open {
    let seen = arena.panel().heads().len();
    let client = http2::Client::connect(arena).await;
    let ask = client.ask.clone().ready().await.unwrap();
    let (answer, _) = { ask }
        .send_request(request(arena, "/never", session), true)
        .unwrap();
    reached_panel(arena, seen).await;
    Open {
        what: "a long poll over HTTP/2",
        ended: Box::pin(async move {
            let answer = answer.await.map_err(|error| error.to_string())?;
            drop(client);
            expect(answer.status().as_u16(), 401)
        }),
    }
}

/// Opens a WebSocket by RFC 8441; the stream to send on, and the one that says hello.
pub(crate) async fn extended_connect(
    client: &mut http2::Client,
    arena: &Arena,
    session: &str,
) -> Result<(SendStream<Bytes>, RecvStream), u16> {
    assert!(client.allows_extended_connect().await);
    let mut request = request(arena, "/ws", session);
    *request.method_mut() = Method::CONNECT;
    let protocol = h2::ext::Protocol::from_static("websocket");
    request.extensions_mut().insert(protocol);
    let headers = request.headers_mut();
    headers.insert("origin", "https://panel.example".parse().unwrap());
    headers.insert("sec-websocket-version", "13".parse().unwrap());
    let ask = client.ask.clone().ready().await.unwrap();
    let (answer, sending) = { ask }.send_request(request, false).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    if answer.status() != 200 {
        return Err(answer.status().as_u16());
    }
    Ok((sending, answer.into_body()))
}

async fn websocket_over_http2(mut client: http2::Client, arena: &Arena, session: &str) -> Open {
    let (sending, mut body) = extended_connect(&mut client, arena, session).await.unwrap();
    let hello = body.data().await.unwrap().unwrap();
    assert_eq!(&hello[..], b"\x81\x05hello");
    Open {
        what: "a WebSocket over HTTP/2",
        ended: Box::pin(async move {
            let mut bytes = Vec::new();
            while let Some(Ok(piece)) = body.data().await {
                bytes.extend_from_slice(&piece);
            }
            drop((sending, client));
            closed_by_policy(&bytes)
        }),
    }
}
