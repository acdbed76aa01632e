//! A panel that records every byte it gets, and answers with what it saw.
//!
//! What it does is in the path: `/echo…` answers with the request, `/events` and `/drip` stream without end,
//! `/poll` never answers, `/blob?bytes=N` sends zeroes, `/sink` counts a body, `/slow-read` takes a
//! body without answering, `/early-read` and `/early-stall` answer first and then read on or not, `/ws` is a WebSocket that echoes and ticks, and `/odd/…` and `/odd-open/…` answer oddly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::websocket;

/// A request as the panel got it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When its head was whole.
    pub at: Instant,
    /// The head, byte for byte, with the empty line.
    pub head: String,
    pub body: Vec<u8>,
    /// Which connection it came on.
    pub connection: usize,
}

impl Seen {
    pub fn request_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }
}

/// A running panel; it lives as long as the runtime of its test.
#[derive(Clone)]
pub struct Panel {
    pub port: u16,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    seen: Mutex<Vec<Seen>>,
    bytes: Mutex<Vec<u8>>,
    connections: Mutex<usize>,
    open: Mutex<usize>,
    odd: Mutex<HashMap<String, Vec<u8>>>,
    pages: Mutex<HashMap<String, Vec<u8>>>,
}

impl Panel {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let panel = Self {
            port: listener.local_addr().unwrap().port(),
            record: Arc::default(),
        };
        let serving = panel.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        panel
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.record.seen.lock().unwrap().clone()
    }

    /// The requests whose request line contains `mark`.
    pub fn seen_with(&self, mark: &str) -> Vec<Seen> {
        self.seen()
            .into_iter()
            .filter(|seen| seen.request_line().contains(mark))
            .collect()
    }

    /// The same, and they are forgotten here.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.record.seen.lock().unwrap())
    }

    /// Forgets the requests so far, not the bytes.
    pub fn forget(&self) {
        self.record.seen.lock().unwrap().clear();
    }

    /// Whether these bytes ever came in, in whatever place.
    pub fn ever_got(&self, bytes: &[u8]) -> bool {
        let all = self.record.bytes.lock().unwrap();
        all.windows(bytes.len()).any(|part| part == bytes)
    }

    /// How many exchanges have begun here and not ended.
    pub fn open(&self) -> usize {
        *self.record.open.lock().unwrap()
    }

    /// What `/odd/NAME` and `/odd-open/NAME` answer, byte for byte; the first closes the connection
    /// after it, the other goes on.
    pub fn answers_oddly(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut odd = self.record.odd.lock().unwrap();
        odd.insert(format!("/odd/{name}"), bytes.as_ref().to_vec());
    }

    /// Answers at a path with this content; `fields` are lines of the head.
    pub fn has_page(&self, path: &str, fields: &str, content: &str) {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n",
            content.len()
        );
        self.answers_at(path, head + content);
    }

    /// Answers at a path byte for byte.
    pub fn answers_at(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let mut pages = self.record.pages.lock().unwrap();
        pages.insert(path.to_owned(), bytes.as_ref().to_vec());
    }

    async fn serve(self, mut stream: TcpStream) {
        let connection = {
            let mut connections = self.record.connections.lock().unwrap();
            *connections += 1;
            *connections
        };
        let mut buffer = Vec::new();
        while let Some(seen) = self
            .read_request(&mut stream, &mut buffer, connection)
            .await
        {
            *self.record.open.lock().unwrap() += 1;
            let goes_on = self.answer(&mut stream, &seen, &mut buffer).await;
            *self.record.open.lock().unwrap() -= 1;
            if goes_on.is_none() {
                return;
            }
        }
    }

    async fn more(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
        let before = buffer.len();
        buffer.resize(before + 64 * 1024, 0);
        let count = stream.read(&mut buffer[before..]).await.unwrap_or(0);
        buffer.truncate(before + count);
        // Bodies by the gigabyte are not worth keeping.
        let mut bytes = self.record.bytes.lock().unwrap();
        if bytes.len() < 16 * 1024 * 1024 {
            bytes.extend_from_slice(&buffer[before..]);
        }
        (count > 0).then_some(())
    }

    async fn read_request(
        &self,
        stream: &mut TcpStream,
        buffer: &mut Vec<u8>,
        connection: usize,
    ) -> Option<Seen> {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(stream, buffer).await?;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let mut seen = Seen {
            at: Instant::now(),
            head,
            body: Vec::new(),
            connection,
        };
        self.record.seen.lock().unwrap().push(seen.clone());
        let streams = ["/sink", "/slow-read", "/early"]
            .iter()
            .any(|path| seen.request_line().contains(path));
        if !streams {
            seen.body = self.read_body(stream, buffer, &seen).await?;
            if let Some(kept) = self
                .record
                .seen
                .lock()
                .unwrap()
                .iter_mut()
                .find(|kept| kept.at == seen.at)
            {
                kept.body.clone_from(&seen.body);
            }
        }
        Some(seen)
    }

    async fn read_body(
        &self,
        stream: &mut TcpStream,
        buffer: &mut Vec<u8>,
        seen: &Seen,
    ) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        if seen.all("transfer-encoding") == ["chunked"] {
            loop {
                let size = loop {
                    if let Some(at) = buffer.windows(2).position(|part| part == b"\r\n") {
                        let line: Vec<u8> = buffer.drain(..at + 2).collect();
                        break usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16)
                            .ok()?;
                    }
                    self.more(stream, buffer).await?;
                };
                while buffer.len() < size + 2 {
                    self.more(stream, buffer).await?;
                }
                body.extend(buffer.drain(..size));
                buffer.drain(..2);
                if size == 0 {
                    return Some(body);
                }
            }
        }
        let length: usize = seen
            .all("content-length")
            .first()
            .map_or(Some(0), |text| text.parse().ok())?;
        while buffer.len() < length {
            self.more(stream, buffer).await?;
        }
        Some(buffer.drain(..length).collect())
    }

    /// `None` ends the connection.
    async fn answer(
        &self,
        stream: &mut TcpStream,
        seen: &Seen,
        buffer: &mut Vec<u8>,
    ) -> Option<()> {
        let target = seen.request_line().split(' ').nth(1)?.to_owned();
        let path = target.split('?').next()?;
        let page = self.record.pages.lock().unwrap().get(path).cloned();
        if let Some(page) = page {
            return stream.write_all(&page).await.ok();
        }
        match path {
            "/events" => stream_of(stream, "text/event-stream").await,
            "/drip" => stream_of(stream, "application/zip").await,
            "/poll" => until_closed(stream).await,
            "/blob" => blob(stream, &target).await,
            "/sink" => self.sink(stream, seen, buffer).await,
            "/slow-read" => until_closed(stream).await,
            "/early-read" => {
                stream.write_all(EARLY).await.ok()?;
                until_closed(stream).await
            }
            "/early-stall" => {
                stream.write_all(EARLY).await.ok()?;
                std::future::pending().await
            }
            "/ws" => {
                let key = seen.all("sec-websocket-key").first()?.to_string();
                let record = |bytes: &[u8]| self.record.bytes.lock().unwrap().extend(bytes);
                websocket::serve(stream, &key, buffer, record).await
            }
            path if path.starts_with("/odd-open/") => {
                let name = path.replace("/odd-open/", "/odd/");
                let odd = self.record.odd.lock().unwrap().get(&name).cloned()?;
                stream.write_all(&odd).await.ok()
            }
            path if path.starts_with("/odd/") => {
                let odd = self.record.odd.lock().unwrap().get(path).cloned()?;
                stream.write_all(&odd).await.ok()?;
                stream.shutdown().await.ok()?;
                None
            }
            _ => {
                let is_head = seen.head.starts_with("HEAD ");
                let text = format!("{}{}", seen.head, String::from_utf8_lossy(&seen.body));
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                    text.len()
                );
                let answer = if is_head { head } else { head + &text };
                stream.write_all(answer.as_bytes()).await.ok()
            }
        }
    }

    /// Counts a body as it streams in.
    async fn sink(&self, stream: &mut TcpStream, seen: &Seen, buffer: &mut Vec<u8>) -> Option<()> {
        let length: u64 = seen.all("content-length").first()?.parse().ok()?;
        let mut count = buffer.len() as u64;
        buffer.clear();
        let mut bytes = vec![0; 256 * 1024];
        while count < length {
            let read = stream
                .read(&mut bytes)
                .await
                .ok()
                .filter(|read| *read > 0)?;
            count += read as u64;
        }
        let text = count.to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        stream.write_all(answer.as_bytes()).await.ok()
    }
}

/// An answer that does not wait for the request's body.
const EARLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn stream_of(stream: &mut TcpStream, kind: &str) -> Option<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut bytes = [0; 64];
    loop {
        stream
            .write_all(b"10\r\ndata: an event\n\n\r\n")
            .await
            .ok()?;
        tokio::select! {
            read = stream.read(&mut bytes) => if read.unwrap_or(0) == 0 { return None },
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
        }
    }
}

async fn until_closed(stream: &mut TcpStream) -> Option<()> {
    let mut bytes = vec![0; 64 * 1024];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
    None
}

async fn blob(stream: &mut TcpStream, target: &str) -> Option<()> {
    let size: u64 = target.split_once("bytes=")?.1.parse().ok()?;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    let zeroes = vec![0; 256 * 1024];
    let mut left = size;
    while left > 0 {
        let count = usize::try_from(left).map_or(zeroes.len(), |left| left.min(zeroes.len()));
        stream.write_all(&zeroes[..count]).await.ok()?;
        left -= count as u64;
    }
    Some(())
}
