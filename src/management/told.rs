//! What is told of a call: one line each, a number by how it ended, and an entry of the audit list for
//! a run of refusals.
//!
//! A run is bounded on both sides. Wrong tokens are limited by the address that they come from, and
//! the entry is written when a run begins: the lines and the numbers have the rest. A right token is
//! looked up before anything is counted, so that no flood from its address holds it up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body::Body as _;

use super::Verbs;
use super::caller::{Caller, Door, Refused};
use super::calls::Access;
use crate::clock::Timestamp;
use crate::login::WrongSecrets;
use crate::model::{Action, Actor, Event};
use crate::store::change::Noted;
use crate::telemetry::{Call, Called, Line};
use crate::wire::{Problem, RequestId, Response};

/// Refusals that have been told of.
#[derive(Debug, Default)]
pub struct Refusals {
    wrong_tokens: WrongSecrets,
    /// Callers that are known and were refused, with the end of the time in which that is not told of
    /// again. Bounded by the number of tokens and of users of this machine.
    not_allowed: Mutex<HashMap<String, Timestamp>>,
}

/// A call that is under way, for those who watch.
pub(super) struct Told<'a> {
    verbs: &'a Verbs,
    door: Door,
    /// `None` for a call that this process makes.
    line: Option<Called>,
    path: &'a str,
    result: Option<Call>,
}

/// How long a caller that is refused is not told of again.
const QUIET: Duration = Duration::from_secs(15 * 60);

/// The longest path in an entry, in characters.
const LONGEST_PATH: usize = 128;

impl<'a> Told<'a> {
    pub(super) fn begin(verbs: &'a Verbs, door: Door, head: &'a Parts) -> Self {
        let id = RequestId::current();
        let begun = || Called::begin(&verbs.access, id, &verbs.clock, head);
        let mut line = (door != Door::Process).then(begun);
        if let (Some(line), Door::Listener { client }) = (&mut line, door) {
            line.tell(|line| line.client = Some(client));
        }
        Self {
            verbs,
            door,
            line,
            path: head.uri.path(),
            result: None,
        }
    }

    /// What it asks of its caller is known.
    pub(super) fn asks(&mut self, access: Access) {
        self.say(|line| {
            line.scope = match access {
                Access::Scope(scope) => Some(scope.as_str()),
                Access::Owner => Some("owner"),
                Access::Anyone => None,
            };
        });
    }

    /// Its caller is known.
    pub(super) fn is_of(&mut self, caller: &Caller) {
        let name = caller.name(self.door);
        self.say(|line| line.caller = name);
    }

    /// Its caller was not let in; what to answer.
    pub(super) async fn refused(&mut self, refused: Refused) -> Problem {
        let (result, problem) = match refused {
            Refused::NoToken(problem) => (Call::NoToken, problem),
            Refused::Failed(problem) => (Call::Failed, problem),
            Refused::NotAllowed { who, problem } => {
                self.not_allowed(&who, &problem).await;
                self.say(|line| line.caller = Some(who));
                (Call::NotAllowed, problem)
            }
            Refused::WrongToken { expired, problem } => {
                let who = expired.as_ref().map(|name| format!("token:{name}"));
                self.say(|line| line.caller = who);
                match self.door {
                    Door::Listener { client } => self.wrong_token(client, expired, problem).await,
                    Door::Socket { .. } | Door::Process => (Call::WrongToken, problem),
                }
            }
        };
        self.result = Some(result);
        problem
    }

    async fn wrong_token(
        &self,
        client: IpAddr,
        expired: Option<String>,
        problem: Problem,
    ) -> (Call, Problem) {
        let verbs = self.verbs;
        let config = verbs.config.now();
        let rate = config.throttle.per_address;
        let now = verbs.clock.now();
        // What proxies write is not read here, but they bring the calls of many.
        let of_client = config.gateway.proxies.sender(client);
        let wrong = verbs.refusals.wrong_tokens.count(of_client, rate, now);
        if wrong.begins_run {
            let what = match expired {
                Some(name) => format!("the expired token {name}"),
                None => "a wrong token".to_owned(),
            };
            tracing::warn!(%client, request = %RequestId::current(), "{what} was refused at the management listener");
            let minutes = rate.window.as_secs().div_ceil(60);
            self.note(
                Actor::Gateway,
                format!(
                    "{what} from {client}; more from there within {minutes} min are in the access log and the metrics"
                ),
            )
            .await;
        }
        if wrong.reaches_limit {
            let count = rate.count;
            tracing::warn!(%client, "{count} wrong management tokens: further ones of this address are answered with 429");
        }
        match wrong.wait {
            Some(wait) => (Call::Limited, too_many(wait)),
            None => (Call::WrongToken, problem),
        }
    }

    async fn not_allowed(&self, who: &str, problem: &Problem) {
        let now = self.verbs.clock.now();
        if !self.verbs.refusals.is_news(who, now) {
            return;
        }
        let why = problem.detail_text();
        tracing::warn!(caller = who, path = self.path, request = %RequestId::current(), "refused at the management API: {why}");
        let path = shortened(self.path);
        self.note(Actor::Gateway, format!("{who} at {path}: {why}"))
            .await;
    }

    /// The answer does not depend on it: the line and the number are there all the same.
    async fn note(&self, actor: Actor, detail: String) {
        let event = Event::general(actor, Action::TokenRefused).detail(detail);
        if let Err(fault) = self.verbs.store.commit(Noted, event).await {
            tracing::error!(%fault, "a refusal could not be written to the audit list");
        }
    }

    /// It is answered.
    pub(super) fn answered(self, response: &Response) {
        let status = response.status();
        let by_status = || match status {
            status if status.is_server_error() => Call::Failed,
            status if status.is_client_error() => Call::Refused,
            _ => Call::Done,
        };
        let Some(line) = self.line else { return };
        let result = self.result.unwrap_or_else(by_status);
        self.verbs.metrics.management_call(result);
        line.answered(status, response.body().size_hint().exact().unwrap_or(0));
    }

    fn say(&mut self, say: impl FnOnce(&mut Line)) {
        if let Some(line) = &mut self.line {
            line.tell(say);
        }
    }
}

impl Refusals {
    fn is_news(&self, who: &str, now: Timestamp) -> bool {
        // A panic while holding the lock leaves the table whole, so poisoning tells nothing.
        let mut told = self
            .not_allowed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, until| now < *until);
        let is_news = !told.contains_key(who);
        if is_news {
            told.insert(who.to_owned(), now.plus(QUIET));
        }
        is_news
    }
}

fn too_many(wait: Duration) -> Problem {
    let seconds = wait.as_secs().saturating_add(1);
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens")
        .detail(format!(
            "too many wrong management tokens came from this address; wait {seconds} seconds, or send a right one"
        ))
        .header(RETRY_AFTER, HeaderValue::from(seconds))
}

/// A path that a stranger wrote may be long.
fn shortened(path: &str) -> String {
    match path.char_indices().nth(LONGEST_PATH) {
        Some((end, _)) => format!("{}…", path.get(..end).unwrap_or_default()),
        None => path.to_owned(),
    }
}
