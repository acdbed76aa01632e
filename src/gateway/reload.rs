//! A changed configuration and a renewed certificate, taken up while the gateway runs.
//!
//! SIGHUP asks for it, and every two seconds it is looked at whether a file has changed. A new
//! configuration is valid as a whole, or the old one stays and the log says why. What can't be changed
//! while the gateway runs stays as it was, and the log names it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::House;
use super::front::Front;
use super::supervisor::{self, State};
use crate::accept::tls::Certificates;
use crate::config::{Config, Live};
use crate::gate::Permit;
use crate::session::Sessions;
use crate::shutdown::Shutdown;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// What is reloaded, and where it goes.
pub(super) struct Reload {
    /// Where the configuration was read from; `None` for one that is made by a command.
    pub(super) file: Option<PathBuf>,
    pub(super) live: Live,
    pub(super) sessions: Sessions,
    /// `None` where no listener needs one.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) house: Arc<House>,
    pub(super) tasks: Shutdown,
}

/// What tells a file from the one that was there before, also when an editor puts another in its place.
type Mark = Option<(u64, u64, i64, i64)>;

impl Reload {
    /// Until the gateway ends.
    pub(super) async fn keep_watch(self) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(fault) => {
                tracing::warn!(%fault, "can't listen for SIGHUP; files are looked at all the same");
                None
            }
        };
        let (mut file, mut pair) = (self.mark_of_file(), self.mark_of_pair());
        // What was changed while the gateway started.
        self.take_up_configuration(false).await;
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let is_asked = tokio::select! {
                () = self.tasks.begun() => return,
                _ = asked => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            if is_asked {
                supervisor::tell(State::Reloading);
            }
            let (new_file, new_pair) = (self.mark_of_file(), self.mark_of_pair());
            if is_asked || new_file != file {
                self.take_up_configuration(is_asked).await;
            }
            if is_asked || new_pair != pair {
                self.take_up_certificates(is_asked);
            }
            (file, pair) = (new_file, new_pair);
            if is_asked {
                // Also with the old configuration, when the new one is faulty.
                supervisor::tell(State::Ready);
            }
        }
    }

    async fn take_up_configuration(&self, is_asked: bool) {
        let Some(file) = &self.file else { return };
        let old = self.live.now();
        let new = match Config::load(file) {
            Ok(new) => new,
            Err(faults) => {
                tracing::error!("the configuration stays as it was: {faults}");
                return;
            }
        };
        let warnings = new.warnings.clone();
        let asked_for = new.clone();
        let (new, waiting) = new.that_can_follow(&old);
        if !waiting.is_empty() {
            tracing::warn!(sections = ?waiting, "changed, and in force only after a restart");
            for found in super::inspect_files(&asked_for) {
                if found.grade == super::Grade::Failed {
                    tracing::error!("a restart would fail: {}: {}", found.about, found.words);
                }
            }
        }
        let changed = new.differences(&old);
        if is_asked && changed.is_empty() && waiting.is_empty() {
            tracing::info!(file = %file.display(), "nothing in the configuration has changed");
        }
        // What is accepted, or was said before, is not said again.
        let new_ones = warnings.iter().filter(|one| !old.warnings.contains(one));
        for warning in new_ones {
            tracing::warn!("{warning}");
        }
        if changed.is_empty() {
            return;
        }
        let front = match Front::after(
            &self.house.front.load(),
            &new,
            &self.sessions,
            &self.house.metrics,
        ) {
            Ok(front) => front,
            Err(fault) => {
                tracing::error!(%fault, "the configuration stays as it was");
                return;
            }
        };
        front.panels.watch(&self.tasks);
        // Those that it no longer lets pass are ended by the next sweep, with an entry that says why.
        self.sessions.hold_to(new.session, &new.second_factor);
        self.live.replace(new);
        self.house.front.store(Arc::new(front));
        tracing::info!(sections = ?changed, "the configuration has changed");
        self.judge_what_is_open().await;
    }

    /// What was let pass before goes on only where the rules that are in force now let it pass, too.
    async fn judge_what_is_open(&self) {
        let front = self.house.front.load_full();
        let still_allows = |permit: &Permit, begun| front.gate.still_allows(permit, begun);
        let exchanges = self.house.open.judge_again(still_allows).await;
        if exchanges > 0 {
            tracing::info!(
                exchanges,
                "what the changed configuration no longer allows was cut"
            );
        }
    }

    fn take_up_certificates(&self, is_asked: bool) {
        let Some(certificates) = &self.certificates else {
            return;
        };
        match certificates.reload() {
            Ok(true) => {
                tracing::info!("the certificate has changed");
                super::certificates::warn_of_end(certificates, &self.house.clock);
            }
            Ok(false) if is_asked => tracing::info!("the certificate is the same as before"),
            Ok(false) => {}
            Err(fault) => tracing::error!(%fault, "the certificate stays as it was"),
        }
    }

    fn mark_of_file(&self) -> Mark {
        self.file.as_deref().and_then(mark)
    }

    fn mark_of_pair(&self) -> [Mark; 2] {
        let tls = &self.live.now().tls;
        [mark(&tls.certificate), mark(&tls.key)]
    }
}

fn mark(path: &Path) -> Mark {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}
