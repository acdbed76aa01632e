//! Pages for people, under `/.portcullis/`.
//!
//! [`Portal::answer`] takes what the gate found out about the visitor and the request, and answers
//! with a page, a redirect or a refusal. All pages work without scripts. What is done here is done by
//! the verbs of `login`, `users` and `revoke`; the portal reads forms, keeps the cookies and draws.

mod account;
mod asked;
mod assets;
mod audit;
mod csrf;
mod done;
mod enrol;
mod form;
mod login;
mod logout;
mod navigation;
mod page;
mod refusal;
mod second_factor;
mod setup;
mod step;
mod user;
mod users;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::Method;
use tower_service::Service;

use self::csrf::FormKey;
use self::refusal::Refusal;
pub use self::refusal::{error_page, error_page_alone, out_of_frame};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Live;
use crate::gate::Visit;
use crate::login::{Login, WrongSecrets};
use crate::model::UserId;
use crate::revoke::Revoker;
use crate::session::{Session, Sessions, WhyEnded};
use crate::telemetry::Metrics;
use crate::users::Users;
use crate::wire::{Body, Problem, Request, Response, negotiate};

/// The gateway's own pages. Cheap to clone.
#[derive(Clone)]
pub struct Portal {
    router: Router,
    why_ended: WhyEnded,
    config: Live,
}

/// What is done behind the pages.
pub struct Verbs {
    pub login: Login,
    pub users: Users,
    pub revoker: Revoker,
    pub sessions: Sessions,
    pub cluster: Cluster,
    pub why_ended: WhyEnded,
}

/// What the pages work with.
struct Desk {
    login: Login,
    users: Users,
    revoker: Revoker,
    sessions: Sessions,
    cluster: Cluster,
    why_ended: WhyEnded,
    form_key: FormKey,
    config: Live,
    clock: Clock,
    metrics: Metrics,
    wrong_links: WrongSecrets,
    /// The scheme, host and port that people type.
    origin: String,
}

impl Portal {
    /// Pages over these verbs. `form_key` comes from the store, so that a form outlives a restart.
    pub fn new(
        verbs: Verbs,
        form_key: [u8; 32],
        config: Live,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let Verbs {
            login,
            users,
            revoker,
            sessions,
            cluster,
            why_ended,
        } = verbs;
        let desk = Desk {
            login,
            users,
            revoker,
            sessions,
            cluster,
            why_ended: why_ended.clone(),
            form_key: FormKey::new(form_key),
            origin: config.now().gateway.portal_url().to_string(),
            config: config.clone(),
            clock,
            metrics,
            wrong_links: WrongSecrets::default(),
        };
        Self {
            router: routes(Arc::new(desk)),
            why_ended,
            config,
        }
    }

    /// Answers one request to a path of the portal.
    pub async fn answer(&self, visit: Visit, mut request: Request) -> Response {
        let method = request.method().clone();
        let wants_page = negotiate::wants_page(&method, request.headers());
        match self.file_or_page(&request) {
            Ok(Some(file)) => return bodiless_for_head(&method, file),
            Ok(None) => {}
            Err(problem) => {
                let refused = Refusal::from(problem).into_response();
                return bodiless_for_head(&method, refusal::finish(refused, wants_page));
            }
        }
        let ended = visit.ended_token();
        request.extensions_mut().insert(visit);
        let mut response = match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        // A person is told by the login page.
        if let (Some(token), false) = (ended, wants_page)
            && refusal::asks_to_sign_in(&response)
            && let Some(ended) = self.why_ended.of(&token).await
        {
            refusal::tell_why_ended(&mut response, ended);
        }
        let response = refusal::finish(response, wants_page);
        bodiless_for_head(&method, response)
    }

    /// The file that is asked for, if it is one; else a page, and a person is to open it.
    fn file_or_page(&self, request: &Request) -> Result<Option<Response>, Problem> {
        let old_browsers = self.config.now().gateway.old_browsers;
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let Some(file) = assets::find(request.uri().path()).filter(|_| is_read) else {
            return navigation::check_page(request.headers(), old_browsers).map(|()| None);
        };
        navigation::check_file(request.headers(), file.destination, old_browsers)?;
        Ok(Some(file.answer()))
    }
}

impl Desk {
    /// The live sessions of a user, on whichever node they were begun; the newest first.
    async fn sessions_of(&self, user: UserId) -> Result<Vec<Arc<Session>>, Problem> {
        let brought = self.cluster.bring_user(user).await;
        brought.map_err(|cause| refusal::failed("listing sessions", &cause))?;
        Ok(self.sessions.of(user))
    }
}

fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/", get(account::at_home))
        .route("/.portcullis/setup", get(setup::show).post(setup::post))
        .route("/.portcullis/login", get(login::show).post(login::post))
        .route(
            "/.portcullis/second-factor",
            get(second_factor::show).post(second_factor::post),
        )
        .route("/.portcullis/enrol", get(enrol::show).post(enrol::post))
        .route("/.portcullis/logout", post(logout::post))
        .route("/.portcullis/account", get(account::show))
        .route(
            "/.portcullis/account/password",
            post(account::change_password),
        )
        .route(
            "/.portcullis/account/logout-all",
            post(account::log_out_everywhere),
        )
        .route(
            "/.portcullis/account/sessions/{id}/end",
            post(account::end_session),
        )
        .route("/.portcullis/users", get(users::show).post(users::add))
        .route("/.portcullis/users/{user}", get(user::show))
        .route("/.portcullis/users/{user}/{act}", post(user::act))
        .route("/.portcullis/audit", get(audit::show))
        .fallback(refusal::no_such_page)
        .method_not_allowed_fallback(refusal::wrong_method)
        .with_state(desk)
}

/// RFC 9110 §9.3.2: the head of an answer to HEAD is that of GET, and there is no body.
fn bodiless_for_head(method: &Method, response: Response) -> Response {
    if method == Method::HEAD {
        response.map(|_| Body::empty())
    } else {
        response
    }
}

#[cfg(test)]
mod tests;
