//! A property: what passes the head check is read by hyper as exactly the requests that were sent.

use std::sync::Mutex;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Method and target, and the body.
type Seen = (String, Vec<u8>);

/// Remembers every request.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Handler for Recorder {
    async fn handle(&self, _: Arc<Connection>, request: Request<Received>) -> Response {
        let line = format!("{} {}", request.method(), request.uri());
        let body = request.into_body().collect().await;
        let body = body
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_default();
        self.0.lock().unwrap().push((line, body));
        said(StatusCode::OK, "ok")
    }
}

/// Serves `pieces` as the bytes of one connection, one read after the other.
fn recorded(pieces: &[&[u8]]) -> Vec<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let recorder = Recorder::default();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let service = protocol::Service {
            connection: Arc::new(Connection::local(None)),
            handler: recorder.clone(),
            clocks: Clocks::default(),
            shutdown: Shutdown::new(),
        };
        let sending = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answers = Vec::new();
            // Without an end of the input, so that every request has time for its answer.
            client.read_to_end(&mut answers).await.unwrap();
        };
        let both = async { tokio::join!(protocol::http1(server, service, None), sending) };
        timeout(PATIENCE, both).await.expect("the connection ends");
    });
    recorder.0.lock().unwrap().clone()
}

#[derive(Debug, Clone)]
enum Framed {
    Nothing,
    Length,
    Chunked(usize),
}

fn written(number: usize, body: &[u8], framed: &Framed) -> Vec<u8> {
    let head = format!("POST /{number} HTTP/1.1\r\nHost: a\r\n");
    let mut bytes = head.into_bytes();
    match framed {
        Framed::Nothing => bytes.extend(b"\r\n"),
        Framed::Length => {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(body);
        }
        Framed::Chunked(size) => {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(*size) {
                bytes.extend(format!("{:x};a=b\r\n", chunk.len()).bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\nX: y\r\n\r\n");
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_request_arrives_as_it_was_sent(
        requests in proptest::collection::vec(
            (
                proptest::collection::vec(any::<u8>(), 0..200),
                prop_oneof![
                    Just(Framed::Nothing),
                    Just(Framed::Length),
                    (1_usize..50).prop_map(Framed::Chunked),
                ],
            ),
            1..6,
        ),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (number, (body, framed)) in requests.iter().enumerate() {
            bytes.extend(written(number, body, framed));
            let body = if matches!(framed, Framed::Nothing) { Vec::new() } else { body.clone() };
            expected.push((format!("POST /{number}"), body));
        }
        bytes.extend(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        expected.push(("GET /last".to_owned(), Vec::new()));
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
        prop_assert_eq!(recorded(&pieces), expected);
    }

    /// What a canary that was never sent as a request would look like, were bodies misread.
    #[test]
    fn nothing_in_a_body_becomes_a_request(
        parts in proptest::collection::vec(
            "(0|3|f|;x|\r\n|\n|GET /canary HTTP/1.1\r\nHost: a\r\n\r\n|0\r\n\r\n)", 0..12),
    ) {
        let body = parts.concat();
        let text = format!(
            "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}\
             GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", body.len());
        let expected = vec![
            ("POST /1".to_owned(), body.into_bytes()),
            ("GET /last".to_owned(), Vec::new()),
        ];
        prop_assert_eq!(recorded(&[text.as_bytes()]), expected);
    }
}
