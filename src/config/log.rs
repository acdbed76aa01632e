//! `[log]`: what is written of what happens.

use super::fault::Report;
use super::risk::Risk;
use super::written::Section;
use crate::model::LogFormat;

/// What is written, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// The least weighty event that is written.
    pub level: &'static str,
    /// Whether each exchange has a line on the standard output.
    pub access: bool,
}

const LEVELS: [&str; 4] = ["error", "warn", "info", "debug"];

impl Log {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let format = section.parsed("format", LogFormat::Text, report, |text| match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!(
                "{other:?} is not possible; \"text\" and \"json\" are"
            )),
        });
        let level = section.parsed("level", "info", report, |text| {
            let known = LEVELS.into_iter().find(|level| *level == text);
            known.ok_or_else(|| {
                format!("{text:?} is no level; \"error\", \"warn\", \"info\" and \"debug\" are")
            })
        });
        let access = section.flag("access", true, report);
        if !access {
            report.risk(
                Risk::NoAccessLog,
                &section.span_of("access"),
                "access: no line tells who asked for what, nor who called the management API",
            );
        }
        if level == "error" {
            report.risk(
                Risk::QuietLog,
                &section.span_of("level"),
                "level: warnings are not written, such as of guesses and of a certificate that ends",
            );
        }
        section.finish(report);
        Self {
            format,
            level,
            access,
        }
    }
}
