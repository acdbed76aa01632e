//! Which peers speak for others: the proxies in front of the gateway whose word about a client's
//! address is believed.

use std::net::IpAddr;

use ipnet::IpNet;

use super::fault::Report;
use super::written::Section;
use crate::model::ClientAddress;

/// The proxies that are believed, and what they may say. By default there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whether they begin a connection with the PROXY protocol.
    pub protocol: ProxyProtocol,
}

/// The PROXY protocol on connections from trusted proxies. From anybody else it is always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A connection may begin with it.
    #[default]
    Auto,
    /// Every connection begins with it.
    Required,
    /// None does.
    Off,
}

impl TrustedProxies {
    pub(super) fn understand(section: &mut Section<'_>, report: &mut Report<'_>) -> Self {
        let networks = section.list("trusted_proxies", report, network);
        let protocol = section.parsed(
            "proxy_protocol",
            ProxyProtocol::Auto,
            report,
            ProxyProtocol::parse,
        );
        Self {
            networks: networks.unwrap_or_default(),
            protocol,
        }
    }

    /// Whether the peer at this address is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// The address of the connection itself: a client's, or a proxy's that names no client.
    pub fn sender(&self, address: IpAddr) -> ClientAddress {
        match self.trusts(address) {
            true => ClientAddress::OfProxy(address),
            false => ClientAddress::Known(address),
        }
    }

    /// These networks, as they would be written.
    #[cfg(test)]
    pub(crate) fn of(networks: &[&str]) -> Self {
        Self {
            networks: networks.iter().map(|text| network(text).unwrap()).collect(),
            protocol: ProxyProtocol::Auto,
        }
    }

    /// A network among them that is everybody, or half of everybody: no organisation has one this large,
    /// save the private ranges.
    pub(super) fn whole_internet(&self) -> Option<IpNet> {
        let is_too_large = |network: &IpNet| match network {
            IpNet::V4(network) => network.prefix_len() < 8,
            // fc00::/7 is private.
            IpNet::V6(network) => network.prefix_len() < 7,
        };
        self.networks.iter().copied().find(is_too_large)
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }
}

impl ProxyProtocol {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "required" => Ok(Self::Required),
            "off" => Ok(Self::Off),
            _ => Err(format!(
                "{text:?} is not possible here; \"auto\", \"required\" or \"off\" is"
            )),
        }
    }
}

/// Reads `"10.0.0.0/8"`, `"fd00::/8"`, or one address.
///
/// # Errors
/// A sentence that says what is expected.
pub fn network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text.parse().map_err(|_| {
        format!(
            "{text:?} is no network; write an address, or a network like \"10.0.0.0/8\" or \"fd00::/8\""
        )
    })?;
    // With bits behind the prefix it is unclear whether one address or all of them are meant.
    match network.trunc() {
        whole if whole == network => Ok(network),
        whole => Err(format!(
            "{text:?} has bits behind its prefix; write \"{whole}\" for the network, or {:?} for the one address",
            network.addr().to_string()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_with_a_prefix() {
        let trusted = TrustedProxies::of(&["10.0.0.0/8", "192.0.2.7", "fd00::/8"]);
        for (address, expected) in [
            ("10.255.0.1", true),
            ("::ffff:10.1.1.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(
                trusted.trusts(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        assert!(!TrustedProxies::default().trusts("127.0.0.1".parse().unwrap()));
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "localhost",
            "10/8",
            "10.0.0.0/",
        ] {
            assert!(network(text).is_err(), "{text:?}");
        }
    }
}
