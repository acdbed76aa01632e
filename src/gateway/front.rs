//! What the configuration makes of requests: the gate, the panels, the way to the right host. Made
//! anew and swapped whole when the configuration changes; a request is judged and forwarded by one.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::{Config, Panel};
use crate::gate::Gate;
use crate::proxy::{Panels, UpstreamError};
use crate::session::Sessions;
use crate::telemetry::{Answers, Metrics};

use super::redirect::Redirect;

/// What judges and forwards.
pub(super) struct Front {
    pub(super) gate: Gate,
    pub(super) panels: Panels,
    pub(super) redirect: Redirect,
    answers: Vec<(Arc<Panel>, Answers)>,
}

impl Front {
    pub(super) fn new(
        config: &Config,
        sessions: &Sessions,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Self, UpstreamError> {
        let panels = Panels::new(&config.panels, clock)?;
        Ok(Self::over(panels, config, sessions, metrics))
    }

    /// The one of a changed configuration: what is known of panels that are as they were stays known.
    pub(super) fn after(
        old: &Self,
        config: &Config,
        sessions: &Sessions,
        metrics: &Metrics,
    ) -> Result<Self, UpstreamError> {
        let panels = old.panels.followed_by(&config.panels)?;
        Ok(Self::over(panels, config, sessions, metrics))
    }

    /// Where what this panel answers is counted.
    pub(super) fn answers_of(&self, panel: &Arc<Panel>) -> Option<&Answers> {
        let mut known = self.answers.iter();
        let found = known.find(|(known, _)| Arc::ptr_eq(known, panel));
        found.map(|(_, answers)| answers)
    }

    fn over(panels: Panels, config: &Config, sessions: &Sessions, metrics: &Metrics) -> Self {
        let external = config.gateway.external_url.clone();
        let configured = panels.configured();
        let answers = configured.iter();
        let answers = answers.map(|panel| (panel.clone(), metrics.answers_of(&panel.name)));
        Self {
            answers: answers.collect(),
            gate: Gate::new(external, configured, sessions.clone())
                .with_portal_at(config.gateway.portal_apart()),
            redirect: Redirect::new(&config.gateway, &config.panels),
            panels,
        }
    }
}
