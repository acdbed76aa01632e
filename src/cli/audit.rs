//! `portcullis audit list`: who did what to whom.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::Form;
use super::client::Client;
use super::failure::{Done, Failure};
use super::output::{self, number, text};
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Print the audit list, the oldest entry first
    #[command(after_help = "Examples:\n  portcullis audit list | grep ada\n  \
                      portcullis audit list --after 1200 --follow\n  \
                      portcullis audit list --json --follow | jq -c .   # one entry a line")]
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Begin behind the entry of this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// Go on with what comes, until Ctrl-C
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    form: Form,
}

impl Audit {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let Self::List(list) = self;
        list.run(settings).await
    }
}

impl List {
    async fn run(mut self, settings: &Settings) -> Done {
        let client = Client::reach(&settings.read()?).await?;
        let mut printed = Printed::default();
        let mut all = Vec::new();
        loop {
            let path = format!("/v1/audit?after={}&limit={AT_ONCE}", self.after);
            let page = client.call(Method::GET, &path, None).await?;
            let page = output::entries(&page);
            if let Some(last) = page.last() {
                self.after = number(last, "seq");
            }
            match (self.form.json, self.follow) {
                (true, false) => all.extend_from_slice(page),
                (true, true) => page
                    .iter()
                    .try_for_each(|it| output::line(&it.to_string()))?,
                (false, _) => printed.print(page)?,
            }
            if page.len() == AT_ONCE {
                continue;
            }
            if !self.follow {
                break;
            }
            if !client.is_of_a_gateway() {
                return Err(Failure::refused(
                    "no gateway runs, so there is nothing to follow; that was the list so far",
                ));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        match self.form.json && !self.follow {
            true => output::document(&Value::Array(all)),
            false => Ok(()),
        }
    }
}

/// The table as far as it is printed.
#[derive(Default)]
struct Printed {
    has_headings: bool,
}

impl Printed {
    fn print(&mut self, page: &[Value]) -> Done {
        if page.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = page.iter().map(row).collect();
        let lines = output::laid_out(&HEADINGS, &rows);
        let skipped = usize::from(self.has_headings);
        self.has_headings = true;
        lines.lines().skip(skipped).try_for_each(output::line)
    }
}

/// With blanks behind, so that the columns of later pages stand below those of earlier ones mostly.
const HEADINGS: [&str; 6] = [
    "SEQ   ",
    "AT                  ",
    "ACTOR             ",
    "ACTION            ",
    "SUBJECT   ",
    "DETAIL",
];

fn row(entry: &Value) -> Vec<String> {
    vec![
        number(entry, "seq").to_string(),
        text(entry, "at"),
        text(entry, "actor"),
        text(entry, "action"),
        text(entry, "subject"),
        text(entry, "detail"),
    ]
}

/// Entries of one call; the most that it gives.
const AT_ONCE: usize = 1000;

const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
