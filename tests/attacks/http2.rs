//! The same attacks over HTTP/2, as far as its client lets them out.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::arena::Arena;
use crate::attack::Attack;
use crate::http1::{Answer, PATIENCE, filled, names_cookie};

/// One connection with the task that drives it.
pub(crate) struct Client {
    pub(crate) ask: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(crate) async fn connect(arena: &Arena) -> Self {
        let stream = arena.connect(b"h2").await;
        let (ask, conn) = h2::client::handshake(stream)
            .await
            .expect("an HTTP/2 handshake");
        let driver = arena.tasks().spawn(conn);
        Self { ask, driver }
    }

    /// Waits until the client has heard that WebSockets are possible (RFC 8441 §3).
    pub(crate) async fn allows_extended_connect(&mut self) -> bool {
        let heard = async {
            while !self.ask.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, heard).await.is_ok()
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<()>,
        body: &[u8],
    ) -> Result<Answer, String> {
        let exchange = async {
            let mut ask = self.ask.clone().ready().await?;
            let (answer, mut sending) = ask.send_request(request, body.is_empty())?;
            if !body.is_empty() {
                // The gateway may have answered and reset by now.
                let _ = sending.send_data(Bytes::copy_from_slice(body), true);
            }
            read(answer.await?).await
        };
        match timeout(PATIENCE, exchange).await {
            Ok(result) => result.map_err(|error| named(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn read(answer: http::Response<h2::RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        body.extend_from_slice(&piece);
        stream.flow_control().release_capacity(piece.len())?;
    }
    let fields = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Ok(Answer {
        status: head.status.as_u16(),
        fields: fields.collect(),
        body,
        closed: false,
    })
}

fn named(error: &h2::Error) -> String {
    match error.reason() {
        Some(reason) => format!("{reason:?}"),
        None => error.to_string(),
    }
}

/// Sends one attack on a connection of its own; `more` are further field lines.
pub(crate) async fn ask(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Result<Answer, String> {
    let request = written(arena, attack, more);
    Client::connect(arena)
        .await
        .send(request, attack.body)
        .await
}

fn written(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Request<()> {
    let token = arena.token(attack.who);
    let host = attack.host.unwrap_or(arena.host().as_bytes());
    let uri = [b"https://", host, attack.target].concat();
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(attack.method.as_bytes()).expect("a method");
    *request.uri_mut() = Uri::try_from(uri.as_slice()).unwrap_or_else(|error| {
        // Such an attack belongs over HTTP/1.1 only.
        unreachable!("{}: {error}", attack.id)
    });
    let headers = request.headers_mut();
    if let Some(token) = token
        && !attack.fields.iter().any(|field| names_cookie(field))
    {
        let cookie = format!("__Host-portcullis={token}");
        headers.append("cookie", HeaderValue::from_str(&cookie).expect("a cookie"));
    }
    for field in attack.fields.iter().chain(more) {
        let field = filled(field, token, arena);
        let colon = field
            .iter()
            .position(|&byte| byte == b':')
            .expect("a field");
        let (name, value) = field.split_at(colon);
        let name = HeaderName::from_bytes(name).expect("a field name");
        let value = value.strip_prefix(b": ").unwrap_or(&value[1..]);
        headers.append(name, HeaderValue::from_bytes(value).expect("a field value"));
    }
    request
}
