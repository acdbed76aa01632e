//! `portcullis serve`: runs the gateway until it is told to end.

use tracing_subscriber::EnvFilter;

use super::failure::{Done, Failure};
use super::settings::Settings;
use crate::config::Config;
use crate::gateway::{self, GatewayError};

pub(super) fn run(settings: &Settings) -> Done {
    let config = settings.read()?;
    until_told_to_end(config, "info", || Ok(()))
}

/// Runs a gateway; `ready` is called once it can be connected to. `level` is that of the log.
pub(super) fn until_told_to_end(config: Config, level: &str, ready: impl FnOnce() -> Done) -> Done {
    begin_the_log(level);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let greeted = || {
        if let Err(failure) = ready() {
            tracing::warn!("{failure}");
        }
    };
    gateway::run(config, greeted).map_err(not_started)
}

fn not_started(fault: GatewayError) -> Failure {
    let of_pair = matches!(fault, GatewayError::Tls(_));
    let cause = anyhow::Error::from(fault);
    Failure::Refused(if of_pair {
        cause.context(
            "no certificate to serve with; [tls] in the configuration says where it is, and with \
             development = true a missing one is made",
        )
    } else {
        cause
    })
}

/// To the standard error, so that what a program reads from the standard output stays clean. RUST_LOG
/// says what is written, where it is set.
fn begin_the_log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A log that somebody else began is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
