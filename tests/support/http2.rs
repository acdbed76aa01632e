//! HTTP/2 over TLS, frame by frame where a test needs it.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;

use super::http1::{Answer, tls};
use super::soon;

/// A connection with many streams.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
}

impl Http2 {
    /// Connects over TLS.
    pub async fn connect(port: u16) -> Self {
        let stream = soon("a TLS connection", tls(port, &[b"h2"])).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut builder = h2::client::Builder::new();
        // As browsers do: a stream that is not read holds up no other.
        let builder = builder.initial_connection_window_size(1 << 20);
        let (sender, connection) = soon("HTTP/2", builder.handshake(stream)).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender }
    }

    /// Waits until the server's settings say that WebSockets can be asked for (RFC 8441).
    pub async fn await_extended_connect(&mut self) {
        let sender = &self.sender;
        super::eventually("extended CONNECT", || async {
            sender.is_extended_connect_protocol_enabled().then_some(())
        })
        .await;
    }

    /// Begins an exchange; `is_whole`: without a body.
    pub async fn begin(
        &self,
        request: Request<()>,
        is_whole: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = soon("a stream", self.sender.clone().ready()).await.unwrap();
        sender.send_request(request, is_whole).unwrap()
    }

    /// A request without a body, and its answer whole.
    pub async fn get(&self, target: &str, fields: &[(&str, &str)]) -> Result<Answer, h2::Error> {
        let request = head("GET", target, fields);
        let mut sender = soon("a stream", self.sender.clone().ready()).await?;
        let (response, _) = sender.send_request(request, true)?;
        let (head, mut body) = soon("an answer", response).await?.into_parts();
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect();
        let mut bytes = Vec::new();
        while let Some(chunk) = next(&mut body).await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: head.status.as_u16(),
            headers,
            body: bytes,
        })
    }
}

/// A request head for `https://localhost`.
pub fn head(method: &str, target: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{target}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// The next bytes of an answer; `None` at its end.
pub async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    match soon("bytes of an answer", body.data()).await {
        Some(Ok(chunk)) => {
            body.flow_control().release_capacity(chunk.len())?;
            Ok(Some(chunk))
        }
        Some(Err(fault)) => Err(fault),
        None => Ok(None),
    }
}
