//! Where a person who signs in is going: to which panel, on which host, and whether that very address asks
//! for a fresh sign-in. The login page says the former and goes by the latter.

use std::sync::Arc;

use http::Method;
use http::request::Parts;

use super::path::Path;
use super::target::Target;
use super::{panel_of, rules};
use crate::clock::Timestamp;
use crate::config::{Config, Panel};
use crate::session::Session;
use crate::wire::NextPath;

/// The host of a request to the portal, and the panel that is behind it.
#[derive(Debug)]
pub struct Destination {
    host: String,
    panel: Option<Arc<Panel>>,
}

impl Destination {
    /// Reads the host of a request that the gate has let in.
    pub fn of(config: &Config, parts: &Parts) -> Self {
        let external = &config.gateway.external_url;
        let Ok(target) = Target::read(parts) else {
            return Self {
                host: external.host().to_owned(),
                panel: None,
            };
        };
        let host = target.host();
        let panel = panel_of(&config.panels, external.host(), host.canonical());
        Self {
            host: host.written().to_owned(),
            panel: panel.cloned(),
        }
    }

    /// The host as the browser has it, with its port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name of the panel; `None` where the host has none.
    pub fn panel(&self) -> Option<&str> {
        self.panel.as_ref().map(|panel| panel.name.as_str())
    }

    /// Whether the gate answers a navigation to `next` under this session with the login page. The judgement
    /// is the gate's own, so that the two never send a person to and fro.
    pub fn asks_again(&self, next: &NextPath, session: &Session, now: Timestamp) -> bool {
        let Some(panel) = self.panel.as_ref().filter(|_| !next.is_of_the_portal()) else {
            return false;
        };
        let Ok(path) = Path::parse(next.path()) else {
            return false;
        };
        let asked = rules::requirement(&panel.rules, panel.path_reading, &Method::GET, &path);
        super::is_too_long_ago(&asked, session, now)
    }
}
