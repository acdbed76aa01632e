//! Uploads whose length nobody announces.

use bytes::Bytes;

use super::admin::{ADD_DOCUMENT, Admin};
use crate::form::{BOUNDARY, Form};
use crate::support::http1::Answer;
use crate::support::http2::head;
use crate::support::soon;

/// Bytes without a pattern that a mistake could repeat.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next)
        .take(length.div_ceil(8))
        .flatten()
        .collect();
    bytes.truncate(length);
    bytes
}

/// Over HTTP/1.1, in chunks.
pub(crate) async fn in_chunks(admin: &Admin, form: &Form, name: &str, file: &[u8]) -> Answer {
    let mut wire = admin.person.connect().await;
    let [origin, referer] = admin.whence(ADD_DOCUMENT);
    let (cookie, port) = (admin.person.cookie(), admin.gateway.port);
    let head = format!(
        "POST {ADD_DOCUMENT} HTTP/1.1\r\nHost: localhost:{port}\r\n{cookie}\r\n{origin}\r\n{referer}\r\n\
         Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    wire.send(head).await;
    for chunk in form.multipart(name, file).chunks(60_000) {
        wire.send(format!("{:x}\r\n", chunk.len())).await;
        wire.send(chunk).await;
        wire.send("\r\n").await;
    }
    wire.send("0\r\n\r\n").await;
    wire.answer().await
}

/// Over HTTP/2, without a `Content-Length`; the status of the answer.
pub(crate) async fn in_frames(admin: &Admin, form: &Form, name: &str, file: &[u8]) -> u16 {
    let http2 = admin.person.connect_http2().await;
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let cookie = admin.person.cookie();
    let referer = format!("https://localhost{ADD_DOCUMENT}");
    let fields = [
        ("content-type", kind.as_str()),
        ("cookie", cookie.strip_prefix("Cookie: ").unwrap()),
        ("origin", "https://localhost"),
        ("referer", &referer),
    ];
    let (response, mut body) = http2
        .begin(head("POST", ADD_DOCUMENT, &fields), false)
        .await;
    for chunk in form.multipart(name, file).chunks(16_000) {
        body.send_data(Bytes::copy_from_slice(chunk), false)
            .unwrap();
    }
    body.send_data(Bytes::new(), true).unwrap();
    soon("the answer", response)
        .await
        .unwrap()
        .status()
        .as_u16()
}
