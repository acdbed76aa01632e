//! `portcullis store …`: from the embedded store to a server that several gateways share.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Form;
use super::failure::{Done, Failure};
use super::output;
use super::settings::Settings;
use crate::config::{Place, Server};
use crate::gateway;

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Move everything from the embedded store to PostgreSQL, while no gateway runs
    #[command(
        after_help = "Everything is copied and compared in one transaction: it is there whole, or not at all, and \
                      the command can be run again. People stay signed in. The embedded store stays under \
                      another name. Every gateway needs the same master key: copy master.key to the data \
                      folder of each.\n\n\
                      Example:\n  systemctl stop portcullis\n  \
                      portcullis store move --to postgres://portcullis@db.example.org/portcullis \\\n    \
                      --ca /etc/ssl/db.pem\n\n\
                      The URL may have a password, and can also be \"file:PATH\" or \"env:NAME\"."
    )]
    Move(Move),
}

#[derive(Debug, Args)]
pub(super) struct Move {
    /// The database to move to: postgres://user@host/database
    #[arg(long, value_name = "URL", value_parser = destination)]
    to: Server,
    /// PEM file of the authorities that the server's certificate is trusted by
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

impl Store {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let Self::Move(Move { to, ca, form }) = self;
        let config = settings.read()?;
        if let Place::Shared(server) = &config.storage.place {
            return Err(Failure::Refused(anyhow::anyhow!(
                "the configuration names {server} already; to move from the embedded store, set url = \"sqlite\" first"
            )));
        }
        let to = to.trusting(ca.as_deref());
        let moved = gateway::move_store(&config, &to)
            .await
            .with_context(|| format!("nothing was moved to {to}"))
            .map_err(Failure::Refused)?;
        if form.json {
            let rows: serde_json::Map<_, _> = moved
                .rows
                .iter()
                .map(|(table, rows)| ((*table).to_owned(), json!(rows)))
                .collect();
            return output::document(&json!({
                "to": to.to_string(), "rows": rows, "kept": moved.kept.display().to_string(),
            }));
        }
        for (table, rows) in &moved.rows {
            output::line(&format!("{rows:>9} {table}"))?;
        }
        output::line(&format!(
            "\nMoved to {to} and compared. The embedded store is now {}.\nWrite this into the configuration of \
             every gateway, with the same master key:\n\n  [storage]\n  url = \"{to}\"",
            moved.kept.display()
        ))
    }
}

fn destination(text: &str) -> Result<Server, String> {
    Server::named(text)
}
