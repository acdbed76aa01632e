//! What the configuration makes of requests: the gate, the panels, the way to the right host. Made
//! anew and swapped whole when the configuration changes; a request is judged and forwarded by one.

use crate::clock::Clock;
use crate::config::Config;
use crate::gate::Gate;
use crate::proxy::{Panels, UpstreamError};
use crate::session::Sessions;

use super::redirect::Redirect;

/// What judges and forwards.
pub(super) struct Front {
    pub(super) gate: Gate,
    pub(super) panels: Panels,
    pub(super) redirect: Redirect,
}

impl Front {
    pub(super) fn new(
        config: &Config,
        sessions: &Sessions,
        clock: &Clock,
    ) -> Result<Self, UpstreamError> {
        let panels = Panels::new(&config.panels, clock)?;
        Ok(Self::over(panels, config, sessions))
    }

    /// The one of a changed configuration: what is known of panels that are as they were stays known.
    pub(super) fn after(
        old: &Self,
        config: &Config,
        sessions: &Sessions,
    ) -> Result<Self, UpstreamError> {
        let panels = old.panels.followed_by(&config.panels)?;
        Ok(Self::over(panels, config, sessions))
    }

    fn over(panels: Panels, config: &Config, sessions: &Sessions) -> Self {
        let external = &config.gateway.external_url;
        Self {
            gate: Gate::new(external.host(), panels.configured(), sessions.clone()),
            redirect: Redirect::new(external.clone(), &config.panels),
            panels,
        }
    }
}
