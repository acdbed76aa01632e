//! The fields of a panel's answer that don't simply pass, with what becomes of each and why.
//!
//! A panel shares its origin with the portal: what acts on the whole origin, and not on the answer that
//! carries it, is not the panel's to say. What becomes of a field only where the portal is on the same
//! host is in `origin_head`.

use http::HeaderName;

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    /// It is left out.
    Removed,
    /// Only what empties caches is kept.
    CacheAlone,
    /// What touches a cookie of the gateway is left out.
    WithoutOurCookies,
    /// A URL that names the upstream leads to the browser's host.
    UrlTurned,
    /// The same for the URL behind a number of seconds.
    RefreshTurned,
}

use Becomes::{CacheAlone, RefreshTurned, Removed, UrlTurned, WithoutOurCookies};

/// Each field, in lower case.
const TABLE: &[(&str, Becomes)] = &[
    // Other ways to the host, which need not lead through the gateway (RFC 7838).
    ("alt-svc", Removed),
    // Of cookies it signs people out of the gateway; of storage it takes what pages of other panels
    // and the portal keep; execution contexts are the portal's as well (W3C Clear Site Data).
    ("clear-site-data", CacheAlone),
    ("content-location", UrlTurned),
    // Certificates of the gateway are the gateway's (RFC 9163, RFC 7469).
    ("expect-ct", Removed),
    ("expect-staple", Removed),
    ("location", UrlTurned),
    ("public-key-pins", Removed),
    ("public-key-pins-report-only", Removed),
    ("refresh", RefreshTurned),
    ("set-cookie", WithoutOurCookies),
    // RFC 2965: some readers take it for the same.
    ("set-cookie2", WithoutOurCookies),
    // Whether the origin's user counts as signed in (W3C FedCM).
    ("set-login", Removed),
    // For how long browsers refuse plain HTTP of a host, and of all below it, says the gateway
    // (RFC 6797).
    ("strict-transport-security", Removed),
];

/// `None`: it passes as it is.
pub(super) fn becomes(name: &HeaderName) -> Option<Becomes> {
    let name = name.as_str();
    let row = TABLE.iter().find(|(known, _)| *known == name);
    row.map(|(_, becomes)| *becomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_its_names_are_as_they_come() {
        assert!(TABLE.is_sorted_by_key(|(name, _)| name));
        for (name, expected) in TABLE {
            let sent = HeaderName::try_from(name.to_uppercase()).unwrap();
            assert_eq!(becomes(&sent), Some(*expected), "{name}");
        }
        for name in [
            "content-type",
            "cache-control",
            "etag",
            "reporting-endpoints",
        ] {
            assert_eq!(becomes(&HeaderName::from_static(name)), None, "{name}");
        }
    }
}
