//! `portcullis serve`: runs the gateway until it is told to end.

use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::settings::Settings;
use crate::config::Config;
use crate::gateway;
use crate::telemetry;

pub(super) fn run(settings: &Settings) -> Done {
    let (config, file) = (settings.read()?, settings.file()?);
    until_told_to_end(config, Some(file), || Ok(()))
}

/// Runs a gateway; `ready` is called once it can be connected to. Changes of `file` are taken up.
pub(super) fn until_told_to_end(
    config: Config,
    file: Option<PathBuf>,
    ready: impl FnOnce() -> Done,
) -> Done {
    telemetry::begin(config.log.format, config.log.level);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let greeted = || {
        if let Err(failure) = ready() {
            tracing::warn!("{failure}");
        }
    };
    gateway::run(config, file, greeted).map_err(|fault| Failure::Refused(fault.into()))
}
