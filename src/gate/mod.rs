//! May this request pass?
//!
//! [`Gate::decide`] puts one request to the session table and the panel's rules, and returns a
//! [`Verdict`]. It has no side effects and does no I/O. Only a [`Permit`], which only this room can
//! make, opens the way to a panel (promise 1). What cannot be decided is refused.

mod apart;
mod destination;
mod destination_field;
mod forwarded_host;
mod path;
mod permit;
mod reading;
mod refusal;
pub mod rules;
mod target;
mod unknown_host;
mod visit;

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

pub use self::destination::Destination;
pub use self::destination_field::{DESTINATION, DestinationField};
pub use self::forwarded_host::Readdressed;
pub use self::path::{BadPath, Path};
pub use self::permit::Permit;
pub use self::refusal::{SignIn, forget_browser, login_out_of_frame, sign_in, tell_why_ended};
pub use self::target::{Host, Target};
use self::visit::Open;
pub use self::visit::{SessionCookie, Visit};
use crate::clock::Timestamp;
use crate::config::{ExternalUrl, Panel, PanelHost};
use crate::model::{ClientAddress, TokenHash};
use crate::session::{CutReason, Session, Sessions};
use crate::wire::Problem;
use crate::wire::site::{self, Stated};

/// Everything below it is the gateway's own.
const PORTAL: &str = "/.portcullis";

/// The rules of the house: which hosts, which panel, which sessions.
#[derive(Debug)]
pub struct Gate {
    /// Where people reach the gateway.
    external: ExternalUrl,
    /// Where the portal's pages are, where they have a host of their own.
    portal: Option<ExternalUrl>,
    panels: Vec<Arc<Panel>>,
    sessions: Sessions,
}

/// What is to become of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It goes to the panel.
    Pass(Permit),
    /// It is for the gateway's own pages.
    Portal(Visit),
    /// Somebody has to sign in first.
    SignIn(SignIn, Target, Visit),
    /// `OPTIONS *` asks about the gateway itself (RFC 9110 §9.3.7).
    AboutServer,
    /// Another node may know the session that was shown: it is to be brought from the store, and the
    /// gate asked again.
    Unknown(TokenHash),
    /// It goes nowhere; with the visitor, where the request was read that far.
    Refuse(Problem, Option<Visit>),
}

/// What the store was asked about before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    /// The session that is shown: a table that does not know it now is right.
    ForSession,
    /// The same, and the store did not answer.
    InVain,
}

impl Gate {
    /// A gate in front of these panels, each for hosts of its own.
    pub fn new(external: ExternalUrl, panels: Vec<Arc<Panel>>, sessions: Sessions) -> Self {
        Self {
            external,
            portal: None,
            panels,
            sessions,
        }
    }

    /// With the portal's pages on a host of their own, where there is one.
    #[must_use]
    pub fn with_portal_at(mut self, portal: Option<ExternalUrl>) -> Self {
        self.portal = portal;
        self
    }

    /// Judges one request.
    pub fn decide(
        &self,
        parts: &Parts,
        client: ClientAddress,
        now: Timestamp,
        asked: Asked,
    ) -> Verdict {
        if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
            return Verdict::AboutServer;
        }
        match Target::read(parts) {
            Ok(target) => self.judge(target, &parts.headers, (client, now), asked),
            Err(problem) => Verdict::Refuse(problem, None),
        }
    }

    fn judge(
        &self,
        target: Target,
        headers: &HeaderMap,
        (client, now): (ClientAddress, Timestamp),
        asked: Asked,
    ) -> Verdict {
        let host = target.host().canonical();
        if !self.serves(host) {
            return if is_file(target.path()) && !target.is_websocket() {
                // The page that says so looks like one.
                Verdict::Portal(Visit::of_nobody(client))
            } else {
                Verdict::Refuse(self.unknown_host(target.host()), None)
            };
        }
        let at_portal = self.is_portal(host);
        let panel = self.panel_of(host).filter(|_| !at_portal);
        let (mut visit, open) = Visit::recognise(client, headers, &self.sessions, now);
        match (open, asked) {
            (Some(Open::Unknown(token)), Asked::Nothing) => return Verdict::Unknown(token),
            (Some(Open::Untold(token)), _) | (Some(Open::Unknown(token)), Asked::InVain) => {
                if !signs_out(&target) {
                    return Verdict::Refuse(untold(), Some(visit));
                }
                visit.untold = Some(token);
            }
            (Some(Open::Unknown(_)), Asked::ForSession) | (None, _) => {}
        }
        if at_portal && !target.is_websocket() {
            return Verdict::Portal(visit);
        }
        if target.path().resembles(PORTAL) {
            if let Some(portal) = self.portal.as_ref().filter(|_| !is_file(target.path())) {
                return Verdict::Refuse(apart::pages_elsewhere(portal), Some(visit));
            }
            return if is_plainly_portal(target.path()) && !target.is_websocket() {
                Verdict::Portal(visit)
            } else {
                Verdict::Refuse(no_such_page(), Some(visit))
            };
        }
        let Some(panel) = panel else {
            return Verdict::Refuse(self.unknown_host(target.host()), Some(visit));
        };
        let checked = match target.is_websocket() {
            true => check_origin(&target, headers),
            false => Ok(()),
        };
        if let Err(problem) = checked.and_then(|()| apart::check_worker(&target, headers, panel)) {
            return Verdict::Refuse(problem, Some(visit));
        }
        match (ask(panel.clone(), target, visit, now), &self.portal) {
            (Verdict::SignIn(_, _, visit), Some(portal)) => {
                Verdict::Refuse(apart::sign_in_elsewhere(portal), Some(visit))
            }
            (verdict, _) => verdict,
        }
    }

    /// Judges once more what another gate let pass at `begun`: whether it may go on under these rules. A
    /// sign-in that was recent enough for it then is so still.
    ///
    /// # Errors
    /// Why it is to be cut.
    pub fn still_allows(&self, permit: &Permit, begun: Timestamp) -> Result<(), CutReason> {
        let target = permit.target();
        let host = target.host().canonical();
        let panel = match self.is_portal(host) {
            true => None,
            false => self.panel_of(host),
        };
        let panel = panel.ok_or(CutReason::NotAllowed)?;
        barrier(panel, target, permit.session(), begun)
            .map_or(Ok(()), |_| Err(CutReason::NotAllowed))?;
        match panel.is_at_the_place_of(permit.panel()) {
            true => Ok(()),
            false => Err(CutReason::PanelMoved),
        }
    }

    /// Whether a canonical host is of a panel, or of the gateway itself.
    fn serves(&self, host: &str) -> bool {
        host == self.external.host() || self.is_portal(host) || self.panel_of(host).is_some()
    }

    fn is_portal(&self, host: &str) -> bool {
        let portal = self.portal.as_ref();
        portal.is_some_and(|portal| portal.host() == host)
    }

    fn panel_of(&self, host: &str) -> Option<&Arc<Panel>> {
        panel_of(&self.panels, self.external.host(), host)
    }
}

/// A panel that names the host comes before one for any.
fn panel_of<'a>(
    panels: &'a [Arc<Panel>],
    external_host: &str,
    host: &str,
) -> Option<&'a Arc<Panel>> {
    let is_for = |panel: &&Arc<Panel>| panel.host.is_for(host, external_host);
    let is_open = |panel: &&Arc<Panel>| panel.host == PanelHost::Any;
    let mut named = panels.iter().filter(|panel| !is_open(panel));
    named.find(is_for).or_else(|| panels.iter().find(is_open))
}

/// Whether what is asked for needs a more recent sign-in than that of the session.
fn is_too_long_ago(asked: &rules::Requirement, session: &Session, now: Timestamp) -> bool {
    let recent = |within| now.since(session.created()) < within;
    !asked.anyone
        && asked.roles.contains(session.user().role)
        && !asked.reauthenticate.is_none_or(recent)
}

/// What stands between a visitor and what is asked for.
enum Barrier {
    SignIn(SignIn),
    Refusal(Problem),
}

fn ask(panel: Arc<Panel>, target: Target, visit: Visit, now: Timestamp) -> Verdict {
    match barrier(&panel, &target, visit.session.as_ref(), now) {
        // On a path open to anyone, who has a session is named to the panel too, and the exchange ends
        // with it.
        None => Verdict::Pass(Permit::new(panel, target, visit.session, visit.client)),
        Some(Barrier::SignIn(why)) => Verdict::SignIn(why, target, visit),
        Some(Barrier::Refusal(problem)) => Verdict::Refuse(problem, Some(visit)),
    }
}

fn barrier(
    panel: &Panel,
    target: &Target,
    session: Option<&Arc<Session>>,
    now: Timestamp,
) -> Option<Barrier> {
    let asked = match requirement(panel, target) {
        Ok(asked) => asked,
        Err(problem) => return Some(Barrier::Refusal(problem)),
    };
    if asked.anyone {
        return None;
    }
    let Some(session) = session else {
        return Some(Barrier::SignIn(SignIn::NoSession));
    };
    if !asked.roles.contains(session.user().role) {
        return Some(Barrier::Refusal(not_for_this_role()));
    }
    is_too_long_ago(&asked, session, now).then_some(Barrier::SignIn(SignIn::TooLongAgo))
}

/// What the panel's rules ask for the target, and for the place where it puts something. What is put
/// there is judged as the request's own method, and as the `PUT` that it amounts to.
fn requirement(panel: &Panel, target: &Target) -> Result<rules::Requirement, Problem> {
    let ask = |method, path| rules::requirement(&panel.rules, panel.path_reading, method, path);
    let asked = ask(target.method(), target.path());
    let Some(destination) = target.destination() else {
        return Ok(asked);
    };
    let asks_here = |host: &Host| {
        let here = target.host();
        host.canonical() == here.canonical() && host.port() == here.port()
    };
    if !destination.host.as_ref().is_none_or(asks_here) || destination.path.resembles(PORTAL) {
        return Err(destination_field::elsewhere());
    }
    let moved = ask(target.method(), &destination.path);
    Ok(asked.and(moved).and(ask(&Method::PUT, &destination.path)))
}

/// The portal's own paths have one spelling.
fn is_plainly_portal(path: &Path) -> bool {
    path.is_canonical() && path::lies_below(path.as_str(), PORTAL, false)
}

/// A sign-out needs no known session: the browser's cookie is deleted in any case.
fn signs_out(target: &Target) -> bool {
    const FORMS: [&str; 2] = ["/.portcullis/logout", "/.portcullis/account/logout-all"];
    *target.method() == Method::POST
        && target.path().is_canonical()
        && FORMS.contains(&target.path().as_str())
}

/// The files of the portal's pages, which refusals show on every host.
fn is_file(path: &Path) -> bool {
    path.is_canonical() && path::lies_below(path.as_str(), "/.portcullis/assets", false)
}

/// A browser sends the cookie also with a WebSocket handshake that another site asked for, and no
/// CORS stands in the way; so the page that asks must be of this very site (CVE-2023-0957), port included.
fn check_origin(target: &Target, headers: &HeaderMap) -> Result<(), Problem> {
    let own = |origin: &str| site::is_of_host(origin, target.host().written());
    if site::stated(headers, own) == Stated::Here {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "not from this site")
        .detail("a WebSocket is opened only for a page of this host, and its Origin must say so"))
}

/// Nobody can tell whether the session that was shown is alive.
pub fn untold() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "sessions can't be checked")
        .detail(
            "the gateway has lost touch with its store, and can't tell whether your session is still \
             good; it goes on by itself as soon as the store is back, so try again in a few seconds",
        )
        .header(RETRY_AFTER, HeaderValue::from_static("2"))
}

/// The rules have changed since the request was let pass.
pub fn not_allowed_now() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not allowed").detail(
        "the gateway's rules have changed while this was under way, and no longer allow it; what the \
         panel had begun to do may be done",
    )
}

fn no_such_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no such page")
        .detail("the gateway has no page of this name")
}

fn not_for_this_role() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not allowed")
        .detail("your role may not do this here; ask an administrator if you should")
}

#[cfg(test)]
mod tests;
