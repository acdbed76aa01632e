//! A person at the portal: keeps cookies, and posts the forms that are shown.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::arena::Arena;
use crate::http1::{Answer, Client};

pub(crate) const SESSION: &str = "__Host-portcullis";
pub(crate) const LOGIN: &str = "/.portcullis/login";

/// A browser with its cookies.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) jar: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(&mut self, arena: &Arena, path: &str) -> Answer {
        self.send(arena, "GET", path, "").await
    }

    /// Fetches the page at `path`, fills its form in and posts it to `action`.
    pub(crate) async fn submit(
        &mut self,
        arena: &Arena,
        path: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let page = self.get(arena, path).await;
        let csrf = between(&page.text(), "name=\"csrf\" value=\"", "\"");
        let mut form = format!("csrf={csrf}");
        for (name, value) in fields {
            form.push_str(&format!(
                "&{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            ));
        }
        self.send(arena, "POST", action, &form).await
    }

    /// Sets the first password through a set-up link.
    pub(crate) async fn set_up(&mut self, arena: &Arena, link: &str, password: &str) -> Answer {
        let twice = [("password", password), ("password_again", password)];
        self.submit(arena, link, link, &twice).await
    }

    /// Signs in with a password.
    pub(crate) async fn log_in(&mut self, arena: &Arena, name: &str, password: &str) -> Answer {
        let fields = [("user", name), ("password", password), ("next", "/")];
        self.submit(arena, LOGIN, LOGIN, &fields).await
    }

    pub(crate) fn session(&self) -> String {
        self.jar.get(SESSION).cloned().unwrap_or_default()
    }

    async fn send(&mut self, arena: &Arena, method: &str, path: &str, form: &str) -> Answer {
        let cookies: Vec<String> = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            arena.host(),
            cookies.join("; "),
            form.len()
        );
        let mut client = Client::connect(arena).await;
        client.send(request.as_bytes()).await;
        let answer = client.answer_to(method).await.unwrap();
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (pair, attributes) = line.split_once("; ").unwrap();
            // What a browser asks of a `__Host-` name, or it ignores the line (CVE-2025-55162).
            assert!(
                attributes.contains("Secure") && attributes.contains("Path=/"),
                "{line}"
            );
            assert!(!attributes.contains("Domain"), "{line}");
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// The text between two others.
pub(crate) fn between(text: &str, before: &str, after: &str) -> String {
    let rest = text.split(before).nth(1).unwrap_or_default();
    rest.split(after).next().unwrap_or_default().to_owned()
}
