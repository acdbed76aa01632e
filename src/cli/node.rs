//! `portcullis node …`: the gateways that share a store.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::Form;
use super::client::Client;
use super::failure::Done;
use super::output::{self, number, text};
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Node {
    /// List the gateways, with how far each has applied what was ended
    #[command(
        after_help = "SERVES says whether the node may still serve, as far as this one has watched it: a \
                      revocation waits for those that may. A command that runs without a gateway \
                      beside it has watched nobody yet, and takes all of them for serving.\n\n\
                      Example:\n  portcullis node list"
    )]
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    form: Form,
}

const HEADINGS: [&str; 7] = [
    "ID", "MACHINE", "VERSION", "STARTED", "APPLIED", "BEHIND", "SERVES",
];

impl Node {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let Self::List(List { form }) = self;
        let client = Client::reach(&settings.read()?).await?;
        let nodes = client.call(Method::GET, "/v1/nodes", None).await?;
        if form.json {
            return output::document(&nodes);
        }
        let rows: Vec<Vec<String>> = output::entries(&nodes).iter().map(row).collect();
        match rows.is_empty() {
            true => output::line("This gateway has its store to itself."),
            false => output::table(&HEADINGS, &rows),
        }
    }
}

fn row(node: &Value) -> Vec<String> {
    let serves = node.get("serving").and_then(Value::as_bool);
    let heard = number(node, "lease_age_ms") / 1000;
    vec![
        text(node, "id"),
        text(node, "name"),
        text(node, "version"),
        text(node, "started"),
        number(node, "applied").to_string(),
        number(node, "behind").to_string(),
        match serves {
            Some(true) => "yes".to_owned(),
            _ => format!("no, not heard from for {heard} s"),
        },
    ]
}
