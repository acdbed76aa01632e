//! `portcullis user show, disable, enable, remove, reset-second-factor`: what takes one name.

use anyhow::Context;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::ended;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Done;
use crate::cli::output::{number, text, words};
use crate::cli::settings::Settings;
use crate::cli::{Form, output};
use crate::model::UserName;

#[derive(Debug, Args)]
pub(in crate::cli) struct Account {
    /// Whose account it is
    #[arg(value_parser = UserName::parse)]
    name: UserName,
    #[command(flatten)]
    form: Form,
}

impl Account {
    pub(super) async fn show(self, settings: &Settings) -> Done {
        let user = self.call(settings, Method::GET, "", None).await?;
        self.answer(&user, || {
            output::facts(&[
                ("Name", text(&user, "name")),
                ("Role", text(&user, "role")),
                ("E-mail", text(&user, "email")),
                ("State", super::state(&user).to_owned()),
                ("Second factor", words(&user, "second_factors")),
                ("Sessions", number(&user, "sessions").to_string()),
            ])
        })
    }

    pub(super) async fn link(self, settings: &Settings) -> Done {
        let made = self
            .call(settings, Method::POST, "/setup-link", None)
            .await?;
        self.answer(&made, || {
            let link = made.get("setup_url").and_then(Value::as_str);
            let link = link.context("the gateway made no set-up link")?;
            output::aside(&format!(
                "This link lets {} set a password, once, within a day:",
                self.name
            ));
            output::line(link)
        })
    }

    pub(super) async fn disable(self, settings: &Settings) -> Done {
        let body = json!({ "disabled": true });
        let user = self.call(settings, Method::PATCH, "", Some(body)).await?;
        self.answer(&user, || {
            output::line(&format!(
                "{} is disabled: every session is ended, and sign-in is refused.",
                self.name
            ))
        })
    }

    pub(super) async fn enable(self, settings: &Settings) -> Done {
        let body = json!({ "disabled": false });
        let user = self.call(settings, Method::PATCH, "", Some(body)).await?;
        self.answer(&user, || {
            output::line(&format!("{} may sign in.", self.name))
        })
    }

    pub(super) async fn remove(self, settings: &Settings) -> Done {
        let outcome = self.call(settings, Method::DELETE, "", None).await?;
        self.answer(&outcome, || {
            let ended = ended(self.name.as_str(), &outcome);
            output::line(&format!("{} is removed. {ended}", self.name))
        })
    }

    pub(super) async fn reset_second_factor(self, settings: &Settings) -> Done {
        let outcome = self
            .call(settings, Method::DELETE, "/second-factors", None)
            .await?;
        self.answer(&outcome, || {
            let ended = ended(self.name.as_str(), &outcome);
            output::line(&format!(
                "The second factor of {} is removed; the next sign-in sets up a new one. {ended}",
                self.name
            ))
        })
    }

    async fn call(
        &self,
        settings: &Settings,
        method: Method,
        below: &str,
        body: Option<Value>,
    ) -> Done<Value> {
        let client = Client::reach(&settings.read()?).await?;
        let path = format!("/v1/users/{}{below}", segment(self.name.as_str()));
        client.call(method, &path, body).await
    }

    fn answer(&self, document: &Value, in_words: impl FnOnce() -> Done) -> Done {
        if self.form.json {
            output::document(document)
        } else {
            in_words()
        }
    }
}
