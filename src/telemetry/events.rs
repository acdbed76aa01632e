//! The event log: what happens, to the standard error.

use std::io::IsTerminal;
use std::panic;

use tracing_subscriber::EnvFilter;

use super::metrics::Metrics;
use crate::model::LogFormat;

/// Begins it, once for the process, with the events of `level` and above. RUST_LOG says what is
/// written, where it is set.
pub fn begin(format: LogFormat, level: &str) {
    // The notices of the database are for those who look for them.
    let levels = format!("{level},sqlx::postgres::notice=warn");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(levels));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A log that somebody else began is as good.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}

/// Counts panics, and writes them to the log like any other event.
pub fn count_panics(metrics: &Metrics) {
    let metrics = metrics.clone();
    panic::set_hook(Box::new(move |fault| {
        metrics.panicked();
        tracing::error!(%fault, "panicked");
    }));
}
