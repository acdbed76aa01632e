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
use crate::config::{parse_duration, parse_network};
use crate::model::Scope;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print its secret, this once
    #[command(after_help = "Examples:\n  \
                      portcullis token add back-office --scope revoke\n  \
                      portcullis token add prometheus --scope metrics --from 10.0.0.7 > token\n  \
                      portcullis token add people --scope users,administrators --expires 7d")]
    Add(Add),
    /// Give a token a new secret and print it, this once; the one before stays good for a while
    #[command(after_help = "Examples:\n  \
                      portcullis token rotate back-office\n  \
                      portcullis token rotate back-office --overlap 0s")]
    Rotate(Rotate),
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
    /// What it may do: revoke, users (not administrators), administrators (with users), read, metrics
    #[arg(
        long = "scope",
        value_name = "SCOPE,…",
        required = true,
        value_delimiter = ','
    )]
    scopes: Vec<Scope>,
    /// How long it is good, like 30d, or never [default: 90d]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<String>,
    /// From where it may be used; can be given several times [default: from anywhere]
    #[arg(long = "from", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    networks: Vec<String>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Rotate {
    /// As `token list` shows it
    name: String,
    /// How long it is good from now, like 30d, or never [default: 90d]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    expires: Option<String>,
    /// How long the secret before stays good; 0s for not at all [default: 24h]
    #[arg(long, value_name = "TIME")]
    overlap: Option<String>,
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
            Self::Rotate(rotate) => rotate.run(settings).await,
            Self::List(form) => list(settings, form).await,
            Self::Remove(remove) => remove.run(settings).await,
        }
    }
}

impl Add {
    async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let scopes: Vec<&str> = self.scopes.iter().map(|scope| scope.as_str()).collect();
        let body = json!({
            "name": self.name, "scopes": scopes, "expires": self.expires, "from": self.networks,
        });
        let made = client.call(Method::POST, "/v1/tokens", Some(body)).await?;
        if self.form.json {
            return output::document(&made);
        }
        output::aside(&format!(
            "The token {} may {} and is good {}. This is its secret; it is not shown again:",
            self.name,
            scopes.join(", "),
            good(&made, "expires")
        ));
        output::line(&text(&made, "token"))
    }
}

impl Rotate {
    async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let path = format!("/v1/tokens/{}/rotate", segment(&self.name));
        let body = json!({ "expires": self.expires, "overlap": self.overlap });
        let made = client.call(Method::POST, &path, Some(body)).await?;
        if self.form.json {
            return output::document(&made);
        }
        output::aside(&format!(
            "The token {} has a new secret and is good {}; the secret before is good {}. This is the new \
             one; it is not shown again:",
            self.name,
            good(&made, "expires"),
            good(&made, "former_ends"),
        ));
        output::line(&text(&made, "token"))
    }
}

fn good(made: &Value, field: &str) -> String {
    let until = made.get(field).and_then(Value::as_str);
    until.map_or("for ever".to_owned(), |at| format!("until {at}"))
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
    for token in output::entries(&tokens) {
        if token.get("expires").is_some_and(Value::is_null) {
            let name = text(token, "name");
            output::aside(&format!(
                "Warning: the token {name} never ends; portcullis token rotate {name} gives it an end."
            ));
        }
    }
    output::table(&["NAME", "SCOPES", "EXPIRES", "LAST USED", "FROM"], &rows)
}

fn row(token: &Value, now: &str) -> Vec<String> {
    let expires = token.get("expires").and_then(Value::as_str);
    let expires = match expires {
        None => "never".to_owned(),
        Some(at) if at <= now => format!("expired {at}"),
        Some(at) => at.to_owned(),
    };
    let used = token.get("last_used").and_then(Value::as_str);
    vec![
        text(token, "name"),
        words(token, "scopes"),
        expires,
        used.unwrap_or("-").to_owned(),
        words(token, "from"),
    ]
}

/// Looked at here so that a wrong one is bad usage; the API gets it as it was written.
fn lifetime(text: &str) -> Result<String, String> {
    match text {
        "never" => Ok(text.to_owned()),
        text => parse_duration(text).map(|_| text.to_owned()),
    }
}

fn network(text: &str) -> Result<String, String> {
    parse_network(text).map(|network| network.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_expired_is_marked() {
        let token = json!({ "name": "t", "scopes": ["read"], "expires": "2026-01-02T00:00:00Z" });
        let expires = |now| row(&token, now).remove(2);
        assert_eq!(expires("2026-01-01T23:59:59Z"), "2026-01-02T00:00:00Z");
        assert_eq!(
            expires("2026-01-02T00:00:00Z"),
            "expired 2026-01-02T00:00:00Z"
        );
        let token = json!({ "name": "t", "scopes": [], "expires": null });
        assert_eq!(row(&token, ""), ["t", "-", "never", "-", "-"]);
    }
}
