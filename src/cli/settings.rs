//! Which configuration is meant.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;

use super::demo::for_the_shell;
use super::failure::{Done, Failure};
use crate::config::Config;

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct Settings {
    /// The configuration [default: config/portcullis.toml, then /etc/portcullis/portcullis.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Settings {
    /// The configuration file: the named one, else the first of the usual ones that exists.
    pub(super) fn file(&self) -> Done<PathBuf> {
        if let Some(named) = &self.config {
            // A file that exists and cannot be read is reported by the code that reads it.
            if named
                .symlink_metadata()
                .is_err_and(|fault| fault.kind() == ErrorKind::NotFound)
            {
                let quoted = for_the_shell(&named.to_string_lossy());
                return Err(Failure::usage(format!(
                    "there is no configuration {}; see that the path is right, or have one written: \
                     portcullis init --config {quoted} --host HOST --upstream URL",
                    named.display()
                )));
            }
            return Ok(named.clone());
        }
        let usual = USUAL.iter().map(Path::new).find(|file| file.exists());
        usual.map(Path::to_owned).ok_or_else(|| {
            Failure::usage(format!(
                "there is no configuration: neither {} exists; name one with --config FILE, or have one \
                 written: portcullis init --host HOST --upstream URL",
                USUAL.join(" nor ")
            ))
        })
    }

    /// The file that was named.
    pub(super) fn named(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The file that a new configuration is written to: the named one, else the first of the usual ones.
    pub(super) fn to_write(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| USUAL[0].into())
    }

    /// The configuration, which has to be without fault.
    pub(super) fn read(&self) -> Done<Config> {
        Ok(Config::load(&self.file()?)?)
    }
}

const USUAL: [&str; 2] = ["config/portcullis.toml", "/etc/portcullis/portcullis.toml"];
