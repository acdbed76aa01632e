//! The access log: lines are made by the workers and written by a thread of its own. Where that falls
//! behind, lines are dropped and counted; no request waits for a disk.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::metrics::Metrics;
use crate::model::LogFormat;

/// How many lines may wait: some two megabytes.
const WAITING: usize = 8192;

/// Where lines go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AccessLog(Arc<Ends>);

#[derive(Debug)]
struct Ends {
    lines: Option<SyncSender<String>>,
    format: LogFormat,
    metrics: Metrics,
}

impl AccessLog {
    /// A log to the standard output.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn to_stdout(format: LogFormat, metrics: Metrics) -> io::Result<Self> {
        let (lines, written) = sync_channel(WAITING);
        thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || write(&written, &mut io::stdout().lock()))?;
        Ok(Self(Arc::new(Ends {
            lines: Some(lines),
            format,
            metrics,
        })))
    }

    /// No log; exchanges are counted all the same.
    pub fn off(metrics: Metrics) -> Self {
        Self(Arc::new(Ends {
            lines: None,
            format: LogFormat::Text,
            metrics,
        }))
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.lines.is_some()
    }

    pub(super) fn format(&self) -> LogFormat {
        self.0.format
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(super) fn write(&self, line: String) {
        if let Some(lines) = &self.0.lines
            && lines.try_send(line).is_err()
        {
            self.0.metrics.line_dropped();
        }
    }
}

/// Until every sender is gone. What can't be written is lost: there is nobody to tell.
fn write(lines: &Receiver<String>, out: &mut impl Write) {
    let mut buffer = String::new();
    while let Ok(line) = lines.recv() {
        buffer.push_str(&line);
        while buffer.len() < 64 * 1024
            && let Ok(line) = lines.try_recv()
        {
            buffer.push_str(&line);
        }
        let _ = out.write_all(buffer.as_bytes()).and_then(|()| out.flush());
        buffer.clear();
    }
}
