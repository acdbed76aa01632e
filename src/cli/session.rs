//! `portcullis session …`: who is signed in where, and ending one of these sessions.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::{Client, segment};
use super::failure::Done;
use super::output::{self, number, text};
use super::settings::Settings;
use super::{Form, user};
use crate::model::UserName;

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List the live sessions, the newest first
    #[command(after_help = "Example:\n  portcullis session list --user ada")]
    List(List),
    /// End one session; what is open on it is cut
    #[command(
        after_help = "Example:\n  portcullis session list --user ada\n  portcullis session end 0HJ4TZ8QWYKX\n\n\
                      For all sessions of a user: portcullis user logout NAME"
    )]
    End(End),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this user
    #[arg(long, value_name = "NAME", value_parser = UserName::parse)]
    user: Option<UserName>,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
pub(super) struct End {
    /// As `session list` shows it
    id: String,
    #[command(flatten)]
    form: Form,
}

impl Session {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Self::List(list) => list.run(settings).await,
            Self::End(end) => end.run(settings).await,
        }
    }
}

impl List {
    async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let path = match &self.user {
            Some(name) => format!("/v1/users/{}/sessions", segment(name.as_str())),
            None => "/v1/sessions".to_owned(),
        };
        let sessions = client.call(Method::GET, &path, None).await?;
        if self.form.json {
            return output::document(&sessions);
        }
        let rows: Vec<Vec<String>> = output::entries(&sessions).iter().map(row).collect();
        match self.user {
            _ if !rows.is_empty() => output::table(&HEADINGS, &rows),
            Some(name) => output::line(&format!("{name} is not signed in.")),
            None => output::line("Nobody is signed in."),
        }
    }
}

impl End {
    async fn run(self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let path = format!("/v1/sessions/{}", segment(&self.id));
        let outcome = client.call(Method::DELETE, &path, None).await?;
        if self.form.json {
            return output::document(&outcome);
        }
        output::line(&user::ended(&text(&outcome, "user"), &outcome))
    }
}

const HEADINGS: [&str; 8] = [
    "ID",
    "USER",
    "DEVICE",
    "ADDRESS",
    "SECOND FACTOR",
    "SIGNED IN",
    "LAST SEEN",
    "CONNECTIONS",
];

fn row(session: &Value) -> Vec<String> {
    vec![
        text(session, "id"),
        text(session, "user"),
        text(session, "device"),
        text(session, "address"),
        text(session, "second_factor"),
        text(session, "created"),
        text(session, "last_seen"),
        number(session, "connections").to_string(),
    ]
}
