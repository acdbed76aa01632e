//! `portcullis backup FILE` and `portcullis restore FILE`: the whole store in one file, and back.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::failure::{Done, Failure};
use super::settings::Settings;
use super::{Form, output};
use crate::config::Place;
use crate::gateway::{self, GatewayError};
use crate::store;

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where to; a file that is there already is never replaced
    file: PathBuf,
    #[command(flatten)]
    form: Form,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// What `portcullis backup` wrote
    file: PathBuf,
    #[command(flatten)]
    form: Form,
}

impl Backup {
    /// On the file itself, whether a gateway runs or not: the database knows how to be read beside its
    /// writer, and so a backup never waits for anybody.
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let config = settings.read()?;
        if let Place::Shared(server) = &config.storage.place {
            return Err(Failure::refused(format!(
                "everything is kept in {server}; back that up with its own tools, such as pg_dump"
            )));
        }
        let data_dir = config.gateway.data_dir;
        let file = std::path::absolute(&self.file)
            .map_err(|fault| Failure::usage(format!("{}: {fault}", self.file.display())))?;
        let written = store::back_up(&data_dir, &file).await;
        let bytes = written.map_err(|fault| Failure::Refused(fault.into()))?;
        let file = file.display();
        if self.form.json {
            return output::document(&json!({ "file": file.to_string(), "bytes": bytes }));
        }
        output::line(&format!(
            "{file} is written, {}. The master key is not in it: keep a copy of {} apart from it, \
             as neither can be used without the other.",
            output::count(bytes, "byte"),
            data_dir.join("master.key").display(),
        ))
    }
}

impl Restore {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let config = settings.read()?;
        let restored = gateway::restore(&config, &self.file).await;
        let kept = restored.map_err(|fault| match fault {
            GatewayError::InUse(folder) => Failure::refused(format!(
                "a gateway, or another command, is using {}; end it first, as a store can't be \
                 exchanged under it",
                folder.display()
            )),
            fault => Failure::Refused(fault.into()),
        })?;
        let kept = kept.map(|kept| kept.display().to_string());
        if self.form.json {
            let file = self.file.display().to_string();
            return output::document(&json!({ "restored": file, "kept": kept }));
        }
        output::line(&format!(
            "{} is restored.{} Every session is ended, and every set-up link, recovery code and management \
             token is dead, as it may have been used or removed since: make new tokens with portcullis \
             token add. Accounts, passwords and apps are those of the backup: see that no account is \
             back that was removed since.",
            self.file.display(),
            kept.map_or_else(String::new, |kept| format!(
                " What was there before is kept in {kept}."
            )),
        ))
    }
}
