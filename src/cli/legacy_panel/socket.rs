//! The panel's WebSocket: a tick a second and an echo, with as much of RFC 6455 as that takes.

use std::io;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;

use super::plain;
use crate::shutdown::Shutdown;
use crate::wire::{Body, Response};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// The longest message that is echoed, in bytes.
const MOST: u64 = 1024 * 1024;

/// A message as it goes over the wire.
struct Message {
    opcode: u8,
    payload: Vec<u8>,
}

/// Answers the handshake; the socket lives in a task of its own.
pub(super) fn open(mut request: Request<Incoming>, tasks: Shutdown) -> Response {
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let Some(key) = key.filter(|_| request.headers().contains_key(UPGRADE)) else {
        return plain(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tasks.spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // It ends when the browser goes.
            let _ = converse(upgraded).await;
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let text = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let proof = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text));
    if let Ok(proof) = HeaderValue::from_str(&proof) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, proof);
    }
    response
}

async fn converse(upgraded: Upgraded) -> io::Result<()> {
    let (reader, mut writer) = split(TokioIo::new(upgraded));
    let (heard, mut echoes) = mpsc::channel(8);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut tick = 0_u32;
    let listening = listen(reader, heard);
    let mut listening = std::pin::pin!(listening);
    loop {
        tokio::select! {
            ended = &mut listening => return ended,
            Some(message) = echoes.recv() => {
                let is_last = message.opcode == CLOSE;
                send(&mut writer, &message).await?;
                if is_last {
                    return writer.shutdown().await;
                }
            }
            _ = ticks.tick() => {
                tick += 1;
                let payload = format!("tick {tick}").into_bytes();
                send(&mut writer, &Message { opcode: TEXT, payload }).await?;
            }
        }
    }
}

/// Reads messages, and passes on what is to be answered to them.
async fn listen(
    mut reader: ReadHalf<TokioIo<Upgraded>>,
    heard: mpsc::Sender<Message>,
) -> io::Result<()> {
    loop {
        let message = receive(&mut reader).await?;
        let opcode = match message.opcode {
            PING => PONG,
            PONG => continue,
            other => other,
        };
        let answer = Message { opcode, ..message };
        if heard.send(answer).await.is_err() {
            return Ok(());
        }
    }
}

async fn receive(reader: &mut ReadHalf<TokioIo<Upgraded>>) -> io::Result<Message> {
    let first = reader.read_u8().await?;
    let length = match reader.read_u8().await? & 0x7f {
        126 => u64::from(reader.read_u16().await?),
        127 => reader.read_u64().await?,
        short => u64::from(short),
    };
    let size = usize::try_from(length.min(MOST + 1)).unwrap_or(usize::MAX);
    if length > MOST {
        return Err(io::Error::other("the message is too long"));
    }
    let mask = reader.read_u32().await?.to_be_bytes();
    let mut payload = vec![0; size];
    reader.read_exact(&mut payload).await?;
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    Ok(Message {
        opcode: first & 0x0f,
        payload,
    })
}

async fn send(writer: &mut WriteHalf<TokioIo<Upgraded>>, message: &Message) -> io::Result<()> {
    let mut frame = vec![0x80 | message.opcode];
    match u16::try_from(message.payload.len()) {
        Ok(length @ 0..126) => frame.push(length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        Err(_) => {
            frame.push(127);
            frame.extend_from_slice(&(message.payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&message.payload);
    writer.write_all(&frame).await?;
    writer.flush().await
}
