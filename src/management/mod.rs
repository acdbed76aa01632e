//! Calls for programs, and for the command line.
//!
//! Three doors lead here: the HTTPS listener, where a token is asked for; the management socket, whose
//! owner may do everything; and this process itself, when the command line works on the store while no
//! gateway runs. Behind them is one table of calls (`calls`), and behind that the same verbs as
//! behind the pages: a revocation is the same function everywhere.

mod audit;
mod caller;
mod calls;
mod member;
mod nodes;
mod once;
mod openapi;
mod order;
mod people;
mod refusal;
mod revocations;
mod sessions;
mod shape;
mod state;
mod token;
mod token_watch;
mod tokens;
mod told;

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

pub use self::caller::Door;
use self::calls::Access;
use self::order::{Fields, Order};
pub use self::token_watch::TokenUses;
pub use self::told::Refusals;
use self::told::Told;
use crate::accept::Connection;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Live;
use crate::model::User;
use crate::proxy::PanelState;
use crate::revoke::Revoker;
use crate::session::Sessions;
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::{AccessLog, Metrics};
use crate::users::Users;
use crate::wire::{Body, Problem, Request, RequestId, Response};

/// The management API. Cheap to clone.
#[derive(Clone)]
pub struct Management {
    verbs: Arc<Verbs>,
}

/// What the calls have at hand.
pub struct Verbs {
    pub users: Users,
    pub revoker: Revoker,
    pub store: Store,
    pub sessions: Sessions,
    pub cluster: Cluster,
    pub config: Live,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Where each call has a line.
    pub access: AccessLog,
    pub refusals: Refusals,
    pub uses: TokenUses,
    pub panels: LookAtPanels,
    /// Begins when the gateway is told to end: whoever balances load sends nothing more here.
    pub leaving: Shutdown,
}

/// How the panels are that requests are sent to at the moment.
pub type LookAtPanels = Box<dyn Fn() -> Vec<PanelState> + Send + Sync>;

impl Management {
    /// The API over these rooms.
    pub fn new(verbs: Verbs) -> Self {
        Self {
            verbs: Arc::new(verbs),
        }
    }

    /// Answers a request that came over a connection: the socket's when it knows who is at its other
    /// end, else the listener's.
    pub async fn answer(&self, connection: Arc<Connection>, request: Request) -> Response {
        let door = match connection.owner() {
            Some(uid) => Door::Socket { uid },
            None => Door::Listener {
                client: connection.peer(),
            },
        };
        let answering = self.answer_at(door, request);
        RequestId::next().of(answering).await
    }

    /// Answers a request that came through `door`, and tells of it.
    pub async fn answer_at(&self, door: Door, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let mut told = Told::begin(&self.verbs, door, &head);
        let answered = self.carry_out(door, &head, body, &mut told).await;
        let response = answered.unwrap_or_else(Problem::into_response);
        told.answered(&response);
        response
    }

    /// The order of the checks: the call, the browser, the caller, the body. What is refused has read
    /// nothing of the body.
    async fn carry_out(
        &self,
        door: Door,
        head: &Parts,
        body: Body,
        told: &mut Told<'_>,
    ) -> Result<Response, Problem> {
        caller::refuse_browsers(door, &head.headers)?;
        let (call, segment) = calls::find(&head.method, head.uri.path())?;
        told.asks(call.access);
        let verbs = &self.verbs;
        let now = verbs.clock.now();
        let admitted = caller::admit(door, call.access, &head.headers, &verbs.store, now).await;
        let caller = match admitted {
            Ok(caller) => caller,
            Err(refused) => {
                let problem = told.refused(refused).await;
                return Err(match call.access {
                    calls::REVOKE => revocations::not_begun(problem),
                    _ => problem,
                });
            }
        };
        told.is_of(&caller);
        if let caller::Caller::Token { hash, .. } = &caller {
            verbs.uses.note(*hash, now);
        }
        let mut order = Order {
            caller,
            access: call.access,
            segment: segment.map(str::to_owned),
            query: Fields::of_query(head.uri.query(), call.query)?,
            // What anybody may ask has no body, and so nobody can make it wait for one.
            body: match call.access {
                Access::Anyone => Fields::none(call.body),
                Access::Scope(_) | Access::Owner => {
                    Fields::read(&head.headers, body, call.body).await?
                }
            },
        };
        order.takes_nothing_else(call)?;
        (call.carry_out)(Arc::clone(verbs), order).await
    }
}

impl Verbs {
    /// The user whom the path names.
    async fn user(&self, order: &Order) -> Result<User, Problem> {
        let name = order.user().ok_or_else(refusal::unknown_user)?;
        let user = self.store.user(&name).await.map_err(refusal::of_store)?;
        user.ok_or_else(refusal::unknown_user)
    }
}

fn answer_json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
