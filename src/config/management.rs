//! `[management]`: where programs reach the gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::fault::Report;
use super::gateway::Gateway;
use super::risk::Risk;
use super::value;
use super::written::Section;

/// The listener for programs, beside the socket that is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    pub listen: Option<SocketAddr>,
    /// It is another one than the default, so that somebody means to use it.
    pub is_asked_for: bool,
    /// The authorities whose certificate a program has to show there, beside its token.
    pub client_ca: Option<PathBuf>,
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
        if let Some(address) = listen.filter(|address| address.ip().to_canonical().is_unspecified())
        {
            let text = format!(
                "listen: {address} is every address of this machine; any program that reaches one of them can try tokens, \
                 so name the address that programs use"
            );
            report.risk(Risk::ManagementEverywhere, &section.span_of("listen"), text);
        }
        let client_ca = section.parsed("client_ca", None, report, |text| match text {
            "" => Ok(None),
            text => value::path(text).map(Some),
        });
        let is_asked_for = listen != default;
        section.finish(report);
        Self {
            listen,
            is_asked_for,
            client_ca,
        }
    }
}
