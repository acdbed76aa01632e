//! HTTP/1.1 over TLS or a plain socket, written and read by hand: what a client library would refuse
//! to send, and what it would hide of the answer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::soon;

/// What a browser says of itself when a person opens a page or posts its form.
pub const NAVIGATION: &str = "Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
                              Sec-Fetch-Site: same-origin\r\n";

/// Those of them that are not in `fields`, for a page of the portal: a test asks for it as a person does
/// unless it says otherwise.
pub fn navigation(target: &str, fields: &[&str]) -> String {
    let names = |line: &str| line.split(':').next().unwrap().to_ascii_lowercase();
    let said: Vec<String> = fields.iter().map(|field| names(field)).collect();
    let missing = NAVIGATION.split_inclusive('\n');
    let missing = missing.filter(|line| !said.contains(&names(line)));
    if target.starts_with("/.portcullis/") {
        missing.collect()
    } else {
        String::new()
    }
}

/// Anything that bytes go through.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// A connection on which bytes are sent as they are.
pub struct Wire {
    pub stream: Box<dyn Transport>,
    buffer: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header field of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every header field of a name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A certificate with its key, for servers that ask who is there.
pub type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// TLS that trusts anybody: the certificate was made a moment ago.
pub fn trusting(protocols: &[&[u8]]) -> TlsConnector {
    trusting_as(None, protocols)
}

/// The same by somebody who shows a certificate, where there is one.
pub fn trusting_as(identity: Option<Identity>, protocols: &[&[u8]]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let mut config = match identity {
        Some((certificate, key)) => config
            .with_client_auth_cert(vec![certificate], key)
            .unwrap(),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// A TLS connection to a port of this machine.
pub async fn tls(
    port: u16,
    protocols: &[&[u8]],
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    trusting(protocols)
        .connect(ServerName::try_from("localhost").unwrap(), stream)
        .await
}

impl Wire {
    /// Connects over TLS.
    pub async fn connect(port: u16) -> Self {
        let stream = soon("a TLS connection", tls(port, &[b"http/1.1"]))
            .await
            .unwrap();
        Self::over(stream)
    }

    pub fn over(stream: impl Transport + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        soon("sending", async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
    }

    /// A request that is written in good form: `fields` are whole lines without line ends.
    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[&str],
        body: &[u8],
    ) -> Answer {
        self.try_request(method, target, fields, body)
            .await
            .expect("an answer")
    }

    /// The same; `None` when the connection ends instead of an answer.
    pub async fn try_request(
        &mut self,
        method: &str,
        target: &str,
        fields: &[&str],
        body: &[u8],
    ) -> Option<Answer> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !fields
            .iter()
            .any(|field| field.to_lowercase().starts_with("host:"))
        {
            head.push_str("Host: localhost\r\n");
        }
        for field in fields {
            let _ = write!(head, "{field}\r\n");
        }
        head.push_str(&navigation(target, fields));
        if !body.is_empty() {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let bytes = [head.as_bytes(), body].concat();
        self.try_send(bytes).await.ok()?;
        self.try_answer(method == "HEAD").await
    }

    pub async fn get(&mut self, target: &str, fields: &[&str]) -> Answer {
        self.request("GET", target, fields, b"").await
    }

    /// The next answer, whole.
    pub async fn answer(&mut self) -> Answer {
        self.try_answer(false).await.expect("an answer")
    }

    /// The next answer; `None` when the connection ends before its end.
    pub async fn try_answer(&mut self, is_head: bool) -> Option<Answer> {
        let mut answer = self.try_head().await?;
        let length = answer
            .header("content-length")
            .and_then(|text| text.parse::<usize>().ok());
        let bodiless =
            is_head || answer.status < 200 || answer.status == 204 || answer.status == 304;
        answer.body = if bodiless {
            Vec::new()
        } else if answer.header("transfer-encoding").is_some() {
            self.chunks().await?
        } else if let Some(length) = length {
            self.exactly(length).await?
        } else {
            self.rest().await
        };
        Some(answer)
    }

    /// The head of the next answer, after those with 1xx; its body is still to be read.
    pub async fn try_head(&mut self) -> Option<Answer> {
        loop {
            let head = self.until(b"\r\n\r\n").await?;
            let head = String::from_utf8_lossy(&head).into_owned();
            let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
            let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
            let headers = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect();
            if status != 100 {
                return Some(Answer {
                    status,
                    headers,
                    body: Vec::new(),
                });
            }
        }
    }

    /// Some bytes of what comes; empty at the end.
    pub async fn some(&mut self) -> Vec<u8> {
        if !self.buffer.is_empty() {
            return std::mem::take(&mut self.buffer);
        }
        let mut bytes = vec![0; 64 * 1024];
        let count = soon("bytes", self.stream.read(&mut bytes))
            .await
            .unwrap_or(0);
        bytes.truncate(count);
        bytes
    }

    /// Puts bytes back that were read past this type.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.buffer.splice(0..0, bytes.iter().copied());
    }

    /// Reads until the other side closes; how long that took. Panics after `limit`.
    pub async fn closed_within(&mut self, limit: Duration) -> Duration {
        let begun = Instant::now();
        let mut bytes = vec![0; 64 * 1024];
        let reading = async { while matches!(self.stream.read(&mut bytes).await, Ok(1..)) {} };
        tokio::time::timeout(limit, reading)
            .await
            .expect("the connection to be closed");
        begun.elapsed()
    }

    /// What was read and not yet looked at, with the transport.
    pub fn into_parts(self) -> (Box<dyn Transport>, Vec<u8>) {
        (self.stream, self.buffer)
    }

    async fn fill(&mut self) -> Option<()> {
        let mut bytes = vec![0; 64 * 1024];
        let count = soon("more of an answer", self.stream.read(&mut bytes))
            .await
            .ok()?;
        self.buffer.extend_from_slice(&bytes[..count]);
        (count > 0).then_some(())
    }

    async fn until(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(mark.len())
                .position(|part| part == mark)
            {
                return Some(self.buffer.drain(..at + mark.len()).collect());
            }
            self.fill().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill().await?;
        }
        Some(self.buffer.drain(..count).collect())
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n").await?;
            let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).ok()?;
            body.extend(self.exactly(size).await?);
            self.until(b"\r\n").await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await.is_some() {}
        std::mem::take(&mut self.buffer)
    }
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
