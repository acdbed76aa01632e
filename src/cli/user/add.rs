//! `portcullis user add`: a new account.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::failure::Done;
use crate::cli::settings::Settings;
use crate::cli::{Form, output, password};
use crate::model::{Role, UserName};

#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// 1 to 64 of a-z 0-9 . _ @ + -, not beginning with . or -
    #[arg(value_parser = UserName::parse_new)]
    name: UserName,
    /// administrator, manager or operator
    #[arg(long)]
    role: Role,
    /// Passed on to the panel
    #[arg(long)]
    email: Option<String>,
    /// Read a password from the standard input, instead of printing a set-up link
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    form: Form,
}

impl Add {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let config = settings.read()?;
        let mut body = json!({
            "name": self.name.as_str(),
            "role": self.role.as_str(),
            "email": self.email,
        });
        if self.password_stdin {
            let password = password::from_stdin()?;
            if let Some(body) = body.as_object_mut() {
                body.insert("password".to_owned(), password.expose().as_str().into());
            }
        }
        let client = Client::reach(&config).await?;
        let added = client.call(Method::POST, "/v1/users", Some(body)).await?;
        let member = |name: &str| added.get(name).cloned().unwrap_or(Value::Null);
        if self.form.json {
            return output::document(&json!({
                "name": member("name"),
                "role": member("role"),
                "setup_url": member("setup_url"),
            }));
        }
        let Value::String(link) = member("setup_url") else {
            return output::line(&format!("{} ({}) is added.", self.name, self.role));
        };
        output::aside(&format!(
            "{} ({}) is added. This link sets a password, once, within a day; any change of the account \
             ends it:",
            self.name, self.role
        ));
        output::line(&link)
    }
}
