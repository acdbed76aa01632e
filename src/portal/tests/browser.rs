//! A house with one portal, and browsers that keep cookies and post the forms that they were shown.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE, USER_AGENT};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use totp_rs::{Builder, Secret as AppSecret};

use super::super::Portal;
use crate::clock::{Clock, Hand, Timestamp};
use crate::cluster::Cluster;
use crate::config::{Config, Live};
use crate::credentials::password::Passwords;
use crate::gate::{SessionCookie, Visit};
use crate::login::Login;
use crate::model::{Actor, ClientAddress, Role, TokenHash, User, UserName};
use crate::revoke::Revoker;
use crate::session::{Session, Sessions, Token, WhyEnded};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::users::Users;
use crate::wire::{Body, cookie};

pub(super) const PASSWORD: &str = "plum tractor elbow";
const SITE: &str = "https://gate.example:8443";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

pub(super) struct House {
    _folder: tempfile::TempDir,
    portal: Portal,
    pub(super) users: Users,
    pub(super) sessions: Sessions,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) hand: Hand,
}

pub(super) struct Browser<'a> {
    house: &'a House,
    pub(super) jar: BTreeMap<String, String>,
    /// Further header fields of every request.
    pub(super) fields: Vec<(&'static str, &'static str)>,
    pub(super) accept: &'static str,
    /// From where it asks.
    pub(super) client: &'static str,
}

/// An answer as it arrived.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl House {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// With more lines in the gateway's own section.
    pub(super) async fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let text = format!(
            "[gateway]\nexternal_url = \"{SITE}\"\n{lines}[second_factor]\nrequired = [\"administrator\"]\n\
             [[panel]]\nname = \"wiki\"\nupstream = \"http://127.0.0.1:1\"\n\
             [[panel.rule]]\npath = \"/fresh/\"\nallow = [\"operator\", \"administrator\"]\n\
             reauthenticate = \"5m\""
        );
        let config = Live::new(Config::parse(&text, Path::new("test.toml")).unwrap());
        let store = Store::open(folder.path(), clock.clone()).await.unwrap();
        let sessions = Sessions::new(config.now().session, clock.clone());
        let revoker = Revoker::new(
            store.clone(),
            sessions.clone(),
            Cluster::alone(),
            Shutdown::new(),
        );
        let passwords = Passwords::with_costs(64, 1).unwrap();
        let login = Login::new(
            store.clone(),
            sessions.clone(),
            Cluster::alone(),
            passwords.clone(),
            config.clone(),
            clock.clone(),
        );
        let users = Users::new(
            store.clone(),
            revoker.clone(),
            login.clone(),
            passwords,
            config.clone(),
            clock.clone(),
        );
        let portal = Portal::new(
            crate::portal::Verbs {
                cluster: Cluster::alone(),
                login,
                users: users.clone(),
                revoker,
                sessions: sessions.clone(),
                why_ended: WhyEnded::new(store.clone(), sessions.clone()),
            },
            store.form_key(),
            config,
            clock.clone(),
            Metrics::default(),
        );
        Self {
            _folder: folder,
            portal,
            users,
            sessions,
            store,
            clock,
            hand,
        }
    }

    pub(super) fn browser(&self) -> Browser<'_> {
        Browser {
            house: self,
            jar: BTreeMap::new(),
            fields: Vec::new(),
            accept: "text/html",
            client: "192.0.2.7",
        }
    }

    /// A new user, and the path of the link.
    pub(super) async fn invite(&self, name: &str, role: Role) -> String {
        let name = UserName::parse(name).unwrap();
        let email = Some("<b>@example.org".to_owned());
        let added = self
            .users
            .add(name, role, email, Actor::Operator { uid: 0 })
            .await;
        format!(
            "/.portcullis/setup?token={}",
            added.unwrap().1.token.expose()
        )
    }

    pub(super) async fn user(&self, name: &str) -> User {
        let name = UserName::parse(name).unwrap();
        self.store.user(&name).await.unwrap().unwrap()
    }

    pub(super) async fn sessions_of(&self, name: &str) -> Vec<Arc<Session>> {
        self.sessions.of(self.user(name).await.id)
    }

    /// An operator, who needs no second factor, signed in.
    pub(super) async fn signed_in(&self, name: &str) -> Browser<'_> {
        let link = self.invite(name, Role::Operator).await;
        let mut browser = self.browser();
        let page = browser.get(&link).await;
        let seen = browser.submit(&page, &link, &twice(PASSWORD)).await;
        assert_eq!((seen.status, seen.location()), (303, "/"), "{seen:?}");
        browser
    }

    /// The next code of an app, which has not been used.
    pub(super) fn code(&self, app: &str) -> String {
        self.hand.advance(Duration::from_secs(30));
        let totp = Builder::new()
            .with_secret(AppSecret::try_from_base32(app).unwrap())
            .with_account_name("ada")
            .build()
            .unwrap();
        totp.generate(self.clock.wall().unix_seconds()).to_string()
    }
}

impl Browser<'_> {
    /// Whether it shows this session.
    pub(super) fn shows(&self, token: TokenHash) -> bool {
        let shown = self.jar.get(cookie::SESSION);
        shown.and_then(|value| Token::hash_of(value)) == Some(token)
    }

    pub(super) async fn get(&mut self, path: &str) -> Seen {
        let seen = self.send(Method::GET, path, None).await;
        if path.contains("/setup?token=") && seen.status == 303 {
            // The link's address is left at once.
            return self.send(Method::GET, seen.location(), None).await;
        }
        seen
    }

    /// Posts the form of a page.
    pub(super) async fn submit(
        &mut self,
        page: &Seen,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Seen {
        let mut fields = fields.to_vec();
        fields.push(("csrf", page.csrf()));
        self.post(path, &fields).await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                format!("{name}={value}")
            })
            .collect();
        self.send(Method::POST, path, Some(pairs.join("&"))).await
    }

    pub(super) async fn send(&mut self, method: Method, path: &str, form: Option<String>) -> Seen {
        let line: Vec<String> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "gate.example:8443")
            .header(USER_AGENT, FIREFOX)
            .header(ACCEPT, self.accept)
            .header(COOKIE, line.join("; "));
        let is_file = path.starts_with("/.portcullis/assets/");
        for (name, value) in [
            ("sec-fetch-dest", if is_file { "style" } else { "document" }),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "same-origin"),
        ] {
            if !self.fields.iter().any(|(known, _)| *known == name) {
                request = request.header(name, value);
            }
        }
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        for &(name, value) in &self.fields {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(form.unwrap_or_default())).unwrap();
        let response = self.house.portal.answer(self.visit(), request).await;
        let (parts, body) = response.into_parts();
        self.keep_cookies(&parts.headers);
        let body = body.collect().await.unwrap().to_bytes();
        Seen {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// What the gate would find out.
    fn visit(&self) -> Visit {
        let shown = self.jar.get(cookie::SESSION);
        let token = shown.and_then(|value| Token::hash_of(value));
        let session =
            token.and_then(|hash| self.house.sessions.find(&hash, self.house.clock.now()).ok());
        Visit {
            client: ClientAddress::Known(self.client.parse().unwrap()),
            untold: None,
            cookie: match (token, &session) {
                (None, _) => SessionCookie::Missing,
                (Some(_), Some(_)) => SessionCookie::Live,
                (Some(token), None) => SessionCookie::Ended(token),
            },
            session,
        }
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let attributes = "; HttpOnly; SameSite=Lax; Secure; Path=/";
            let (pair, rest) = line.split_once("; ").unwrap();
            assert!(line.contains(attributes), "{line}");
            let (name, value) = pair.split_once('=').unwrap();
            if rest.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Seen {
    pub(super) fn location(&self) -> &str {
        self.headers
            .get(LOCATION)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn csrf(&self) -> &str {
        self.between("name=\"csrf\" value=\"", "\"")
    }

    /// The text between two others, empty if they are not there.
    pub(super) fn between(&self, before: &str, after: &str) -> &str {
        let rest = self.body.split(before).nth(1).unwrap_or_default();
        rest.split(after).next().unwrap_or_default()
    }
}

pub(super) fn twice(password: &str) -> [(&'static str, &str); 2] {
    [("password", password), ("password_again", password)]
}
