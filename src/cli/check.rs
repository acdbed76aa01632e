//! `portcullis check`: every fault of the configuration, and what is legal but unsafe.

use serde_json::{Value, json};

use super::Form;
use super::failure::{Done, Failure};
use super::output;
use super::settings::Settings;
use crate::config::{Config, Fault, Faults};

pub(super) fn run(settings: &Settings, form: Form) -> Done {
    let read = Config::load(&settings.file()?);
    if form.json {
        output::document(&as_document(&read))?;
    } else {
        match &read {
            Ok(config) => {
                for warning in &config.warnings {
                    output::line(&format!("warning: {warning}"))?;
                }
                output::line("ok")?;
            }
            Err(faults) => output::line(&faults.to_string())?,
        }
    }
    read.map(drop).map_err(|_| Failure::Told)
}

fn as_document(read: &Result<Config, Faults>) -> Value {
    let (faults, warnings): (Vec<_>, Vec<_>) = match read {
        Ok(config) => (Vec::new(), config.warnings.iter().map(place).collect()),
        Err(faults) => (faults.iter().map(place).collect(), Vec::new()),
    };
    json!({ "ok": read.is_ok(), "faults": faults, "warnings": warnings })
}

fn place(fault: &Fault) -> Value {
    json!({
        "file": fault.file.display().to_string(),
        "line": fault.place.map(|(line, _)| line),
        "column": fault.place.map(|(_, column)| column),
        "message": &fault.message,
    })
}
