//! Who may manage people on the pages: from where, and how long after signing in.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::fault::Report;
use super::proxies::network;
use super::value;
use super::written::Section;
use crate::clock::Timestamp;
use crate::model::ClientAddress;

/// What the administrators' pages ask beside the role, like a rule of a panel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Administration {
    /// Empty: from anywhere.
    pub from: Vec<IpNet>,
    /// The sign-in, with its second factor, must not be older than this.
    pub reauthenticate: Option<Duration>,
}

impl Administration {
    pub(super) fn understand(section: &mut Section<'_>, report: &mut Report<'_>) -> Self {
        let from = section.list("administrators_from", report, network);
        let reauthenticate = section.parsed(
            "administrators_reauthenticate",
            None,
            report,
            |text| match text {
                "" => Ok(None),
                text => value::duration(text).map(Some),
            },
        );
        Self {
            from: from.unwrap_or_default(),
            reauthenticate,
        }
    }

    /// Whether somebody at this address may manage people. One whom a proxy brings without saying from where
    /// comes from none of the networks.
    pub fn admits(&self, client: ClientAddress) -> bool {
        let is_within = |client: IpAddr| {
            let client = client.to_canonical();
            self.from.iter().any(|network| network.contains(&client))
        };
        self.from.is_empty() || client.counted().is_some_and(is_within)
    }

    /// Whether a sign-in of that moment is recent enough.
    pub fn is_recent(&self, signed_in: Timestamp, now: Timestamp) -> bool {
        self.reauthenticate
            .is_none_or(|within| now.since(signed_in) < within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_times_are_held_to_what_is_written() {
        let open = Administration::default();
        let start = Timestamp::from_millis(0);
        let later = |seconds| start.plus(Duration::from_secs(seconds));
        let known = |text: &str| ClientAddress::Known(text.parse().unwrap());
        assert!(open.admits(known("192.0.2.1")));
        assert!(open.is_recent(start, later(1_000_000)));
        let networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"];
        let narrow = Administration {
            from: networks.iter().map(|text| network(text).unwrap()).collect(),
            reauthenticate: Some(Duration::from_secs(60)),
        };
        for (address, expected) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("::ffff:11.1.2.3", false),
            ("fd12::1", true),
            ("fe80::1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(narrow.admits(known(address)), expected, "{address}");
            let of_proxy = ClientAddress::OfProxy(address.parse().unwrap());
            assert!(!narrow.admits(of_proxy), "{address}");
        }
        assert!(narrow.is_recent(start, later(59)));
        assert!(!narrow.is_recent(start, later(60)));
    }
}
