//! `portcullis check`: every fault of the configuration, and what is legal but unsafe; and whether what
//! it names is there.

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::failure::{Done, Failure, place};
use super::output;
use super::settings::Settings;
use super::{Form, waiting_for};
use crate::config::{Config, Faults, Place};
use crate::gateway::{self, Finding, Grade};
use crate::store;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Also try the certificate, every panel and the store; changes nothing
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    form: Form,
}

impl Check {
    pub(super) fn run(self, settings: &Settings) -> Done {
        let read = Config::load(&settings.file()?);
        let tried = match &read {
            Ok(config) if self.live => waiting_for(async { Ok(try_out(config).await) })?,
            Ok(config) => of_files(config),
            Err(_) => Vec::new(),
        };
        let failed = tried.iter().any(|found| found.grade == Grade::Failed);
        if self.form.json {
            output::document(&self.as_document(&read, &tried))?;
        } else {
            match &read {
                Ok(config) => {
                    for warning in &config.warnings {
                        output::line(&format!("warning: {warning}"))?;
                    }
                    match self.live {
                        true => tell(&tried)?,
                        false => tell_of_files(&tried)?,
                    }
                    if !failed {
                        output::line("ok")?;
                    }
                }
                Err(faults) => output::line(&faults.to_string())?,
            }
        }
        match read {
            Err(_) => Err(Failure::Told(2)),
            Ok(_) if failed => Err(Failure::Told(1)),
            Ok(_) => Ok(()),
        }
    }

    fn as_document(&self, read: &Result<Config, Faults>, tried: &[Finding]) -> Value {
        let (faults, warnings): (Vec<_>, Vec<_>) = match read {
            Ok(config) => (Vec::new(), config.warnings.iter().map(place).collect()),
            Err(faults) => (faults.iter().map(place).collect(), Vec::new()),
        };
        let failed = tried.iter().any(|found| found.grade == Grade::Failed);
        let is_ok = read.is_ok() && !failed;
        let mut document = json!({ "ok": is_ok, "faults": faults, "warnings": warnings });
        let name = if self.live { "live" } else { "files" };
        if let Some(members) = document
            .as_object_mut()
            .filter(|_| self.live || !tried.is_empty())
        {
            let told = tried.iter().map(|found| {
                json!({
                    "about": found.about,
                    "grade": grade(found.grade),
                    "message": found.words,
                })
            });
            members.insert(name.to_owned(), told.collect());
        }
        document
    }
}

/// What keeps the gateway from a start, and, unless it is for trying things out, what people will see.
fn of_files(config: &Config) -> Vec<Finding> {
    let mut found = gateway::inspect_files(config);
    found.retain(|found| {
        let is_news = found.grade == Grade::Warning && !config.tls.development;
        found.grade == Grade::Failed || is_news
    });
    found
}

fn tell_of_files(found: &[Finding]) -> Done {
    for found in found {
        let grade = grade(found.grade);
        output::line(&format!("{grade}: {}: {}", found.about, found.words))?;
    }
    Ok(())
}

async fn try_out(config: &Config) -> Vec<Finding> {
    let is_running = matches!(Client::of_running(config).await, Ok(Some(_)));
    let mut findings = gateway::inspect(config, is_running).await;
    findings.push(of_store(config).await);
    findings
}

/// The store as the gateway sees that runs, else as it lies there.
async fn of_store(config: &Config) -> Finding {
    let found = |grade, words: String| Finding::new("store", grade, words);
    match Client::of_running(config).await {
        Err(failure) => return found(Grade::Failed, failure.to_string()),
        Ok(Some(running)) => {
            return match running.call(Method::GET, "/readyz", None).await {
                Ok(_) => found(
                    Grade::Ok,
                    "the gateway that runs says that it is well".into(),
                ),
                Err(failure) => found(Grade::Failed, failure.to_string()),
            };
        }
        Ok(None) => {}
    }
    let folder = &config.gateway.data_dir;
    let place = match &config.storage.place {
        Place::Embedded => folder.display().to_string(),
        Place::Shared(server) => server.to_string(),
    };
    match store::look(&config.storage, folder).await {
        Ok(looked) if !looked.remarks.is_empty() => {
            found(Grade::Warning, looked.remarks.join("; "))
        }
        Ok(looked) if looked.is_there => {
            found(Grade::Ok, format!("the one in {place} can be used"))
        }
        Ok(_) => found(
            Grade::Warning,
            format!("there is none in {place} yet; serve makes a new one"),
        ),
        Err(fault) => found(Grade::Failed, fault.to_string()),
    }
}

fn tell(tried: &[Finding]) -> Done {
    if tried.is_empty() {
        return Ok(());
    }
    let row = |found: &Finding| {
        let grade = grade(found.grade).to_owned();
        vec![found.about.clone(), grade, found.words.clone()]
    };
    let rows: Vec<_> = tried.iter().map(row).collect();
    output::table(&["TRIED", "RESULT", ""], &rows)
}

fn grade(grade: Grade) -> &'static str {
    match grade {
        Grade::Ok => "ok",
        Grade::Warning => "warning",
        Grade::Failed => "failed",
    }
}
