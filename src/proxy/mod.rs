//! Carries one exchange to the panel and back.
//!
//! [`Proxy::forward`] takes a [`Permit`] by value: there is no other way to a panel. The exchange is
//! registered with its session before anything goes to the panel, and is cut when the session ends.
//! The head that the panel sees is built from nothing; bodies stream in both directions.

mod body;
mod fault;
mod request_head;
mod response_head;
mod tunnel;
mod upstream;
mod websocket;

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;
use http::request::Parts;
use hyper::body::Incoming;

use self::body::{Progress, RequestBody, ResponseBody};
pub use self::fault::ForwardError;
use self::upstream::{Answer, Upstream};
pub use self::upstream::{Connector, UpstreamError};
use crate::accept::Connection;
use crate::clock::Clock;
use crate::config::Panel;
use crate::gate::Permit;
use crate::session::Exchange;
use crate::shutdown::Shutdown;
use crate::wire::{Body, Response};

/// The way to one panel, of one worker: it has connections of its own.
#[derive(Debug, Clone)]
pub struct Proxy {
    panel: Arc<Panel>,
    upstream: Upstream,
    clock: Clock,
    tasks: Shutdown,
}

/// One request on its way to the panel.
struct Outbound<'a> {
    permit: &'a Permit,
    panel: &'a Panel,
    client: IpAddr,
}

impl Proxy {
    /// A way to `panel` through `connector`; `tasks` owns the connections and tunnels.
    pub fn new(panel: Arc<Panel>, connector: Connector, clock: Clock, tasks: Shutdown) -> Self {
        let upstream = Upstream::new(connector, tasks.clone());
        Self {
            panel,
            upstream,
            clock,
            tasks,
        }
    }

    /// Carries a request that the gate let pass, and returns the panel's answer.
    ///
    /// # Errors
    /// [`ForwardError`]: the session has ended, the panel failed, or the browser's body did.
    pub async fn forward(
        &self,
        permit: Permit,
        parts: &mut Parts,
        body: Incoming,
        connection: &Connection,
    ) -> Result<Response, ForwardError> {
        let exchange = match permit.session() {
            Some(session) => Exchange::of(session.clone(), connection.closer().clone())
                .map_err(|_| ForwardError::SessionEnded)?,
            None => Exchange::of_nobody(),
        };
        let outbound = Outbound {
            permit: &permit,
            panel: &self.panel,
            client: connection.client_of(&parts.headers),
        };
        if permit.target().is_websocket() {
            return self
                .open_tunnel(&outbound, parts, exchange, connection)
                .await;
        }
        self.exchange(&outbound, parts, body, exchange).await
    }

    async fn exchange(
        &self,
        outbound: &Outbound<'_>,
        parts: &Parts,
        body: Incoming,
        exchange: Exchange,
    ) -> Result<Response, ForwardError> {
        let exchange = Arc::new(exchange);
        let progress = Progress::new();
        let body = RequestBody::of_client(body, &exchange, progress.clone(), self.clock.clone());
        let request = request_head::build(outbound, parts, body);
        let sent = exchange
            .until_cut(self.upstream.send(request, &progress))
            .await;
        let Answer {
            head,
            body,
            connection,
        } = sent
            .ok_or(ForwardError::SessionEnded)?
            .map_err(|fault| fault::of_exchange(&self.panel, fault, &progress))?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it (RFC 9110 §7.8); its connection goes with the answer.
            return Err(fault::nonsense(
                &self.panel,
                "it switched protocols unasked",
            ));
        }
        let head = response_head::clean(head, outbound);
        let body = ResponseBody::new(body, exchange, connection);
        Ok(Response::from_parts(head, Body::new(body)))
    }
}
