//! Header fields that do not travel: hop-by-hop ones, and the names by which a client could speak
//! in the gateway's name or have a panel read another request than the one that was judged.

use http::header::{CONNECTION, HeaderMap, HeaderName};

/// Fields that belong to one connection (RFC 9110 §7.6.1), whatever `Connection` says.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Names that only the gateway may set, or that panels are known to obey: client addresses, identity,
/// rewritten targets and overridden methods (CVE-2018-14773, CVE-2019-10913, CVE-2026-40575).
const SPOKEN_FOR: [&str; 26] = [
    "client-ip",
    "cf-connecting-ip",
    "cookie2",
    "fastly-client-ip",
    "forwarded",
    "proxy",
    "remote-addr",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-http-destinationurl",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-rewrite-url",
];

/// Families of the same.
const SPOKEN_FOR_PREFIXES: [&str; 8] = [
    "x-accel-",
    "x-auth-request-",
    "x-envoy-",
    "x-forwarded-",
    "x-portcullis-",
    "x-proxy-",
    "x-remote-",
    "x-sendfile",
];

/// Whether a field belongs to one connection, by its own nature.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    // A look at the first letter spares most fields the comparison.
    let first = name.as_str().as_bytes().first();
    matches!(first, Some(b'c' | b'h' | b'k' | b'p' | b't' | b'u'))
        && HOP_BY_HOP.contains(&name.as_str())
}

/// Whether `Connection` names the field (RFC 9110 §7.6.1), in any of its lines and in any case.
pub fn is_nominated(name: &HeaderName, headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|line| {
        line.as_bytes()
            .split(|&byte| byte == b',')
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_ref()))
    })
}

/// Whether a field may come from a client only to be thrown away.
///
/// A name with a byte outside `[A-Za-z0-9-]` is one of them: CGI, WSGI and PHP fold `X_Forwarded_User`
/// onto the name that the gateway sets (CVE-2025-64484). Names are lower case here, as hyper has them.
pub fn is_spoken_for(name: &HeaderName) -> bool {
    let name = name.as_str();
    let first = name.as_bytes().first();
    let may_be = matches!(first, Some(b'c' | b'f' | b'p' | b'r' | b't' | b'x'));
    let is_odd = |byte: u8| !(byte.is_ascii_alphanumeric() || byte == b'-');
    name.bytes().any(is_odd)
        || (may_be && SPOKEN_FOR.contains(&name))
        || (may_be
            && SPOKEN_FOR_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn names_that_fold_onto_the_gateways_are_spoken_for() {
        for name in [
            "x-forwarded-user",
            "x_forwarded_user",
            "x.forwarded!user",
            "x-forwarded-for",
            "forwarded",
            "x-original-url",
            "x-accel-redirect",
        ] {
            assert!(is_spoken_for(&HeaderName::from_static(name)), "{name}");
        }
        for name in [
            "accept",
            "x-requested-with",
            "x-csrftoken",
            "sec-fetch-site",
        ] {
            assert!(!is_spoken_for(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn every_listed_field_is_known() {
        for name in HOP_BY_HOP {
            assert!(is_hop_by_hop(&HeaderName::from_static(name)), "{name}");
        }
        for name in SPOKEN_FOR {
            assert!(is_spoken_for(&HeaderName::from_static(name)), "{name}");
        }
        for prefix in SPOKEN_FOR_PREFIXES {
            let name = HeaderName::try_from(format!("{prefix}a")).unwrap();
            assert!(is_spoken_for(&name), "{name}");
        }
    }

    #[test]
    fn connection_names_fields_over_lines_and_cases() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("close, X-One"));
        headers.append(CONNECTION, HeaderValue::from_static("x-two"));
        for (name, nominated) in [("x-one", true), ("x-two", true), ("x-three", false)] {
            assert_eq!(
                is_nominated(&HeaderName::from_static(name), &headers),
                nominated,
                "{name}"
            );
        }
    }
}
