//! Carries one exchange to the panel and back.
//!
//! [`Proxy::forward`] takes a [`Permit`] by value: there is no other way to a panel. The exchange is
//! registered with its session before anything goes to the panel, and is cut when the session ends.
//! The head that the panel sees is built from nothing; bodies stream in both directions.

mod answer_field;
mod body;
mod condition;
mod ending;
mod fault;
mod guarded;
mod open;
mod origin_head;
mod panels;
mod request_head;
mod response_head;
mod strangers;
mod tunnel;
mod upstream;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use http::StatusCode;
use http::request::Parts;
use http_body::Body as _;
use tokio::sync::Semaphore;

pub use self::body::ClientFault;
use self::body::{RequestBody, ResponseBody, Taken};
pub use self::condition::PanelState;
use self::condition::{Condition, Place};
use self::ending::Teller;
pub use self::fault::ForwardError;
use self::open::{Admitted, Listed};
pub use self::open::{Ending, Open, OpenHere};
pub use self::panels::Panels;
#[cfg(fuzzing)]
pub use self::upstream::fuzzing;
use self::upstream::{Answer, Person, RoundTrip, Upstream};
pub use self::upstream::{AnswerFault, UpstreamError};
use crate::accept::{Connection, Received};
use crate::clock::{Clock, Timestamp};
use crate::config::Panel;
use crate::gate::Permit;
use crate::session::{CutReason, Exchange};
use crate::shutdown::Shutdown;
use crate::telemetry::Entry;
use crate::wire::{Body, Response};

/// The ways to the panels, of one worker: it has connections of its own.
#[derive(Clone)]
pub struct Proxy {
    ways: Arc<[Way]>,
    open: OpenHere,
    still_allows: StillAllows,
}

/// Judges by the rules of the moment what was let pass by a permit, at that time.
pub type StillAllows = Arc<dyn Fn(&Permit, Timestamp) -> Result<(), CutReason> + Send + Sync>;

/// What an exchange holds until it is over: its place at the panel, and in the list of what is open.
type Held = (Place, Listed);

/// The way to one panel.
#[derive(Debug, Clone)]
struct Way {
    panel: Arc<Panel>,
    condition: Condition,
    upstream: Upstream,
    clock: Clock,
    tasks: Shutdown,
    /// For the first of bodies whose requests have no place at the panel yet.
    room: Arc<Semaphore>,
}

/// Bodies of one panel and worker of which so much is read ahead.
const ROOM: usize = 128;

/// One request on its way to the panel.
struct Outbound<'a> {
    permit: &'a Permit,
    panel: &'a Panel,
    connection: &'a Connection,
    /// Where it is told how it ends.
    entry: &'a Entry,
}

impl Proxy {
    /// Ways to these panels; `tasks` owns the tunnels, and uploads that go on
    /// after their answer. What they carry is listed as `open`, and is judged once more then.
    pub fn new(
        panels: &Panels,
        clock: &Clock,
        tasks: &Shutdown,
        open: &OpenHere,
        still_allows: StillAllows,
    ) -> Self {
        let ways = panels.all().map(|known| Way {
            upstream: Upstream::new(known.connector.clone(), &known.panel.bounds, tasks.clone()),
            panel: known.panel.clone(),
            condition: known.condition.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            room: Arc::new(Semaphore::new(ROOM)),
        });
        Self {
            ways: ways.collect(),
            open: open.clone(),
            still_allows,
        }
    }

    /// Carries a request that the gate let pass at `begun` to the panel that its permit names, and
    /// returns the panel's answer.
    ///
    /// # Errors
    /// [`ForwardError`]: the session has ended, the rules have changed, the panel failed, has no place or
    /// is down, or the browser's body failed.
    pub async fn forward(
        &self,
        (permit, begun): (Permit, Timestamp),
        parts: &mut Parts,
        body: Received,
        connection: &Connection,
        entry: &Entry,
    ) -> Result<Response, ForwardError> {
        let is_meant = |way: &&Way| Arc::ptr_eq(&way.panel, permit.panel());
        let Some(way) = self.ways.iter().find(is_meant) else {
            return Err(fault::nonsense(permit.panel(), "no way leads to it"));
        };
        let exchange = match permit.session() {
            Some(session) => Exchange::of(session.clone(), connection.closer().clone())
                .map_err(ForwardError::Cut)?,
            None => Exchange::of_nobody(),
        };
        let seat = match permit.session() {
            Some(_) => None,
            None => Some(
                self.open
                    .seat(permit.client())
                    .ok_or(ForwardError::Crowded)?,
            ),
        };
        let admitted = Arc::new(Admitted {
            _seat: seat,
            permit,
            begun,
            guard: exchange.guard().clone(),
            closer: body.closer().unwrap_or(connection.closer()).clone(),
            is_endless: AtomicBool::new(false),
        });
        let listed = self.open.enter(admitted.clone(), &*self.still_allows);
        let listed = listed.map_err(ForwardError::Cut)?;
        let held = (exchange, listed);
        let permit = &admitted.permit;
        way.forward(permit, held, parts, body, connection, entry)
            .await
    }
}

impl Way {
    async fn forward(
        &self,
        permit: &Permit,
        (exchange, listed): (Exchange, Listed),
        parts: &mut Parts,
        body: Received,
        connection: &Connection,
        entry: &Entry,
    ) -> Result<Response, ForwardError> {
        if let Some(lease) = permit.session().and_then(|session| session.lease()) {
            connection.carries_under(lease);
        }
        let bounds = &self.panel.bounds;
        if let Some(limit) = bounds
            .max_body
            .filter(|most| body.size_hint().lower() > *most)
        {
            return Err(ForwardError::TooLarge { limit });
        }
        let mut body = RequestBody::of_client(body, bounds, exchange.session(), &self.clock);
        if !body.is_empty() {
            let gathered = exchange.until_cut(body.gather(&self.room)).await;
            let gathered = gathered.map_err(ForwardError::Cut)?;
            let of_client = |fault| fault::of_exchange(&self.panel, UpstreamError::Client(fault));
            gathered.map_err(of_client)?;
        }
        let place = self
            .condition
            .enter()
            .map_err(|why| fault::not_now(&self.panel, &why, self.condition.retry_after()))?;
        let held = (place, listed);
        let outbound = Outbound {
            permit,
            panel: &self.panel,
            connection,
            entry,
        };
        let forwarded = if permit.target().is_websocket() {
            let opening = self.open_tunnel(&outbound, parts, exchange, held);
            // Rare and large: every request would carry the room for it.
            Box::pin(opening).await
        } else {
            self.exchange(&outbound, parts, body, exchange, held).await
        };
        match &forwarded {
            Ok(_) => self.condition.answered(),
            // Only this is surely not of one request alone: nobody can bring a panel down for
            // everybody by asking for what it stumbles over.
            Err(ForwardError::Unreachable { .. }) => self.condition.failed(),
            Err(_) => {}
        }
        forwarded
    }

    /// The answer, if the exchange may still carry it.
    fn answered(
        &self,
        exchange: &Exchange,
        sent: Result<Result<Answer, UpstreamError>, CutReason>,
    ) -> Result<Answer, ForwardError> {
        let answer = sent.map_err(ForwardError::Cut)?;
        // A request that was cut while it was sent looks like one that the panel did not take.
        exchange.guard().may_carry().map_err(ForwardError::Cut)?;
        answer.map_err(|fault| fault::of_exchange(&self.panel, fault))
    }

    fn body(
        &self,
        outbound: &Outbound<'_>,
        trip: Box<RoundTrip>,
        exchange: Exchange,
        held: Held,
    ) -> ResponseBody {
        let teller = Teller::of(outbound, &self.panel);
        ResponseBody::new(trip, exchange, self.upstream.pool().clone(), held, teller)
    }

    async fn exchange(
        &self,
        outbound: &Outbound<'_>,
        parts: &Parts,
        body: RequestBody,
        exchange: Exchange,
        held: Held,
    ) -> Result<Response, ForwardError> {
        let request = request_head::build(outbound, parts).with(body, exchange.guard());
        let person = Person::of(&exchange, outbound.permit.client());
        let sent = exchange
            .until_cut(self.upstream.send(request, person))
            .await;
        let Answer { head, trip } = self.answered(&exchange, sent)?;
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it (RFC 9110 §7.8); its connection goes with the answer.
            return Err(fault::nonsense(
                &self.panel,
                "it switched protocols unasked",
            ));
        }
        let head = response_head::clean(head, outbound);
        let taken = Taken::of(&head, &self.clock);
        if taken.is_none() {
            held.1.is_endless();
        }
        let body = self.body(outbound, trip, exchange, held).taken(taken);
        Ok(Response::from_parts(head, Body::new(body)))
    }
}
