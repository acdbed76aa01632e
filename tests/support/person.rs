//! A person with a browser: cookies kept, forms read and sent, codes made by an app.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::app::App;
use super::gateway::Gateway;
use super::http1::{Answer, Wire, tls};
use super::http2::Http2;
use super::websocket::WebSocket;
use super::{SOON, secrets};

pub const PASSWORD: &str = "plum tractor elbow";

/// Somebody at a browser.
pub struct Person {
    pub name: String,
    pub password: String,
    port: u16,
    /// The port that the browser believes to talk to.
    external_port: u16,
    app: App,
    pub recovery_codes: Vec<String>,
    pub cookies: BTreeMap<String, String>,
}

impl Gateway {
    /// A user who has set up a password and an app, and is signed in.
    pub async fn person(&self, name: &str, role: &str) -> Person {
        let added = self.operator(&["user", "add", name, "--role", role]);
        let mut person = Person {
            name: name.to_owned(),
            password: PASSWORD.to_owned(),
            port: self.port,
            external_port: self.external_port,
            app: App::default(),
            recovery_codes: Vec::new(),
            cookies: BTreeMap::new(),
        };
        let url = added["setup_url"].as_str().unwrap();
        person
            .set_up(&url[url.find("/.portcullis").unwrap()..])
            .await;
        person
    }
}

impl Person {
    /// The same person at another device, not signed in.
    pub fn elsewhere(&self) -> Self {
        Self {
            name: self.name.clone(),
            password: self.password.clone(),
            port: self.port,
            external_port: self.external_port,
            app: self.app.clone(),
            recovery_codes: self.recovery_codes.clone(),
            cookies: BTreeMap::new(),
        }
    }

    /// Goes on with the same browser through this gateway, as a load balancer may send it anywhere.
    pub fn through(&mut self, gateway: &Gateway) -> &mut Self {
        self.port = gateway.port;
        self
    }

    /// From the set-up link to the first session.
    pub async fn set_up(&mut self, link: &str) {
        let password = self.password.clone();
        secrets::keep(&password);
        if let Some((_, token)) = link.split_once("token=") {
            secrets::keep(token);
        }
        let fields = [
            ("password", password.as_str()),
            ("password_again", &password),
        ];
        let opened = self.get(link).await;
        assert_eq!(opened.status, 303, "{}", opened.text());
        let page = opened.header("location").unwrap().to_owned();
        assert!(!page.contains("token"), "{page}");
        let answer = self.submit(&page, &page, &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let enrol = answer.header("location").unwrap().to_owned();
        assert!(enrol.starts_with("/.portcullis/enrol"), "{enrol}");
        let code = self.takes_the_secret(&enrol).await;
        let done = self.submit(&enrol, &enrol, &[("code", &code)]).await;
        assert_eq!(done.status, 200, "{}", done.text());
        self.recovery_codes = done
            .text()
            .split("class=\"recovery-code\"")
            .skip(1)
            .map(|rest| between(rest, ">", "<").to_owned())
            .collect();
        assert_eq!(self.recovery_codes.len(), 10);
        self.recovery_codes
            .iter()
            .for_each(|code| secrets::keep(code));
        assert!(self.is_signed_in());
    }

    /// Gives an app the secret of a page; its first code.
    pub async fn takes_the_secret(&mut self, enrol: &str) -> String {
        let page = self.get(enrol).await.text();
        let secret = between(&page, "id=\"totp-secret\"", "<");
        self.app = App::with(secret.split('>').nth(1).unwrap());
        self.next_code()
    }

    /// With the password and a recovery code, which needs no waiting for the next half minute.
    pub async fn sign_in(&mut self) {
        let code = self
            .recovery_codes
            .pop()
            .expect("a recovery code that is left");
        let answer = self.sign_in_with(&code).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert!(self.is_signed_in());
    }

    /// With the password and this code; the last answer.
    pub async fn sign_in_with(&mut self, code: &str) -> Answer {
        let answer = self.give_password().await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let step = answer.header("location").unwrap().to_owned();
        self.submit(&step, &step, &[("code", code)]).await
    }

    /// Waits until `/fresh/` of [`super::gateway::RULES`] asks for a fresh sign-in, and gives it: the
    /// session gets a new token.
    pub async fn step_up(&mut self) {
        let fresh = "/fresh/x";
        let begun = Instant::now();
        let login = loop {
            let answer = self.get(fresh).await;
            if answer.status == 303 {
                break answer.header("location").unwrap().to_owned();
            }
            assert!(begun.elapsed() < SOON, "it never asks");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let (name, password) = (self.name.clone(), self.password.clone());
        let fields = [("user", name.as_str()), ("password", &password)];
        let answer = self.submit(&login, "/.portcullis/login", &fields).await;
        let step = answer.header("location").unwrap().to_owned();
        let code = self.recovery_codes.pop().unwrap();
        let answer = self.submit(&step, &step, &[("code", &code)]).await;
        assert_eq!(answer.header("location"), Some(fresh), "{}", answer.text());
    }

    /// The first step only.
    pub async fn give_password(&mut self) -> Answer {
        let (name, password) = (self.name.clone(), self.password.clone());
        secrets::keep(&password);
        let fields = [("user", name.as_str()), ("password", password.as_str())];
        let login = "/.portcullis/login";
        self.submit(login, login, &fields).await
    }

    /// A code that was not used yet, see [`App::next_code`].
    pub fn next_code(&mut self) -> String {
        self.app.next_code()
    }

    pub fn is_signed_in(&self) -> bool {
        self.cookies.contains_key("__Host-Http-portcullis")
    }

    /// The `Cookie` field.
    pub fn cookie(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("Cookie: {}", pairs.join("; "))
    }

    /// The session's token.
    pub fn token(&self) -> &str {
        &self.cookies["__Host-Http-portcullis"]
    }

    /// A navigation.
    pub async fn get(&mut self, target: &str) -> Answer {
        self.send("GET", target, &[], b"").await
    }

    /// Fetches the page with the form, fills it in with its hidden fields, and posts it.
    pub async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Answer {
        let form = self.get(page).await;
        assert_eq!(form.status, 200, "{page}: {}", form.text());
        let csrf = csrf_of(&form.text());
        let next = hidden(&form.text(), "next");
        let mut all = vec![("csrf", csrf.as_str())];
        if let Some(next) = &next {
            all.push(("next", next));
        }
        all.extend_from_slice(fields);
        self.post(action, &all).await
    }

    /// Posts a form as it is.
    pub async fn post(&mut self, action: &str, fields: &[(&str, &str)]) -> Answer {
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let origin = format!("Origin: https://localhost:{}", self.external_port);
        let form = [
            "Content-Type: application/x-www-form-urlencoded",
            &origin,
            "Sec-Fetch-Site: same-origin",
        ];
        self.send("POST", action, &form, body.join("&").as_bytes())
            .await
    }

    /// A request as a browser's navigation sends it.
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        fields: &[&str],
        body: &[u8],
    ) -> Answer {
        let host = format!("Host: localhost:{}", self.external_port);
        let cookie = self.cookie();
        let mut all = vec![
            host.as_str(),
            "Accept: text/html,application/xhtml+xml;q=0.9",
            "Sec-Fetch-Dest: document",
            "Sec-Fetch-Mode: navigate",
        ];
        if !self.cookies.is_empty() {
            all.push(&cookie);
        }
        all.extend_from_slice(fields);
        let answer = Wire::connect(self.port)
            .await
            .request(method, target, &all, body)
            .await;
        self.keep_cookies(&answer);
        answer
    }

    /// What the browser calls the gateway.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.external_port)
    }

    /// A connection for whatever the test does with it.
    pub async fn connect(&self) -> Wire {
        Wire::connect(self.port).await
    }

    pub async fn connect_http2(&self) -> Http2 {
        Http2::connect(self.port).await
    }

    /// An open WebSocket to the panel.
    pub async fn websocket(&self) -> WebSocket {
        let cookie = self.cookie();
        let fields = ["Origin: https://localhost", cookie.as_str()];
        let opened = WebSocket::open(self.connect().await, "/ws", &fields);
        let mut socket = opened.await.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        socket.check_echo().await;
        socket
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                if name.starts_with("__Host-Http-portcullis") {
                    secrets::keep(value);
                }
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// A session with [`PASSWORD`] alone, where no second factor is asked for: its token. `None` when the
/// gateway goes away meanwhile.
pub async fn with_the_password_alone(port: u16, name: &str) -> Option<String> {
    secrets::keep(PASSWORD);
    let answer = give_password(port, name, PASSWORD).await?;
    assert_eq!(answer.status, 303, "{}", answer.text());
    session_in(&answer)
}

/// What anybody is answered who gives a password, over a connection of its own. `None` when that ends
/// before the answer.
pub async fn give_password(port: u16, name: &str, password: &str) -> Option<Answer> {
    const LOGIN: &str = "/.portcullis/login";
    let page = ["Accept: text/html"];
    let mut wire = Wire::over(tls(port, &[b"http/1.1"]).await.ok()?);
    let login = wire.try_request("GET", LOGIN, &page, b"").await?;
    let cookie = format!("Cookie: {}", login.header("set-cookie")?.split(';').next()?);
    let (csrf, password) = (csrf_of(&login.text()), encoded(password));
    let body = format!("csrf={csrf}&user={name}&password={password}");
    let form = "Content-Type: application/x-www-form-urlencoded";
    let fields = [cookie.as_str(), "Accept: text/html", form];
    wire.try_request("POST", LOGIN, &fields, body.as_bytes())
        .await
}

/// The token of the session that an answer begins.
pub fn session_in(answer: &Answer) -> Option<String> {
    let all = answer.all("set-cookie");
    let mut sessions = all
        .iter()
        .filter_map(|set| set.strip_prefix("__Host-Http-portcullis="));
    let token = sessions.next()?.split(';').next()?;
    secrets::keep(token);
    (!token.is_empty()).then(|| token.to_owned())
}

/// The hidden field of the first form of a page.
pub fn csrf_of(page: &str) -> String {
    hidden(page, "csrf").unwrap_or_else(|| panic!("no csrf field in {page}"))
}

fn hidden(page: &str, name: &str) -> Option<String> {
    let mark = format!("name=\"{name}\"");
    let tag = page.split("<input").find(|tag| tag.contains(&mark))?;
    Some(between(tag, "value=\"", "\"").replace("&amp;", "&"))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = &text[text
        .find(start)
        .unwrap_or_else(|| panic!("no {start} in {text}"))
        + start.len()..];
    &rest[..rest.find(end).unwrap()]
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
