//! A client that says over HTTP/1.1 whatever it is given, byte for byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::arena::Arena;
use crate::attack::{Attack, Expect};

/// Longer than any answer should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the connection ended after it, where that was asked.
    pub(crate) closed: bool,
}

/// One connection.
pub(crate) struct Client {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

impl Answer {
    /// The first field of this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// All fields of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.fields.iter().filter(move |(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends one attack on a connection of its own; `more` are further field lines.
pub(crate) async fn ask(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Result<Answer, String> {
    let mut client = Client::connect(arena).await;
    client.send(&written(arena, attack, more)).await;
    let mut answer = client.answer_to(attack.method).await?;
    if matches!(attack.expect, Expect::Closed(_)) {
        answer.closed = client.is_closed().await;
    }
    Ok(answer)
}

fn written(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Vec<u8> {
    let token = arena.token(attack.who);
    let mut bytes = [
        attack.method.as_bytes(),
        b" ",
        attack.target,
        b" HTTP/1.1\r\n",
    ]
    .concat();
    let mut line = |text: &[u8]| {
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(b"\r\n");
    };
    line(&[b"Host: ", attack.host.unwrap_or(arena.host().as_bytes())].concat());
    if let Some(token) = token
        && !attack.fields.iter().any(|field| names_cookie(field))
    {
        line(format!("Cookie: __Host-portcullis={token}").as_bytes());
    }
    for field in attack.fields.iter().chain(more) {
        line(&filled(field, token, arena));
    }
    let framed = |field: &&&[u8]| {
        field
            .to_ascii_lowercase()
            .starts_with(b"transfer-encoding:")
    };
    if !attack.body.is_empty() && !attack.fields.iter().any(|field| framed(&field)) {
        line(format!("Content-Length: {}", attack.body.len()).as_bytes());
    }
    line(b"");
    bytes.extend_from_slice(attack.body);
    bytes
}

/// Whether an attack writes its own cookie line.
pub(crate) fn names_cookie(field: &[u8]) -> bool {
    field.to_ascii_lowercase().starts_with(b"cookie:")
}

/// Puts the tokens where `{cookie}` and `{management}` stand.
pub(crate) fn filled(field: &[u8], token: Option<&str>, arena: &Arena) -> Vec<u8> {
    let field = replaced(field, b"{cookie}", token.unwrap_or_default());
    replaced(&field, b"{management}", arena.management_token())
}

fn replaced(text: &[u8], place: &[u8], with: &str) -> Vec<u8> {
    let Some(at) = text.windows(place.len()).position(|part| part == place) else {
        return text.to_vec();
    };
    let rest = replaced(&text[at + place.len()..], place, with);
    [&text[..at], with.as_bytes(), &rest].concat()
}

impl Client {
    pub(crate) async fn connect(arena: &Arena) -> Self {
        Self::over(arena.connect(b"http/1.1").await)
    }

    pub(crate) fn over(stream: TlsStream<TcpStream>) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// The gateway may close before it has read everything, so that this may fail.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// Reads one answer, after those that are only informational.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Result<Answer, String> {
        timeout(PATIENCE, self.read_answer(method))
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// Whether the gateway ends the connection without saying anything more.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let ended = timeout(PATIENCE, self.stream.read(&mut byte)).await;
        self.read.is_empty() && matches!(ended, Ok(Ok(0) | Err(_)))
    }

    /// Waits until the connection ends; `false` when it does not within `limit`.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> bool {
        let drained = async { while self.more().await.is_ok() {} };
        timeout(limit, drained).await.is_ok()
    }

    /// Everything until the connection ends, in good order or not.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_ok() {}
        std::mem::take(&mut self.read)
    }

    /// Waits until this text has come.
    pub(crate) async fn until(&mut self, text: &[u8]) -> Result<(), String> {
        let found = async {
            loop {
                if let Some(at) = self.read.windows(text.len()).position(|part| part == text) {
                    self.read.drain(..at + text.len());
                    return Ok(());
                }
                self.more().await?;
            }
        };
        timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| Err("it does not come".to_owned()))
    }

    async fn more(&mut self) -> Result<(), String> {
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(format!(
                "ended after {:?}",
                String::from_utf8_lossy(&self.read)
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("broke off: {error}")),
        }
    }

    /// Reads the head of an answer and leaves the rest.
    pub(crate) async fn head(&mut self) -> Result<Answer, String> {
        loop {
            let end = loop {
                match self.read.windows(4).position(|part| part == b"\r\n\r\n") {
                    Some(end) => break end,
                    None => self.more().await?,
                }
            };
            let rest = self.read.split_off(end + 4);
            let head = std::mem::replace(&mut self.read, rest);
            let head = String::from_utf8_lossy(&head[..end]).into_owned();
            let answer = parsed(&head)?;
            if answer.status == 101 || answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    async fn read_answer(&mut self, method: &str) -> Result<Answer, String> {
        let mut answer = self.head().await?;
        if method == "HEAD" || [101, 204, 304].contains(&answer.status) {
            return Ok(answer);
        }
        let length = answer.field("content-length").map(str::to_owned);
        if let Some(length) = length {
            let length: usize = length
                .parse()
                .map_err(|_| "a bad Content-Length".to_owned())?;
            while self.read.len() < length {
                self.more().await?;
            }
            let rest = self.read.split_off(length);
            answer.body = std::mem::replace(&mut self.read, rest);
        } else if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks().await?;
        } else {
            while self.more().await.is_ok() {}
            answer.body = std::mem::take(&mut self.read);
        }
        Ok(answer)
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| "a bad chunk".to_owned())?;
            while self.read.len() < size + 2 {
                self.more().await?;
            }
            body.extend(self.read.drain(..size));
            self.read.drain(..2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.read.windows(2).position(|part| part == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.more().await?;
        }
    }
}

fn parsed(head: &str) -> Result<Answer, String> {
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let fields = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Answer {
        status: status.ok_or_else(|| format!("no answer: {head:?}"))?,
        fields,
        body: Vec::new(),
        closed: false,
    })
}
