//! `portcullis user password`: sets one, and with that ends every session of its user.

use clap::Args;
use http::Method;
use serde_json::json;

use super::ended;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Done;
use crate::cli::settings::Settings;
use crate::cli::{Form, output, password};
use crate::credentials::generator;
use crate::model::UserName;

#[derive(Debug, Args)]
pub(in crate::cli) struct Password {
    /// Whose password it is
    #[arg(value_parser = UserName::parse)]
    name: UserName,
    /// Read the password from the standard input
    #[arg(long, conflicts_with = "generate")]
    password_stdin: bool,
    /// Make a password, and print it
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    form: Form,
}

impl Password {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let config = settings.read()?;
        let password = if self.password_stdin {
            password::from_stdin()?
        } else if self.generate {
            generator::password()
        } else {
            password::prompted(self.name.as_str(), config.password.min_length)?
        };
        let client = Client::reach(&config).await?;
        let path = format!("/v1/users/{}/password", segment(self.name.as_str()));
        let body = json!({ "password": password.expose() });
        let mut outcome = client.call(Method::PUT, &path, Some(body)).await?;
        if self.form.json {
            if let Some(outcome) = outcome.as_object_mut().filter(|_| self.generate) {
                outcome.insert("password".to_owned(), password.expose().as_str().into());
            }
            return output::document(&outcome);
        }
        output::aside(&format!(
            "The password of {} is set. {}",
            self.name,
            ended(self.name.as_str(), &outcome)
        ));
        if self.generate {
            output::line(password.expose())?;
        }
        Ok(())
    }
}
