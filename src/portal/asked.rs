//! What a handler is handed: who asks, and for a POST a form that this site sent.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts};
use http::Method;
use http::request::Parts;
use http::uri::PathAndQuery;

use super::csrf::{self, Binding, FormKey};
use super::form::Form;
use super::refusal::{Refusal, SIGN_IN_NEEDED, unauthorized};
use super::{Desk, step, users};
use crate::gate::{Destination, Target, Visit};
use crate::login::{Half, Origin, ShownDevice};
use crate::model::Role;
use crate::secret::Secret;
use crate::session::{Session, device_name};
use crate::wire::cookie::{self, Found};
use crate::wire::{NextPath, Request};

/// A request to a page.
pub(super) struct Asked {
    pub(super) visit: Visit,
    pub(super) parts: Parts,
}

/// A form that was posted by a page of this site. Whose it is, the handler checks: it knows what the
/// form is bound to.
pub(super) struct Posted {
    pub(super) asked: Asked,
    pub(super) form: Form,
}

impl FromRequestParts<Arc<Desk>> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Desk>) -> Result<Self, Refusal> {
        let visit = parts.extensions.remove::<Visit>();
        Ok(Self {
            // The portal put it there; without it nobody is signed in.
            visit: visit.ok_or_else(|| unauthorized(SIGN_IN_NEEDED, "nobody was recognised"))?,
            parts: parts.clone(),
        })
    }
}

impl FromRequest<Arc<Desk>> for Posted {
    type Rejection = Refusal;

    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        csrf::check_site(&parts, &desk.origin)?;
        let asked = Asked::from_request_parts(&mut parts, desk).await?;
        let form = Form::read(&parts.headers, body).await?;
        Ok(Self { asked, form })
    }
}

impl Asked {
    /// A value of the query; what can't be read is not there.
    pub(super) fn query(&self, name: &'static str) -> Option<String> {
        let form = Form::parse(self.parts.uri.query()?).ok()?;
        let value = form.optional(name).ok()??;
        Some(value.expose().clone())
    }

    /// Where the person wanted to go.
    pub(super) fn next(&self) -> NextPath {
        let next = self.query("next");
        next.and_then(|text| NextPath::parse(&text))
            .unwrap_or_else(NextPath::home)
    }

    /// The sign-in that is under way in this browser.
    pub(super) fn sign_in_cookie(&self) -> Option<&str> {
        match cookie::find(&self.parts.headers, cookie::SIGN_IN) {
            Found::One(value) => Some(value),
            Found::None | Found::Conflict => None,
        }
    }

    /// The live session; a person without one goes to sign in, and then back to this page.
    ///
    /// It is looked up once more: between head and body of a form it may have been ended.
    pub(super) fn session(&self, desk: &Desk) -> Result<Arc<Session>, Refusal> {
        let now = desk.clock.now();
        let shown = self.visit.session.as_ref().map(|shown| shown.token_hash());
        shown
            .and_then(|shown| desk.sessions.find(&shown, now).ok())
            .ok_or_else(|| self.sign_in_first())
    }

    /// Whoever asks is not signed in; a person goes to do that, and comes back to this page, or to the one
    /// from which a form was sent.
    pub(super) fn sign_in_first(&self) -> Refusal {
        let problem = unauthorized(SIGN_IN_NEEDED, "this request shows no live session");
        let is_read = [Method::GET, Method::HEAD].contains(&self.parts.method);
        let path = self.parts.uri.path();
        let whole = self.parts.uri.path_and_query().map(PathAndQuery::as_str);
        let whole = whole.filter(|_| is_read).and_then(NextPath::parse);
        let ends = path
            .char_indices()
            .rev()
            .filter(|(_, symbol)| *symbol == '/');
        let mut above = ends.filter_map(|(at, _)| NextPath::parse(path.get(..at)?));
        let next = whole
            .or_else(|| above.next())
            .unwrap_or_else(NextPath::home);
        Refusal::elsewhere(problem, step::to_login(&next, None))
    }

    /// Whether a person with this session goes straight on to `next`, and is not asked to sign in.
    pub(super) fn goes_straight_on(&self, desk: &Desk, next: &NextPath, session: &Session) -> bool {
        let now = desk.clock.now();
        let config = desk.config.now();
        let administration = &config.gateway.administration;
        let needs_fresh = users::is_of_administrators(next.path())
            && session.user().role == Role::Administrator
            && !administration.is_recent(session.created(), now);
        !needs_fresh && !self.destination(desk).asks_again(next, session, now)
    }

    /// Where whoever asks is going.
    pub(super) fn destination(&self, desk: &Desk) -> Destination {
        Destination::of(&desk.config.now(), &self.parts)
    }

    /// From where somebody signs in.
    pub(super) fn origin(&self) -> Origin {
        let agent = self.parts.headers.get(http::header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        Origin {
            address: self.visit.client,
            device: device_name(agent.unwrap_or_default()),
            replaces: self.visit.session.as_ref().map(|old| old.token_hash()),
            half: self.sign_in_cookie().map(Half::shown),
            shown: self.shown_device(),
        }
    }

    fn shown_device(&self) -> ShownDevice {
        let host = Target::read(&self.parts).map(|target| target.host().canonical().to_owned());
        ShownDevice {
            cookie: match cookie::find(&self.parts.headers, cookie::DEVICE) {
                Found::One(value) => Some(Secret::new(value.to_owned())),
                Found::None | Found::Conflict => None,
            },
            host: host.unwrap_or_default(),
        }
    }
}

impl Posted {
    /// Whether the form belongs to what the browser holds.
    ///
    /// # Errors
    /// 400 for a field that is there twice.
    pub(super) fn fits(&self, key: &FormKey, binding: Binding<'_>) -> Result<bool, Refusal> {
        let field = self.form.optional("csrf")?;
        Ok(field.is_some_and(|field| key.fits(binding, field.expose())))
    }

    /// Where the person wanted to go, from the form.
    pub(super) fn next(&self) -> Result<NextPath, Refusal> {
        let next = self.form.optional("next")?;
        // A form that has none was sent to an address that has it.
        let Some(next) = next else {
            return Ok(self.asked.next());
        };
        Ok(NextPath::parse(next.expose()).unwrap_or_else(NextPath::home))
    }
}
