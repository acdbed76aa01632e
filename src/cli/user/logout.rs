//! `portcullis user logout`: ends every session of a user, or of everybody.

use clap::Args;
use http::Method;

use super::ended;
use crate::cli::client::{Client, segment};
use crate::cli::failure::Done;
use crate::cli::settings::Settings;
use crate::cli::{Form, output};
use crate::model::UserName;

#[derive(Debug, Args)]
pub(in crate::cli) struct Logout {
    /// Whose sessions end
    #[arg(value_parser = UserName::parse, required_unless_present = "everyone", conflicts_with = "everyone")]
    name: Option<UserName>,
    /// Everybody's sessions
    #[arg(long)]
    everyone: bool,
    #[command(flatten)]
    form: Form,
}

impl Logout {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let (path, whose) = match &self.name {
            Some(name) => (
                format!("/v1/users/{}/sessions", segment(name.as_str())),
                name.as_str(),
            ),
            None => ("/v1/sessions".to_owned(), "everybody"),
        };
        let outcome = client.call(Method::DELETE, &path, None).await?;
        if self.form.json {
            output::document(&outcome)
        } else {
            output::line(&ended(whose, &outcome))
        }
    }
}
