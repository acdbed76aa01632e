//! `[storage]`: where state is kept, and where the key is that seals what is secret in it.

use std::path::PathBuf;

use super::fault::Report;
use super::value;
use super::written::Section;

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    pub master_key: KeySource,
}

/// Where the master key is read from, at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `master.key` in `data_dir`, made there together with a new database.
    DataDir,
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
}

impl Storage {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        section.parsed("url", (), report, |url| match url {
            "sqlite" => Ok(()),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Err("PostgreSQL is not built yet; \"sqlite\" is possible".to_owned())
            }
            url => Err(format!("{url:?} is no store; \"sqlite\" is possible")),
        });
        section.not_built("max_staleness", "leave it out; there is one node", report);
        let master_key = section.parsed("master_key", KeySource::DataDir, report, key_source);
        section.finish(report);
        Self { master_key }
    }
}

fn key_source(text: &str) -> Result<KeySource, String> {
    if text.is_empty() {
        return Ok(KeySource::DataDir);
    }
    match text.split_once(':') {
        Some(("file", path)) => value::path(path).map(KeySource::File),
        Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
            Ok(KeySource::Environment(name.to_owned()))
        }
        // Not repeated: it could be the key itself.
        _ => Err(
            "a key does not stand in the configuration; write \"file:PATH\" or \"env:NAME\", \
                  or \"\" for master.key in data_dir"
                .to_owned(),
        ),
    }
}
