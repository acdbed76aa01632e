//! `[management]`: where programs reach the gateway.

use std::net::{Ipv4Addr, SocketAddr};

use super::fault::Report;
use super::gateway::Gateway;
use super::value;
use super::written::Section;

/// The listener for programs, beside the socket that is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Management {
    pub listen: Option<SocketAddr>,
}

impl Management {
    /// `taken` has the addresses on which people reach the gateway.
    pub(super) fn understand(
        mut section: Section<'_>,
        taken: &Gateway,
        report: &mut Report<'_>,
    ) -> Self {
        let default = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9443)));
        let listen = section.parsed("listen", default, report, |text| match text {
            "" => Ok(None),
            text => value::listener(text).map(Some),
        });
        if let Some(address) = listen
            && address.port() != 0
            && taken.addresses().any(|taken| taken == address)
        {
            report.fault(
                &section.span_of("listen"),
                format!(
                    "listen: {address} is an address for people already; \
                     the management API needs an address of its own"
                ),
            );
        }
        section.not_built("client_ca", "leave it out; tokens are asked for", report);
        section.finish(report);
        Self { listen }
    }
}
