//! Somebody at the admin: a gateway before Django, and a browser that is signed in to the gateway.

use super::server::{PASSWORD, Panel, USER};
use crate::form::{BOUNDARY, Form};
use crate::support::gateway::Gateway;
use crate::support::http1::Answer;
use crate::support::person::Person;

const RULES: &str = r#"
  [[panel.rule]]
  path  = "/static/"
  allow = "anyone"
"#;

pub(crate) const ADD_DOCUMENT: &str = "/admin/shelf/document/add/";

pub(crate) struct Admin {
    pub(crate) panel: Panel,
    pub(crate) gateway: Gateway,
    pub(crate) person: Person,
}

impl Admin {
    pub(crate) async fn new() -> Self {
        let panel = Panel::start().await;
        let gateway = Gateway::at(&panel.upstream(), "", RULES).await;
        let person = gateway.person("ada", "operator").await;
        Self {
            panel,
            gateway,
            person,
        }
    }

    /// To Django; the gateway knows the person already.
    pub(crate) async fn sign_in(&mut self) {
        let login = "/admin/login/?next=/admin/";
        let page = self.get(login).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let mut form = Form::read(&page.text(), "id=\"login-form\"");
        form.set("username", USER);
        form.set("password", PASSWORD);
        let answer = self.post(login, &form).await;
        assert_eq!(answer.status, 302, "{}", answer.text());
        assert_eq!(self.location(&answer), "/admin/");
        let page = self.get("/admin/").await;
        assert_eq!(page.status, 200);
        assert!(page.text().contains("Site administration"));
    }

    pub(crate) async fn get(&mut self, target: &str) -> Answer {
        self.person.get(target).await
    }

    /// As a browser sends the form of this page.
    pub(crate) async fn post(&mut self, target: &str, form: &Form) -> Answer {
        let [origin, referer] = self.whence(target);
        let fields = [
            "Content-Type: application/x-www-form-urlencoded",
            &origin,
            &referer,
        ];
        let body = form.encoded();
        self.person
            .send("POST", target, &fields, body.as_bytes())
            .await
    }

    /// The form for a new document, filled in but for the file.
    pub(crate) async fn document(&mut self, title: &str) -> Form {
        let page = self.get(ADD_DOCUMENT).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let mut form = Form::read(&page.text(), "id=\"document_form\"");
        form.set("title", title);
        form
    }

    pub(crate) async fn post_with_file(&mut self, form: &Form, name: &str, file: &[u8]) -> Answer {
        let [origin, referer] = self.whence(ADD_DOCUMENT);
        let kind = format!("Content-Type: multipart/form-data; boundary={BOUNDARY}");
        let body = form.multipart(name, file);
        self.person
            .send("POST", ADD_DOCUMENT, &[&kind, &origin, &referer], &body)
            .await
    }

    /// The fields that tell Django that the form is from its own page.
    pub(crate) fn whence(&self, page: &str) -> [String; 2] {
        let site = format!("https://localhost:{}", self.gateway.port);
        [format!("Origin: {site}"), format!("Referer: {site}{page}")]
    }

    /// Where an answer leads: on the gateway's host, over TLS.
    pub(crate) fn location(&self, answer: &Answer) -> String {
        let location = answer
            .header("location")
            .unwrap_or_else(|| panic!("no redirect: {answer:?}"));
        let site = format!("https://localhost:{}", self.gateway.port);
        let target = location.strip_prefix(&site).unwrap_or(location);
        let is_here = target.starts_with('/') && !target.starts_with("//");
        assert!(is_here, "leads elsewhere: {location}");
        target.to_owned()
    }

    /// Django was told where people are, and never saw what is between them and the gateway.
    pub(crate) fn saw_only_its_own(&self) {
        let requests = self.panel.requests();
        assert!(!requests.is_empty());
        let site = format!("localhost:{}", self.gateway.port);
        let token = self.person.token();
        for request in requests {
            let text = request.to_string();
            assert!(!text.contains("__Host-Http-portcullis"), "{text}");
            assert!(!text.contains(token), "{text}");
            assert!(!request["path"].as_str().unwrap().contains(".portcullis"));
            let fields = &request["fields"];
            assert_eq!(fields["X-Forwarded-Proto"], "https");
            let host = fields["Host"].as_str().unwrap();
            assert!([site.as_str(), "localhost"].contains(&host), "{text}");
        }
    }
}
