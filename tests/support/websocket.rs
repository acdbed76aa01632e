//! WebSocket frames by hand: a server side that echoes and ticks, and a client side.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http1::{Answer, Transport, Wire};
use super::soon;

/// One message as it came.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Text(String),
    /// Status and reason.
    Close(u16, String),
    Other(u8),
}

/// The client's side of a WebSocket.
pub struct WebSocket {
    stream: Box<dyn Transport>,
    buffer: Vec<u8>,
}

/// The fields that ask for a WebSocket over HTTP/1.1.
pub const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

impl WebSocket {
    /// Asks for one over HTTP/1.1; the refusal when there is one.
    pub async fn open(mut wire: Wire, target: &str, fields: &[&str]) -> Result<Self, Answer> {
        let fields: Vec<&str> = HANDSHAKE.iter().chain(fields).copied().collect();
        let answer = wire.get(target, &fields).await;
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(
            answer.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        let (stream, buffer) = wire.into_parts();
        Ok(Self { stream, buffer })
    }

    /// One on bytes that are past the handshake.
    pub fn over(stream: impl Transport + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    pub async fn say(&mut self, text: &str) {
        self.send(0x81, text.as_bytes()).await;
    }

    /// A short frame, whatever its first byte says.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = client_frame(first, payload);
        // It may have been closed meanwhile: what is heard next tells.
        let _ = self.stream.write_all(&frame).await;
        let _ = self.stream.flush().await;
    }

    /// The next message; `None` when the connection ends.
    pub async fn hear(&mut self) -> Option<Message> {
        loop {
            if let Some((opcode, payload, length)) = unmasked(&self.buffer) {
                self.buffer.drain(..length);
                return Some(match opcode {
                    1 => Message::Text(String::from_utf8_lossy(&payload).into_owned()),
                    8 if payload.len() >= 2 => Message::Close(
                        u16::from_be_bytes([payload[0], payload[1]]),
                        String::from_utf8_lossy(&payload[2..]).into_owned(),
                    ),
                    other => Message::Other(other),
                });
            }
            let mut bytes = [0; 4096];
            let count = soon("a message", self.stream.read(&mut bytes))
                .await
                .unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&bytes[..count]);
        }
    }

    /// Talks until the echo comes back: the tunnel stands.
    pub async fn check_echo(&mut self) {
        self.say("are you there").await;
        while let Some(message) = self.hear().await {
            if message == Message::Text("are you there".to_owned()) {
                return;
            }
        }
        panic!("the tunnel ended");
    }

    /// Forgets all that came and comes, until nothing has come for a while.
    pub async fn drain(&mut self) {
        self.buffer.clear();
        let mut bytes = [0; 4096];
        let quiet = Duration::from_millis(300);
        while let Ok(Ok(1..)) = tokio::time::timeout(quiet, self.stream.read(&mut bytes)).await {}
    }

    /// Reads to the end; the close frame that came, if one came.
    pub async fn hear_out(&mut self) -> Option<Message> {
        let mut farewell = None;
        while let Some(message) = self.hear().await {
            if matches!(message, Message::Close(..)) {
                farewell = Some(message);
            }
        }
        farewell
    }
}

/// The server's side: answers the handshake, echoes text and ticks every 20 ms. What comes is recorded.
pub async fn serve(
    stream: &mut TcpStream,
    key: &str,
    buffer: &mut Vec<u8>,
    record: impl Fn(&[u8]),
) -> Option<()> {
    let proof = STANDARD.encode(digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
    ));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut bytes = [0; 4096];
    loop {
        while let Some((opcode, payload, length)) = masked(buffer) {
            buffer.drain(..length);
            if opcode == 8 {
                return None;
            }
            stream.write_all(&text_frame(&payload)).await.ok()?;
        }
        tokio::select! {
            read = stream.read(&mut bytes) => match read {
                Ok(count @ 1..) => {
                    record(&bytes[..count]);
                    buffer.extend_from_slice(&bytes[..count]);
                }
                _ => return None,
            },
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                stream.write_all(&text_frame(b"tick")).await.ok()?;
            }
        }
    }
}

/// A short frame of a client, masked as the standard demands.
pub fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(&mask);
    let masked = payload.iter().zip(mask.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

fn text_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81, u8::try_from(payload.len()).unwrap()];
    frame.extend_from_slice(payload);
    frame
}

/// A frame of a server, of less than 64 KiB: opcode, payload, length in all.
fn unmasked(buffer: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (start, length) = match *buffer.get(1)? {
        126 => (
            4,
            u16::from_be_bytes([*buffer.get(2)?, *buffer.get(3)?]).into(),
        ),
        short => (2, usize::from(short)),
    };
    let payload = buffer.get(start..start + length)?;
    Some((buffer[0] & 0x0f, payload.to_vec(), start + length))
}

/// A short frame of a client.
fn masked(buffer: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let length = usize::from(buffer.get(1)? & 0x7f);
    let mask = buffer.get(2..6)?.to_vec();
    let payload = buffer.get(6..6 + length)?;
    let plain = payload
        .iter()
        .zip(mask.iter().cycle())
        .map(|(byte, mask)| byte ^ mask)
        .collect();
    Some((buffer[0] & 0x0f, plain, 6 + length))
}
