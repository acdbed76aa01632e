//! Puts the rooms together, and answers every request by one match on the verdict.
//!
//! Two kinds of runtime: each worker accepts, judges and forwards on a thread of its own with
//! connections to the panel of its own; pages, calls, the store and password hashing live on the
//! control runtime, so that a hundred sign-ins never delay a forwarded request. What they share is
//! the session table. This is the only file that knows all rooms.

mod arrival;
mod certificates;
mod doors;
mod ending;
mod front;
mod health;
mod inspection;
mod led;
mod load;
mod redirect;
mod refused_heads;
mod reload;
mod remarks;
mod rooms;
mod start;
mod supervisor;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Request, StatusCode};
use tokio::runtime::Handle;
use tokio::task::JoinError;

use self::front::Front;
pub use self::inspection::{Finding, Grade, inspect, inspect_files};
use self::led::Led;
use self::load::{Holder, Load};
use self::refused_heads::RefusedHeads;
use self::remarks::Remarks;
pub use self::rooms::{Offline, move_store, offline, restore};
pub use self::start::{GatewayError, run};
use crate::accept::{Connection, Handler, HeadFault, Received};
use crate::clock::{Clock, Timestamp};
use crate::cluster::Cluster;
use crate::config::Panel;
use crate::gate::{self, Asked, Permit, Target, Verdict, Visit};
use crate::model::{ClientAddress, TokenHash};
use crate::portal::{self, Portal};
use crate::proxy::{ForwardError, Open, OpenHere, Proxy, StillAllows};
use crate::session::{Session, Sessions, WhyEnded};
use crate::shutdown::Shutdown;
use crate::telemetry::{AccessLog, Answers, Entry, Metrics};
use crate::wire::own_answer::OfPanel;
use crate::wire::{Body, Problem, RequestId, Response, negotiate};

/// What every worker shares.
struct House {
    front: ArcSwap<Front>,
    portal: Portal,
    why_ended: WhyEnded,
    cluster: Cluster,
    control: Handle,
    access: AccessLog,
    heads: RefusedHeads,
    remarks: Remarks,
    led: Led,
    metrics: Metrics,
    clock: Clock,
    sessions: Sessions,
    open: Open,
    load: Load,
    tasks: Shutdown,
    /// Browsers are told to come over TLS alone.
    over_tls_alone: bool,
    /// Begins with the first signal to end.
    leaving: Shutdown,
}

/// What became of a request.
struct Answered {
    /// In a word.
    verdict: &'static str,
    /// Which was asked, and where its answers are counted.
    panel: Option<(Arc<Panel>, Answers)>,
    response: Response,
}

/// The public door of one worker.
#[derive(Clone)]
struct Door {
    house: Arc<House>,
    /// This worker's connections to the panels of the front that it last saw.
    ways: Arc<Mutex<(Arc<Front>, Proxy)>>,
    open: OpenHere,
}

impl Handler for Door {
    async fn handle(&self, connection: Arc<Connection>, request: Request<Received>) -> Response {
        let id = RequestId::next();
        let (mut parts, body) = request.into_parts();
        let house = &self.house;
        let entry = Entry::begin(&house.access, id, &house.clock, &parts);
        let closer = body.closer().unwrap_or(connection.closer()).clone();
        let holder = Holder::of(connection.forwarded(&parts.headers).client);
        // Nothing between these calls, and nothing large by value: every request carries the room for
        // each copy of the future.
        let answered = id
            .of(self.answer(&connection, &mut parts, body, &entry))
            .await;
        let panel = answered.panel.as_ref();
        let panel = panel.map(|(panel, answers)| (panel.name.as_str(), answers));
        let is_of_panel = answered.response.extensions().get::<OfPanel>().is_some();
        let response = entry.answer(answered.verdict, panel, answered.response);
        match is_of_panel {
            true => response,
            false => house.load.answer(holder, response, &closer),
        }
    }

    fn head_refused(&self, connection: &Connection, fault: HeadFault) {
        self.house.heads.tell(connection.sender(), fault);
    }

    fn without_tls(&self, parts: &Parts) -> Option<Response> {
        Some(self.house.front.load().redirect.says_https(parts))
    }

    fn is_over_tls_alone(&self) -> bool {
        self.house.over_tls_alone
    }
}

impl Door {
    async fn answer(
        &self,
        connection: &Connection,
        parts: &mut Parts,
        body: Received,
        entry: &Entry,
    ) -> Answered {
        let house = &self.house;
        let front = house.front.load_full();
        let arrival = match house.arrival(&front, connection, parts, entry) {
            Ok(arrival) => arrival,
            Err(answered) => return *answered,
        };
        let client = arrival.client;
        let now = house.clock.now();
        let mut verdict = front.gate.decide(parts, client, now, Asked::Nothing);
        if let Verdict::Unknown(token) = verdict {
            // Rare, and large.
            verdict = Box::pin(house.ask_store(&front, parts, client, token)).await;
        }
        match verdict {
            Verdict::Pass(permit) => {
                if let Some(session) = permit.session() {
                    session.touch(now);
                }
                tell_who(entry, permit.session());
                let answers = front.answers_of(permit.panel()).cloned();
                let proxy = self.ways_of(&front);
                drop(front);
                Answered {
                    verdict: "pass",
                    panel: answers.map(|answers| (permit.panel().clone(), answers)),
                    response: self
                        .forward(&proxy, (permit, now), parts, body, connection, entry)
                        .await,
                }
            }
            Verdict::Portal(visit) => {
                tell_who(entry, visit.session.as_ref());
                if let Some(problem) = arrival.closes_pages(parts) {
                    return Answered::refused(problem, entry, parts);
                }
                let parts = std::mem::replace(parts, Request::new(()).into_parts().0);
                // Rare and large: every request would carry the room for it.
                let page = Box::pin(house.show_portal(visit, client, parts, body));
                Answered::of("portal", page.await)
            }
            Verdict::SignIn(why, target, visit) => {
                tell_who(entry, visit.session.as_ref());
                entry.tell(|line| line.cause = Some(why.cause(&visit).into()));
                // Rare, and large.
                let asked = Box::pin(house.ask_to_sign_in(why, &target, parts, &visit));
                Answered::of("sign-in", asked.await)
            }
            Verdict::AboutServer => Answered::of("about-server", nothing_to_say()),
            Verdict::Refuse(problem, visit) => {
                tell_who(
                    entry,
                    visit.as_ref().and_then(|visit| visit.session.as_ref()),
                );
                Answered::refused(problem, entry, parts)
            }
            // It was asked for, and can't be asked for again.
            Verdict::Unknown(_) => {
                Answered::of("refuse", refuse(gate::untold(), wants_page(parts)))
            }
        }
    }
}

impl Answered {
    /// By the gateway itself.
    fn of(verdict: &'static str, response: Response) -> Self {
        Self {
            verdict,
            panel: None,
            response,
        }
    }

    /// With a sentence, whose cause stands in the line of the log.
    fn refused(problem: Problem, entry: &Entry, parts: &Parts) -> Self {
        entry.tell(|line| line.cause = Some(problem.cause()));
        Self::of("refuse", refuse(problem, wants_page(parts)))
    }
}

fn tell_who(entry: &Entry, session: Option<&Arc<Session>>) {
    entry.tell(|line| {
        line.user = session.map(|session| session.user().name.to_string());
        line.session = session.map(|session| session.id().to_string());
    });
}

impl House {
    /// The ways to the panels of a front. What that has judged is judged again where another is in force
    /// by the time it begins.
    fn proxy(self: &Arc<Self>, front: &Arc<Front>, open: &OpenHere) -> Proxy {
        let (house, judged_by) = (self.clone(), front.clone());
        let still_allows: StillAllows = Arc::new(move |permit, begun| {
            let front = house.front.load();
            match Arc::ptr_eq(&front, &judged_by) {
                true => Ok(()),
                false => front.gate.still_allows(permit, begun),
            }
        });
        Proxy::new(&front.panels, &self.clock, &self.tasks, open, still_allows)
    }

    fn judge(&self, parts: &Parts, client: ClientAddress) -> Verdict {
        let front = self.front.load();
        let now = self.clock.now();
        front.gate.decide(parts, client, now, Asked::ForSession)
    }

    /// Brings a session from the store that another node may have made, and judges anew.
    async fn ask_store(
        &self,
        front: &Front,
        parts: &Parts,
        client: ClientAddress,
        token: TokenHash,
    ) -> Verdict {
        match self.cluster.session(token).await {
            Ok(_) => {
                let now = self.clock.now();
                front.gate.decide(parts, client, now, Asked::ForSession)
            }
            Err(fault) => {
                tracing::debug!(%fault, "a session could not be looked for");
                let now = self.clock.now();
                front.gate.decide(parts, client, now, Asked::InVain)
            }
        }
    }

    /// The way to the login page; out of a frame first. A program is told why its session has ended: a
    /// person is told so by the login page.
    async fn ask_to_sign_in(
        &self,
        why: gate::SignIn,
        target: &Target,
        parts: &Parts,
        visit: &Visit,
    ) -> Response {
        if let Some(login) = gate::login_out_of_frame(target, parts) {
            return portal::out_of_frame(&login);
        }
        let mut ended = None;
        if let (Some(token), false) = (visit.ended_token(), wants_page(parts)) {
            let why_ended = self.why_ended.clone();
            let asked = self
                .control
                .spawn(async move { why_ended.of(&token).await });
            ended = asked.await.ok().flatten();
        }
        gate::sign_in(why, target, parts, visit, ended)
    }

    /// Pages run on the control runtime, and go on when the browser hangs up.
    async fn show_portal(
        &self,
        visit: Visit,
        client: ClientAddress,
        parts: Parts,
        body: Received,
    ) -> Response {
        if let Some(session) = &visit.session {
            session.touch(self.clock.now());
        }
        let wants_page = wants_page(&parts);
        let portal = self.portal.clone();
        let (weight, body) = self.load.request(Holder::of(client), &parts, body);
        let request = Request::from_parts(parts, body);
        let page = async move {
            let answered = portal.answer(visit, request).await;
            drop(weight);
            answered
        };
        let page = RequestId::current().of(page);
        let answered = self.tasks.spawn_on(page, &self.control).await;
        answered.unwrap_or_else(|fault| refuse(failed(&fault), wants_page))
    }
}

impl Door {
    fn new(house: Arc<House>) -> Self {
        let front = house.front.load_full();
        let open = house.open.of_worker();
        let proxy = house.proxy(&front, &open);
        Self {
            house,
            ways: Arc::new(Mutex::new((front, proxy))),
            open,
        }
    }

    /// The ways to the panels of the front that judged a request.
    fn ways_of(&self, front: &Arc<Front>) -> Proxy {
        // A panic while holding the lock leaves the pair whole, so poisoning tells nothing.
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&ways.0, front) {
            *ways = (front.clone(), self.house.proxy(front, &self.open));
        }
        ways.1.clone()
    }

    async fn forward(
        &self,
        proxy: &Proxy,
        permit: (Permit, Timestamp),
        parts: &mut Parts,
        body: Received,
        connection: &Connection,
        entry: &Entry,
    ) -> Response {
        let client = permit.0.client();
        let forwarding = proxy.forward(permit, parts, body, connection, entry);
        match forwarding.await {
            Ok(mut response) => {
                response.extensions_mut().insert(OfPanel);
                response
            }
            Err(fault) => {
                fault.end().into_iter().for_each(|end| entry.ended(end));
                Box::pin(self.failed(&fault, parts, client)).await
            }
        }
    }

    async fn failed(&self, fault: &ForwardError, parts: &Parts, client: ClientAddress) -> Response {
        let Some(problem) = fault.problem() else {
            return self.session_ended(parts, client, fault).await;
        };
        if let Some(panel) = fault.panel_at_fault() {
            let reference = problem.reference();
            self.house.metrics.upstream_error(panel, problem.status());
            tracing::warn!(reference, %fault, "a request was not answered by the panel");
        }
        if let ForwardError::Exhausted { .. } = fault {
            tracing::warn!(%fault, "a request was not sent on: this machine has no files, ports or memory left for its connection");
        }
        refuse(problem, wants_page(parts))
    }

    /// The session ended while its request was under way: the gate no longer lets it pass.
    async fn session_ended(
        &self,
        parts: &Parts,
        client: ClientAddress,
        fault: &ForwardError,
    ) -> Response {
        let house = &self.house;
        match house.judge(parts, client) {
            Verdict::SignIn(why, target, visit) => {
                house.ask_to_sign_in(why, &target, parts, &visit).await
            }
            Verdict::Refuse(problem, _) => refuse(problem, wants_page(parts)),
            // An open path whose session ended: it may be asked for again, as nobody.
            _ => refuse(
                Problem::new(StatusCode::UNAUTHORIZED, "session ended").detail(fault.to_string()),
                wants_page(parts),
            ),
        }
    }
}

fn wants_page(parts: &Parts) -> bool {
    negotiate::wants_page(&parts.method, &parts.headers)
}

/// The sentence, as a page for people and a document for programs.
fn refuse(problem: Problem, wants_page: bool) -> Response {
    if wants_page {
        portal::error_page(&problem)
    } else {
        problem.into_response()
    }
}

/// A page or a call that panicked.
fn failed(fault: &JoinError) -> Problem {
    let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the gateway failed")
        .detail("this is a fault of the gateway; the log says more under the reference number")
        .referenced();
    tracing::error!(reference = problem.reference(), %fault, "an answer could not be made");
    problem
}

fn nothing_to_say() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
