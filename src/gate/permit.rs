//! The proof that a request was judged.

use std::sync::Arc;

use super::target::Target;
use crate::config::Panel;
use crate::model::ClientAddress;
use crate::session::Session;

/// Evidence that one request may reach the panel. Private fields, and a constructor that only the
/// gate can call: whoever holds a permit has been through the check.
///
/// It owns the [`Target`] that was decided on, and the proxy builds the upstream request from that
/// and not from the raw request line, so nothing else can be forwarded with it.
#[derive(Debug)]
pub struct Permit {
    panel: Arc<Panel>,
    target: Target,
    session: Option<Arc<Session>>,
    client: ClientAddress,
}

impl Permit {
    pub(super) fn new(
        panel: Arc<Panel>,
        target: Target,
        session: Option<Arc<Session>>,
        client: ClientAddress,
    ) -> Self {
        Self {
            panel,
            target,
            session,
            client,
        }
    }

    /// Where the request may go, and nowhere else.
    pub fn panel(&self) -> &Arc<Panel> {
        &self.panel
    }

    /// What was decided on.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The live session that the exchange must be registered with; `None` for a stranger on a path
    /// that a rule opens to anyone, and then nobody is identified to the panel.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// From where it was asked, as it was judged.
    pub fn client(&self) -> ClientAddress {
        self.client
    }
}
