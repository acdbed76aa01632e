//! Puts an attack on the wire, over HTTP/1.1 byte for byte and over HTTP/2 as its client allows.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::arena::Arena;
use crate::attack::{Attack, Expect, Over};
use crate::support::http1::{Answer, Wire, navigation, tls};
use crate::support::http2::{self, Http2};
use crate::support::{SOON, soon};

/// What came back: an answer, or how the attack ended without one.
pub(crate) type Outcome = Result<Answer, String>;

/// Tries an attack on a connection of its own; `more` are further field lines.
pub(crate) async fn ask(arena: &Arena, attack: &Attack, over: Over, more: &[&[u8]]) -> Outcome {
    match over {
        Over::Http2 => over_http2(arena, attack, more).await,
        Over::Http1 | Over::Both => over_http1(arena, attack, more).await,
    }
}

async fn over_http1(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Outcome {
    let mut wire = arena.gateway.connect().await;
    // It may be answered and closed before all of it is sent.
    let _ = wire.try_send(in_bytes(arena, attack, more)).await;
    let answer = answered(&mut wire, attack.method == "HEAD").await?;
    if matches!(attack.expect, Expect::Closed(_)) {
        wire.closed_within(SOON).await;
    }
    Ok(answer)
}

/// The next answer, or that there is none.
pub(crate) async fn answered(wire: &mut Wire, is_head: bool) -> Outcome {
    let answer = wire.try_answer(is_head).await;
    answer.ok_or_else(|| "ended without an answer".to_owned())
}

fn in_bytes(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Vec<u8> {
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
    line(format!("Host: {}", attack.host.unwrap_or("localhost")).as_bytes());
    for field in fields(arena, attack, more) {
        line(&field);
    }
    let is_framed = attack
        .fields
        .iter()
        .any(|field| is_named(field, b"transfer-encoding"));
    if !attack.body.is_empty() && !is_framed {
        line(format!("Content-Length: {}", attack.body.len()).as_bytes());
    }
    line(b"");
    bytes.extend_from_slice(attack.body);
    bytes
}

/// The lines of an attack, with the session of its author where it has no cookies of its own.
fn fields(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Vec<Vec<u8>> {
    let token = arena.token(attack.who).unwrap_or_default();
    let mut fields = Vec::new();
    if !token.is_empty() && !attack.fields.iter().any(|field| is_named(field, b"cookie")) {
        fields.push(format!("Cookie: __Host-Http-portcullis={token}").into_bytes());
    }
    let said = attack.fields.iter().chain(more);
    let said: Vec<_> = said.map(|field| String::from_utf8_lossy(field)).collect();
    let said: Vec<&str> = said.iter().map(AsRef::as_ref).collect();
    let target = String::from_utf8_lossy(attack.target);
    let opened = navigation(&target, &said);
    fields.extend(opened.lines().map(|line| line.as_bytes().to_vec()));
    for field in attack.fields.iter().chain(more) {
        let field = replaced(field, b"{cookie}", token);
        fields.push(replaced(&field, b"{management}", arena.management()));
    }
    fields
}

fn is_named(field: &[u8], name: &[u8]) -> bool {
    field
        .split(|&byte| byte == b':')
        .next()
        .unwrap()
        .eq_ignore_ascii_case(name)
}

fn replaced(text: &[u8], place: &[u8], with: &str) -> Vec<u8> {
    let Some(at) = text.windows(place.len()).position(|part| part == place) else {
        return text.to_vec();
    };
    let rest = replaced(&text[at + place.len()..], place, with);
    [&text[..at], with.as_bytes(), &rest].concat()
}

async fn over_http2(arena: &Arena, attack: &Attack, more: &[&[u8]]) -> Outcome {
    let uri = [
        b"https://",
        attack.host.unwrap_or("localhost").as_bytes(),
        attack.target,
    ]
    .concat();
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(attack.method.as_bytes()).unwrap();
    // What is no URI belongs over HTTP/1.1 only.
    *request.uri_mut() = Uri::try_from(uri).expect(attack.id);
    for field in fields(arena, attack, more) {
        let colon = field.iter().position(|&byte| byte == b':').unwrap();
        let (name, value) = field.split_at(colon);
        let name = HeaderName::from_bytes(name).unwrap();
        let value = HeaderValue::from_bytes(value[1..].trim_ascii()).unwrap();
        request.headers_mut().append(name, value);
    }
    send(
        &Http2::connect(arena.gateway.port).await,
        request,
        attack.body,
    )
    .await
}

/// One request over HTTP/2 and its answer whole.
pub(crate) async fn send(http2: &Http2, request: Request<()>, body: &'static [u8]) -> Outcome {
    let (response, mut sending) = http2.begin(request, body.is_empty()).await;
    if !body.is_empty() {
        // It may be answered and reset before.
        let _ = sending.send_data(Bytes::from_static(body), true);
    }
    let (head, mut stream) = soon("an answer", response)
        .await
        .map_err(named)?
        .into_parts();
    let mut body = Vec::new();
    while let Some(piece) = http2::next(&mut stream).await.map_err(named)? {
        body.extend_from_slice(&piece);
    }
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    Ok(Answer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body,
    })
}

/// What an HTTP/2 client begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Asks for a path over HTTP/2 in frames made by hand, as no client library would. Whether it is
/// answered; otherwise the stream, or the connection, is broken off as a protocol error.
pub(crate) async fn answer_to_raw_path(arena: &Arena, path: &[u8]) -> bool {
    let fields = [
        literal(b":method", b"GET"),
        literal(b":scheme", b"https"),
        literal(b":authority", b"localhost"),
        literal(b":path", path),
    ]
    .concat();
    let length = u8::try_from(fields.len()).unwrap();
    // HEADERS on stream 1, with END_STREAM and END_HEADERS (RFC 9113 §6.2).
    let head = [0, 0, length, 1, 5, 0, 0, 0, 1];
    let stream = soon("TLS", tls(arena.gateway.port, &[b"h2"]))
        .await
        .unwrap();
    let mut wire = Wire::over(stream);
    wire.send([PREFACE, EMPTY_SETTINGS, &head, &fields].concat())
        .await;
    let mut read = Vec::new();
    loop {
        let piece = wire.some().await;
        assert!(!piece.is_empty(), "it ended without a word: {read:?}");
        read.extend(piece);
        // HEADERS, RST_STREAM, GOAWAY
        if let Some(kind) = kinds(&read).find(|kind| [1, 3, 7].contains(kind)) {
            return kind == 1;
        }
    }
}

/// A field in its plainest form (RFC 7541 §6.2.2).
pub(crate) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |text: &[u8]| u8::try_from(text.len()).unwrap();
    [&[0, length(name)], name, &[length(value)], value].concat()
}

/// The types of the whole frames in these bytes.
pub(crate) fn kinds(mut bytes: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let head = bytes.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let kind = head[3];
        bytes = bytes.get(9 + length..)?;
        Some(kind)
    })
}

fn named(error: h2::Error) -> String {
    match error.reason() {
        Some(reason) => format!("{reason:?}"),
        None => error.to_string(),
    }
}
