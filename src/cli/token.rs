//! `portcullis token …`: secrets for programs, each shown once.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::Form;
use super::client::{Client, segment};
use super::failure::Done;
use super::output::{self, text, words};
use super::settings::Settings;
use crate::clock::Clock;
use crate::config::parse_duration;
use crate::model::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print its secret, this once
    #[command(after_help = "Examples:\n  \
                      portcullis token add back-office --scope revoke\n  \
                      portcullis token add prometheus --scope metrics --expires 90d > token")]
    Add(Add),
    /// List the tokens, without their secrets
    #[command(after_help = "Example:\n  portcullis token list")]
    List(Form),
    /// Take a token away; its next call is refused
    #[command(after_help = "Example:\n  portcullis token remove back-office")]
    Remove(Remove),
}

#[derive(Debug, Args)]
pub(super) struct Add {
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
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// As `token list` shows it
    name: String,
    #[command(flatten)]
    form: Form,
}

impl Token {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Self::Add(add) => add.run(settings).await,
            Self::List(form) => list(settings, form).await,
            Self::Remove(remove) => remove.run(settings).await,
        }
    }
}

impl Add {
    async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let body = json!({ "name": self.name, "scopes": scopes, "expires": self.expires });
        let made = client.call(Method::POST, "/v1/tokens", Some(body)).await?;
        if self.form.json {
            return output::document(&made);
        }
        let until = made.get("expires").and_then(Value::as_str);
        let until = until.map_or("for ever".to_owned(), |at| format!("until {at}"));
        output::aside(&format!(
            "The token {} may {} and is good {until}. This is its secret; it is not shown again:",
            self.name,
            scopes.join(", ")
        ));
        output::line(&text(&made, "token"))
    }
}

impl Remove {
    async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let path = format!("/v1/tokens/{}", segment(&self.name));
        let removed = client.call(Method::DELETE, &path, None).await?;
        if self.form.json {
            return output::document(&removed);
        }
        output::line(&format!("The token {} is removed.", self.name))
    }
}

async fn list(settings: &Settings, form: Form) -> Done {
    let client = Client::reach(&settings.read()?).await?;
    let tokens = client.call(Method::GET, "/v1/tokens", None).await?;
    if form.json {
        return output::document(&tokens);
    }
    // Both are written alike, in UTC, so that the order of the texts is that of the times.
    let now = Clock::system().wall().rfc3339();
    let rows: Vec<Vec<String>> = output::entries(&tokens)
        .iter()
        .map(|token| row(token, &now))
        .collect();
    if rows.is_empty() {
        return output::line("No tokens yet; portcullis token add NAME --scope SCOPE makes one.");
    }
    output::table(&["NAME", "SCOPES", "EXPIRES"], &rows)
}

fn row(token: &Value, now: &str) -> Vec<String> {
    let expires = token.get("expires").and_then(Value::as_str);
    let expires = match expires {
        None => "never".to_owned(),
        Some(at) if at <= now => format!("expired {at}"),
        Some(at) => at.to_owned(),
    };
    vec![text(token, "name"), words(token, "scopes"), expires]
}

/// Looked at here so that a wrong one is bad usage; the API gets it as it was written.
fn duration(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_expired_is_marked() {
        let token = json!({ "name": "t", "scopes": ["read"], "expires": "2026-01-02T00:00:00Z" });
        let expires = |now| row(&token, now).pop().unwrap();
        assert_eq!(expires("2026-01-01T23:59:59Z"), "2026-01-02T00:00:00Z");
        assert_eq!(
            expires("2026-01-02T00:00:00Z"),
            "expired 2026-01-02T00:00:00Z"
        );
        let token = json!({ "name": "t", "scopes": [], "expires": null });
        assert_eq!(row(&token, ""), ["t", "-", "never"]);
    }
}
