//! All panels, with what every worker shares of them: how they are reached, and how they are.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::body::RequestBody;
use super::condition::{Condition, PanelState};
use super::upstream::{Answer, Connector, Head, Person, Upstream, UpstreamError};
use crate::clock::Clock;
use crate::config::Panel;
use crate::session::Exchange;
use crate::shutdown::Shutdown;

/// What a check reads of an answer at the most, in bytes: a connection that is read to its end serves again.
const MOST_READ: usize = 64 * 1024;

/// How long whoever tries a panel out waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The panels of a configuration. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Panels {
    known: Arc<[Known]>,
    clock: Clock,
    /// Those who watch them end with the last of these.
    ended: CancellationToken,
    _ends: Arc<DropGuard>,
}

/// One panel.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) panel: Arc<Panel>,
    pub(super) connector: Connector,
    pub(super) condition: Condition,
}

impl Panels {
    /// # Errors
    /// [`UpstreamError`] when the authorities of a panel's certificate can't be read.
    pub fn new(panels: &[Arc<Panel>], clock: &Clock) -> Result<Self, UpstreamError> {
        Self::of(panels, &[], clock)
    }

    /// The panels of a changed configuration; those that are as they were keep what is known of them.
    ///
    /// # Errors
    /// As [`Panels::new`].
    pub fn followed_by(&self, panels: &[Arc<Panel>]) -> Result<Self, UpstreamError> {
        Self::of(panels, &self.known, &self.clock)
    }

    fn of(panels: &[Arc<Panel>], before: &[Known], clock: &Clock) -> Result<Self, UpstreamError> {
        let known = panels.iter().map(|panel| {
            if let Some(same) = before.iter().find(|known| known.panel == *panel) {
                return Ok(same.clone());
            }
            Ok(Known {
                panel: panel.clone(),
                connector: Connector::to_panel(panel)?,
                condition: Condition::of(panel, clock.clone()),
            })
        });
        let ended = CancellationToken::new();
        Ok(Self {
            known: known.collect::<Result<_, UpstreamError>>()?,
            clock: clock.clone(),
            _ends: Arc::new(ended.clone().drop_guard()),
            ended,
        })
    }

    /// The panels as they are configured, each the same one that requests are sent to.
    pub fn configured(&self) -> Vec<Arc<Panel>> {
        self.all().map(|known| known.panel.clone()).collect()
    }

    /// How each of them is, in the order of the configuration.
    pub fn states(&self) -> Vec<PanelState> {
        self.all().map(|known| known.condition.state()).collect()
    }

    /// Begins to ask each panel that has a path for it how it is, until `tasks` ends.
    pub fn watch(&self, tasks: &Shutdown) {
        for known in self.all() {
            if let Some(path) = &known.panel.bounds.health.path {
                let watching = watch(known.clone(), path.clone(), tasks.clone());
                let until = self.ended.clone();
                tasks.spawn(async move { until.run_until_cancelled(watching).await });
            }
        }
    }

    /// Asks each of them once how it is, as the health check does, or for `/` where there is none; the
    /// status that it answers, or why it is not well.
    pub async fn try_each(&self) -> Vec<(Arc<Panel>, Result<StatusCode, String>)> {
        let tasks = Shutdown::new();
        let begun = self.all().map(|known| {
            let (known, tasks) = (known.clone(), tasks.clone());
            tasks.clone().spawn(async move {
                let bounds = &known.panel.bounds;
                let connector = known.connector.clone();
                let upstream = Upstream::new(known.connector, bounds, tasks);
                let path = bounds.health.path.as_deref().unwrap_or("/");
                let asking = ask(&upstream, &known.panel, path);
                let answer = tokio::time::timeout(PATIENCE, asking).await;
                let late = || Err(format!("no answer within {} seconds", PATIENCE.as_secs()));
                let mut answer = answer.unwrap_or_else(|_| late());
                // What a server of HTTPS says to plain HTTP: 400, or nothing.
                let is_odd = answer
                    .as_ref()
                    .map_or(true, |status| status.as_u16() == 400);
                if is_odd && connector.meets_tls().await {
                    let speaks_tls = "it speaks TLS: write https:// in upstream";
                    answer = Err(speaks_tls.to_owned());
                }
                (known.panel, answer)
            })
        });
        let mut tried = Vec::new();
        for asked in begun.collect::<Vec<_>>() {
            tried.extend(asked.await);
        }
        tried
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Known> {
        self.known.iter()
    }
}

async fn watch(known: Known, path: String, tasks: Shutdown) {
    let bounds = &known.panel.bounds;
    let upstream = Upstream::new(known.connector.clone(), bounds, tasks.clone());
    let every = bounds.health.interval;
    loop {
        let asked = tokio::select! {
            () = tasks.begun() => return,
            asked = tokio::time::timeout(every, ask(&upstream, &known.panel, &path)) => asked,
        };
        match asked {
            Ok(Ok(_)) => known.condition.succeeded(),
            Ok(Err(why)) => {
                tracing::debug!(panel = known.panel.name, why, "the panel is not well");
                known.condition.failed();
            }
            Err(_) => known.condition.failed(),
        }
        if tokio::time::timeout(every, tasks.begun()).await.is_ok() {
            return;
        }
    }
}

/// A panel is well that answers with less than 500. The check says who nobody is, so what it asks for
/// tells it no more than a stranger.
async fn ask(upstream: &Upstream, panel: &Panel, path: &str) -> Result<StatusCode, String> {
    let host = match panel.upstream.of_url() {
        Some((_, _, authority)) => authority.to_string(),
        None => "localhost".to_owned(),
    };
    let path = PathAndQuery::try_from(path).map_err(|fault| fault.to_string())?;
    let path = path.as_str();
    let mut head = Head::new(&Method::GET, path, path.len() + host.len() + 64);
    head.text(&HOST, &[host.as_bytes()]);
    let asking = Exchange::of_nobody();
    let request = head.with(RequestBody::empty(), asking.guard());
    let answer = upstream.send(request, Person::default()).await;
    let Answer { head, mut trip } = answer.map_err(|fault| fault.to_string())?;
    let status = head.status;
    // The status alone decides: a long page is as good an answer.
    let mut read = 0;
    while let Some(Ok(data)) = poll_fn(|cx| trip.poll_data(cx)).await {
        read += data.len();
        if read > MOST_READ {
            break;
        }
    }
    upstream.pool().give_back(trip, asking, (), |()| {});
    if status.is_server_error() {
        return Err(format!("it answered {status}"));
    }
    Ok(status)
}
