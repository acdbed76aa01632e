//! From where a request comes, as far as that is known.

use std::fmt;
use std::net::IpAddr;

/// The address that a request is said to come from, and whether it is one client's.
///
/// Limits by address take this and not an address: they never count by one that many people share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// The client's own, or that of a network behind which it is.
    Known(IpAddr),
    /// A trusted proxy's, which does not say whom it speaks for.
    OfProxy(IpAddr),
}

impl ClientAddress {
    /// The address, for lines and lists.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Known(address) | Self::OfProxy(address) => address,
        }
    }

    /// What limits by address count by; `None` where it could be anybody's.
    pub fn counted(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::OfProxy(_) => None,
        }
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self::Known(address)
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}
