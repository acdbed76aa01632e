//! The panel behind the gateway: writes down every byte that it is sent, and answers by path.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A panel that runs until it is dropped.
pub(crate) struct Panel {
    address: SocketAddr,
    written: Arc<Written>,
    stop: Shutdown,
}

#[derive(Default)]
struct Written {
    requests: Mutex<Vec<Request>>,
    /// What the panel must never see, and whether it did.
    secrets: Mutex<Vec<String>>,
}

/// One request as it came.
#[derive(Default, Clone)]
struct Request {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Panel {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let written = Arc::new(Written::default());
        let stop = Shutdown::new();
        let (inner, tasks) = (Arc::clone(&written), stop.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(serve(listener, inner, tasks));
        });
        Self {
            address,
            written,
            stop,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this text in anything that the panel sees is a fault.
    pub(crate) fn must_not_see(&self, secret: &str) {
        self.written.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// Forgets the requests so far, after a last look at them.
    pub(crate) fn forget(&self) {
        self.check_secrets();
        self.written.requests.lock().unwrap().clear();
    }

    pub(crate) fn check_secrets(&self) {
        let secrets = self.written.secrets.lock().unwrap();
        for request in self.written.requests.lock().unwrap().iter() {
            let text = request.text();
            let seen = secrets.iter().find(|secret| text.contains(secret.as_str()));
            assert_eq!(seen, None, "the panel saw a secret: {text:?}");
        }
    }

    /// The heads of the requests since, without the empty line.
    pub(crate) fn heads(&self) -> Vec<String> {
        let requests = self.written.requests.lock().unwrap();
        requests
            .iter()
            .map(|request| lossy(&request.head))
            .collect()
    }

    /// Everything of the requests since.
    pub(crate) fn everything(&self) -> String {
        let requests = self.written.requests.lock().unwrap();
        requests.iter().map(Request::text).collect()
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.stop.begin();
    }
}

impl Request {
    fn text(&self) -> String {
        lossy(&self.head) + "\r\n\r\n" + &lossy(&self.body)
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

async fn serve(listener: std::net::TcpListener, written: Arc<Written>, stop: Shutdown) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        tokio::select! {
            () = stop.begun() => return,
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let visit = Visit { stream, read: Vec::new(), written: Arc::clone(&written) };
                // Gone with the runtime at the end.
                stop.spawn(visit.run());
            }
        }
    }
}

struct Visit {
    stream: TcpStream,
    read: Vec<u8>,
    written: Arc<Written>,
}

impl Visit {
    async fn run(mut self) {
        while let Ok(Some(head)) = self.head().await {
            if self.answer(&head).await.is_err() {
                return;
            }
        }
    }

    /// The next head, written down as soon as it is there.
    async fn head(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.read.windows(4).position(|part| part == b"\r\n\r\n") {
                let rest = self.read.split_off(end + 4);
                let mut head = std::mem::replace(&mut self.read, rest);
                head.truncate(end);
                let text = lossy(&head);
                let request = Request {
                    head,
                    body: Vec::new(),
                };
                self.written.requests.lock().unwrap().push(request);
                return Ok(Some(text));
            }
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn answer(&mut self, head: &str) -> io::Result<()> {
        let target = head.split(' ').nth(1).unwrap_or_default();
        match target {
            "/events" => {
                return self
                    .stream_for_ever(b"data: x\n\n", Duration::from_millis(50))
                    .await;
            }
            "/download" => return self.stream_for_ever(&[b'x'; 16384], Duration::ZERO).await,
            "/never" => return self.wait_for_the_end().await,
            "/ws" => return self.open_websocket(head).await,
            _ => {}
        }
        self.body(head).await?;
        let extra = match target {
            "/cookies" => COOKIES,
            _ => "",
        };
        let answer = format!("HTTP/1.1 200 OK\r\n{extra}Content-Length: 4\r\n\r\nseen");
        let length = if head.starts_with("HEAD ") {
            answer.len() - 4
        } else {
            answer.len()
        };
        self.stream.write_all(&answer.as_bytes()[..length]).await
    }

    async fn body(&mut self, head: &str) -> io::Result<()> {
        let field = |name: &str| {
            head.split("\r\n")
                .filter_map(|line| line.split_once(':'))
                .find(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        if let Some(length) = field("content-length") {
            return self.take(length.parse().unwrap()).await;
        }
        if field("transfer-encoding").is_none() {
            return Ok(());
        }
        loop {
            let end = loop {
                match self.read.windows(2).position(|part| part == b"\r\n") {
                    Some(end) => break end,
                    None => self.more().await?,
                }
            };
            let size = usize::from_str_radix(&lossy(&self.read[..end]), 16).unwrap();
            self.take(end + 2 + size + 2).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Moves bytes of a body to what is written down, framing included.
    async fn take(&mut self, mut length: usize) -> io::Result<()> {
        while length > 0 {
            if self.read.is_empty() {
                self.more().await?;
            }
            let rest = self.read.split_off(length.min(self.read.len()));
            let piece = std::mem::replace(&mut self.read, rest);
            length -= piece.len();
            let mut requests = self.written.requests.lock().unwrap();
            if let Some(request) = requests.last_mut() {
                request.body.extend(piece);
            }
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn stream_for_ever(&mut self, piece: &[u8], pause: Duration) -> io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        self.stream.write_all(head.as_bytes()).await?;
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        loop {
            self.stream.write_all(&chunk).await?;
            tokio::time::sleep(pause).await;
        }
    }

    async fn wait_for_the_end(&mut self) -> io::Result<()> {
        loop {
            self.more().await?;
        }
    }

    /// Switches, says hello, and then sends back every byte.
    async fn open_websocket(&mut self, head: &str) -> io::Result<()> {
        let key = head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map(|(_, key)| key.to_owned())
            .unwrap_or_default();
        let proof = digest(
            &SHA1_FOR_LEGACY_USE_ONLY,
            format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes(),
        );
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            STANDARD.encode(proof)
        );
        self.stream.write_all(answer.as_bytes()).await?;
        self.stream.write_all(b"\x81\x05hello").await?;
        loop {
            if self.read.is_empty() {
                self.more().await?;
            }
            let piece = std::mem::take(&mut self.read);
            self.stream.write_all(&piece).await?;
        }
    }
}

/// The gateway's cookie in all spellings that somebody could hope for, between two of the panel's.
const COOKIES: &str = "Set-Cookie: first=1; Path=/\r\n\
    Set-Cookie: __Host-portcullis=evil; Secure; Path=/\r\n\
    set-cookie: __Host-portcullis=evil\r\n\
    SET-COOKIE:__Host-portcullis=evil; Max-Age=0\r\n\
    Set-Cookie:  __Host-portcullis =evil; Path=/\r\n\
    Set-Cookie: __HOST-PORTCULLIS=evil; Secure; Path=/\r\n\
    Set-Cookie: =__Host-portcullis=evil; Secure; Path=/\r\n\
    Set-Cookie: __Host-portcullis\r\n\
    Set-Cookie: \"__Host-portcullis\"=evil\r\n\
    Set-Cookie: __Host-portcullis-signin=evil; Secure; Path=/\r\n\
    Set-Cookie: __Host-portcullis-form=evil; Secure; Path=/\r\n\
    Set-Cookie: \t__Host-portcullis=evil; Domain=example\r\n\
    Set-Cookie: __Host-portcullis=; expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Set-Cookie: last=1; Path=/\r\n";
