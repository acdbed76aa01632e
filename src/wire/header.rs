//! Header fields that do not travel: hop-by-hop ones, and the names by which a client could speak
//! in the gateway's name or have a panel read another request than the one that was judged.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};

use super::spoken_for;

/// Fields that belong to one connection (RFC 9110 §7.6.1), whatever `Connection` says; by their first
/// letter, which spares most fields the comparison.
const fn hop_by_hop(first: u8) -> &'static [&'static str] {
    match first {
        b'c' => &["connection"],
        b'h' => &["http2-settings"],
        b'k' => &["keep-alive"],
        b'p' => &[
            "proxy-authenticate",
            "proxy-authentication-info",
            "proxy-authorization",
            "proxy-connection",
        ],
        b't' => &["te", "trailer", "transfer-encoding"],
        b'u' => &["upgrade"],
        _ => &[],
    }
}

fn first(name: &str) -> u8 {
    name.as_bytes().first().copied().unwrap_or_default()
}

/// Whether a field belongs to one connection, by its own nature.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    hop_by_hop(first(name)).contains(&name)
}

/// Whether `Connection` names a field that would travel without it; that it stays open or not is said
/// by most, and names none.
pub fn nominates(headers: &HeaderMap) -> bool {
    let is_usual = |line: &HeaderValue| {
        let line = line.as_bytes();
        line.eq_ignore_ascii_case(b"keep-alive") || line.eq_ignore_ascii_case(b"close")
    };
    !headers.get_all(CONNECTION).iter().all(is_usual)
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
    let is_odd = |byte: u8| !(byte.is_ascii_alphanumeric() || byte == b'-');
    name.bytes().any(is_odd) || spoken_for::is_listed(name)
}

/// Whether a client's field is, or could be taken for, one by which the gateway says who somebody is:
/// `own`, what begins with it, and its family. With `x-webauth-user`, `x-webauth-role` says who it is to
/// the same panel, whether the gateway sets it or not.
pub fn is_akin(name: &HeaderName, own: &HeaderName) -> bool {
    let (name, own) = (name.as_str(), own.as_str());
    let is_below = |prefix: &str| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let family = own.rsplit_once('-').map(|(family, _)| family);
    let is_of_family = family.is_some_and(|family| family != "x" && is_below(family));
    (is_below(own) || is_of_family) && (name == own || !is_of_http(name))
}

/// Fields that HTTP and browsers themselves give a meaning to, whose names could be of a family.
fn is_of_http(name: &str) -> bool {
    const BEGINNINGS: [&str; 11] = [
        "accept",
        "access-control-",
        "authorization",
        "cache-",
        "content-",
        "if-",
        "last-",
        "max-",
        "sec-",
        "upgrade-",
        "user-agent",
    ];
    BEGINNINGS
        .iter()
        .any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
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
        let letters = b'a'..=b'z';
        let listed = letters.flat_map(hop_by_hop);
        let hop_by_hop: Vec<_> = listed.map(|name| HeaderName::from_static(name)).collect();
        assert_eq!(hop_by_hop.len(), 11);
        assert!(hop_by_hop.iter().all(is_hop_by_hop));
    }

    #[test]
    fn the_family_of_a_configured_name_is_spoken_for() {
        for (own, name, is_kin) in [
            ("x-webauth-user", "x-webauth-user", true),
            ("x-webauth-user", "x-webauth-role", true),
            ("x-webauth-user", "x-webauth-user-id", true),
            ("x-webauth-user", "x-webauth", true),
            ("x-webauth-user", "x-webauthn", false),
            ("x-webauth-user", "x-requested-with", false),
            ("x-me", "x-me", true),
            ("x-me", "x-me-role", true),
            ("x-me", "x-requested-with", false),
            ("panel-user", "panel-role", true),
            ("user", "user-role", true),
            ("user", "user-agent", false),
            ("content-user", "content-role", false),
            ("content-user", "content-user", true),
            ("content-user", "content-type", false),
        ] {
            let [own, name] = [own, name].map(HeaderName::from_static);
            assert_eq!(is_akin(&name, &own), is_kin, "{own} and {name}");
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
        assert!(nominates(&headers));
    }

    #[test]
    fn whether_a_connection_stays_open_names_no_field() {
        for (line, nominating) in [("Keep-Alive", false), ("close", false), ("close, x", true)] {
            let mut headers = HeaderMap::new();
            assert!(!nominates(&headers));
            headers.append(CONNECTION, HeaderValue::from_static(line));
            assert_eq!(nominates(&headers), nominating, "{line}");
        }
    }
}
