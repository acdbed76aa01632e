//! The small panel that the demo puts the gateway in front of: server-rendered, with a careless cookie
//! of its own, and no idea of who may do what. It stands for what people really have.
//!
//! It believes `X-Forwarded-User`, as such panels do when they are told to; so it must be reached
//! through the gateway alone.

mod page;
mod socket;
mod stream;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use maud::Markup;
use tokio::net::TcpListener;

use crate::secret::random_bytes;
use crate::shutdown::Shutdown;
use crate::wire::{Body, Response};

/// The largest form or upload that is read, in bytes.
const MOST: usize = 1 << 31;

/// The panel's state: nothing of it is kept.
#[derive(Debug, Default)]
struct Panel {
    /// How often each user's password was changed here.
    changes: Mutex<BTreeMap<usize, u32>>,
}

/// Serves the panel until `shutdown` begins.
pub(super) async fn serve(listener: TcpListener, shutdown: Shutdown) {
    let panel = Arc::new(Panel::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.begun() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (panel, tasks) = (panel.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let answer = service_fn(|request| {
                let (panel, tasks) = (panel.clone(), tasks.clone());
                async move { Ok::<_, Infallible>(panel.answer(request, tasks).await) }
            });
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .with_upgrades();
            tokio::select! {
                // A browser that goes away is no news.
                _ = connection => {}
                () = tasks.begun() => {}
            }
        });
    }
}

impl Panel {
    async fn answer(&self, request: Request<Incoming>, tasks: Shutdown) -> Response {
        let path = request.uri().path().to_owned();
        let is_read = request.method() == Method::GET;
        let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match (is_read, segments.as_slice()) {
            (true, []) => show(&request, &page::start(&request)),
            (true, ["users"]) => show(&request, &page::users(&self.changed())),
            (true, ["users", id]) => match page::user(id) {
                Some(page) => show(&request, &page),
                None => not_found(),
            },
            (false, ["users", id, "password"]) => self.change_password(id, request).await,
            (true, ["events"]) => show(&request, &page::events()),
            (true, ["events", "stream"]) => stream::events(),
            (true, ["socket"]) => show(&request, &page::socket()),
            (true, ["socket", "ws"]) => socket::open(request, tasks),
            (true, ["download"]) => show(&request, &page::download()),
            (true, ["download", "report.csv"]) => stream::report(),
            (true, ["download", "blob"]) => stream::blob(request.uri().query()),
            (true, ["upload"]) => show(&request, &page::upload(None)),
            (false, ["upload"]) => self.take_upload(request).await,
            (true, ["static", "panel.css"]) => stylesheet(),
            _ => not_found(),
        }
    }

    /// Takes any new password, and tells nobody: the gateway has to be told by somebody else.
    async fn change_password(&self, id: &str, request: Request<Incoming>) -> Response {
        let Some(number) = page::number_of(id) else {
            return not_found();
        };
        if Limited::new(request.into_body(), 64 * 1024)
            .collect()
            .await
            .is_err()
        {
            return plain(StatusCode::BAD_REQUEST, "the form could not be read");
        }
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes.entry(number).or_default() += 1;
        drop(changes);
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        response
            .headers_mut()
            .insert(LOCATION, HeaderValue::from_static("/users/"));
        response
    }

    /// Counts an upload without keeping it.
    async fn take_upload(&self, request: Request<Incoming>) -> Response {
        let mut body = Limited::new(request.into_body(), MOST);
        let mut bytes = 0_u64;
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => bytes += data.len() as u64,
                Ok(Err(_)) => {}
                Err(_) => return plain(StatusCode::BAD_REQUEST, "the upload broke off"),
            }
        }
        html(StatusCode::OK, &page::upload(Some(bytes)))
    }

    fn changed(&self) -> BTreeMap<usize, u32> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.clone()
    }
}

/// A page, with the panel's own session cookie as such panels set it: without any attribute that
/// would protect it.
fn show(request: &Request<Incoming>, page: &Markup) -> Response {
    let mut response = html(StatusCode::OK, page);
    let has_cookie = request
        .headers()
        .get_all(http::header::COOKIE)
        .iter()
        .any(|line| line.as_bytes().starts_with(b"PHPSESSID="));
    if !has_cookie {
        let id: String = random_bytes::<13>()
            .iter()
            .map(|byte| char::from(b'a' + byte % 26))
            .collect();
        if let Ok(cookie) = HeaderValue::from_str(&format!("PHPSESSID={id}; path=/")) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    response
}

fn html(status: StatusCode, page: &Markup) -> Response {
    let mut response = Response::new(Body::from(page.0.clone()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "Not Found")
}

fn stylesheet() -> Response {
    let mut response = Response::new(Body::from(include_str!("panel.css")));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/css"));
    response
}
