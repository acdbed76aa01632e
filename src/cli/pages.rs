//! `portcullis completions`, `portcullis man` and `portcullis schema`: made from the definitions of the
//! commands and from what is read of a configuration, so that they can't say anything else.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use super::failure::Done;
use super::output;
use crate::config;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Whose completions
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Manual {
    /// Write one page for each command into this folder, instead of printing the first
    dir: Option<PathBuf>,
}

/// Prints the JSON Schema of the configuration.
pub(super) fn schema() -> Done {
    output::document(&config::schema())
}

impl Completions {
    pub(super) fn run(self, mut definitions: Command) -> Done {
        let mut script = Vec::new();
        let name = definitions.get_name().to_owned();
        clap_complete::generate(self.shell, &mut definitions, name, &mut script);
        output::bytes(&script)
    }
}

impl Manual {
    pub(super) fn run(self, definitions: Command) -> Done {
        let Some(dir) = self.dir else {
            let mut page = Vec::new();
            // Nor is there a page about `help` among those that are written.
            clap_mangen::Man::new(definitions.disable_help_subcommand(true))
                .render(&mut page)
                .context("can't write the page")?;
            return output::bytes(&page);
        };
        let doing = || format!("can't write the pages into {}", dir.display());
        fs::create_dir_all(&dir).with_context(doing)?;
        clap_mangen::generate_to(definitions, &dir).with_context(doing)?;
        output::line(&format!(
            "The pages are in {0}; man -l {0}/portcullis.1 shows the first.",
            dir.display()
        ))
    }
}
