//! `portcullis token add`: secrets for programs, each shown once.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::Form;
use super::client::Client;
use super::failure::Done;
use super::output;
use super::settings::Settings;
use crate::config::parse_duration;
use crate::model::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print its secret, this once
    Add {
        /// What it is for; stands in the audit list
        name: String,
        /// What it may do: revoke, users, read, metrics
        #[arg(
            long = "scope",
            value_name = "SCOPE,…",
            required = true,
            value_delimiter = ','
        )]
        scopes: Vec<Scope>,
        /// How long it is good, like 90d [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<String>,
        #[command(flatten)]
        form: Form,
    },
}

impl Token {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let Self::Add {
            name,
            scopes,
            expires,
            form,
        } = self;
        let client = Client::reach(&settings.read()?).await?;
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let body = json!({ "name": name, "scopes": scopes, "expires": expires });
        let made = client.call(Method::POST, "/v1/tokens", Some(body)).await?;
        if form.json {
            return output::document(&made);
        }
        let text = |field: &str| made.get(field).and_then(Value::as_str);
        let until = text("expires").map_or("for ever".to_owned(), |at| format!("until {at}"));
        eprintln!(
            "The token {name} may {} and is good {until}. This is its secret; it is not shown again:",
            scopes.join(", ")
        );
        output::line(text("token").unwrap_or_default())
    }
}

/// Looked at here so that a wrong one is bad usage; the API gets it as it was written.
fn duration(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.to_owned())
}
