//! Tables of what trusted proxies say, and what becomes of it.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn proxies() -> TrustedProxies {
    TrustedProxies::of(&["10.0.0.0/8", "fd00::/8"])
}

/// Fields as they are written, each a line.
fn headers(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let at = line.iter().position(|&byte| byte == b':').unwrap();
        let name = HeaderName::from_bytes(&line[..at]).unwrap();
        let value = HeaderValue::from_bytes(line[at + 1..].trim_ascii()).unwrap();
        headers.append(name, value);
    }
    headers
}

const PEER: &str = "10.0.0.1";

fn read<T>(lines: &[&[u8]], look: impl FnOnce(Forwarded<'_>) -> T) -> T {
    let headers = headers(lines);
    look(Forwarded::read(PEER.parse().unwrap(), &headers, &proxies()))
}

/// The client in a word: an address, `proxy` and an address, or `torn`.
fn client(lines: &[&[u8]]) -> String {
    read(lines, |forwarded| {
        match (forwarded.names_two_clients, forwarded.client) {
            (true, ClientAddress::OfProxy(_)) => "torn".to_owned(),
            (true, known @ ClientAddress::Known(_)) => panic!("{known} is not known"),
            (false, ClientAddress::Known(address)) => address.to_string(),
            (false, ClientAddress::OfProxy(address)) => format!("proxy {address}"),
        }
    })
}

fn scheme(lines: &[&[u8]]) -> Scheme {
    read(lines, |forwarded| forwarded.scheme)
}

#[test]
fn the_rightmost_stranger_is_the_client() {
    let cases: [(&[&[u8]], &str); 22] = [
        (&[], "proxy 10.0.0.1"),
        (&[b"x-forwarded-for:"], "proxy 10.0.0.1"),
        (&[b"x-forwarded-for: , , ,"], "proxy 10.0.0.1"),
        (&[b"x-forwarded-for: 203.0.113.9"], "203.0.113.9"),
        (&[b"x-forwarded-for: ,203.0.113.9, "], "203.0.113.9"),
        (&[b"x-forwarded-for: evil, 203.0.113.9"], "203.0.113.9"),
        (&[b"x-forwarded-for: 1.2.3.4, 203.0.113.9"], "203.0.113.9"),
        (
            &[b"x-forwarded-for: 203.0.113.9, 10.0.0.2,10.0.0.3"],
            "203.0.113.9",
        ),
        (
            &[
                b"x-forwarded-for: 203.0.113.9",
                b"x-forwarded-for: 10.0.0.2",
            ],
            "203.0.113.9",
        ),
        (
            &[
                b"x-forwarded-for: 203.0.113.9",
                b"x-forwarded-for: 198.51.100.1",
            ],
            "198.51.100.1",
        ),
        (&[b"x-forwarded-for: 10.0.0.9, 10.0.0.2"], "proxy 10.0.0.9"),
        (
            &[b"x-forwarded-for: 203.0.113.9, evil, 10.0.0.2"],
            "proxy 10.0.0.2",
        ),
        (
            &[b"x-forwarded-for: 203.0.113.9, unknown"],
            "proxy 10.0.0.1",
        ),
        (&[b"x-forwarded-for: _hidden"], "proxy 10.0.0.1"),
        (&[b"x-forwarded-for: 1.2.3.4:443"], "1.2.3.4"),
        (&[b"x-forwarded-for: 2001:db8::1, fd00::1"], "2001:db8::1"),
        (
            &[b"x-forwarded-for: \"[2001:db8::1]:9\", ::ffff:10.0.0.3"],
            "2001:db8::1",
        ),
        (&[b"x-forwarded-for: ::ffff:203.0.113.9"], "203.0.113.9"),
        (&[b"x-forwarded-for: \xff\xfe"], "proxy 10.0.0.1"),
        (&[b"x-real-ip: 203.0.113.9"], "203.0.113.9"),
        (&[b"x-real-ip: 10.0.0.2"], "proxy 10.0.0.2"),
        (&[b"x-real-ip: unknown"], "proxy 10.0.0.1"),
    ];
    for (lines, expected) in cases {
        assert_eq!(client(lines), expected, "{:?}", headers(lines));
    }
}

#[test]
fn elements_of_forwarded_name_clients_as_lists_do() {
    for (value, expected) in [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=\"203.0.113.9:4711\";Proto=https", "203.0.113.9"),
        ("proto=https;FOR=203.0.113.9;by=10.0.0.1", "203.0.113.9"),
        ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("for=[2001:db8::1]", "2001:db8::1"),
        ("for=\"[::ffff:203.0.113.9]\"", "203.0.113.9"),
        ("for=1.2.3.4, for=203.0.113.9, for=10.0.0.2", "203.0.113.9"),
        ("for=\"1.2.3.4, for=203.0.113.9", "203.0.113.9"),
        ("for=203.0.113.9;host=\"a,b;c\"", "203.0.113.9"),
        ("for=203.0.113.9 ; proto=http ;", "203.0.113.9"),
        ("for=unknown", "proxy 10.0.0.1"),
        ("for=_gazonk, for=10.0.0.2", "proxy 10.0.0.2"),
        ("proto=https", "proxy 10.0.0.1"),
        ("for=203.0.113.9, proto=https", "proxy 10.0.0.1"),
        ("for=203.0.113.9;for=1.2.3.4", "proxy 10.0.0.1"),
        ("203.0.113.9", "proxy 10.0.0.1"),
        ("for", "proxy 10.0.0.1"),
        ("for=", "proxy 10.0.0.1"),
        ("for=\"203.0.113.9", "proxy 10.0.0.1"),
    ] {
        let line = format!("forwarded: {value}");
        assert_eq!(client(&[line.as_bytes()]), expected, "{value}");
    }
    let lines: [&[u8]; 2] = [b"forwarded: for=203.0.113.9", b"forwarded: for=10.0.0.2"];
    assert_eq!(client(&lines), "203.0.113.9");
}

#[test]
fn two_clients_are_none() {
    let cases: [(&[&[u8]], &str); 12] = [
        (
            &[
                b"forwarded: for=203.0.113.9",
                b"x-forwarded-for: 203.0.113.9",
            ],
            "203.0.113.9",
        ),
        (
            &[b"forwarded: for=1.2.3.4", b"x-forwarded-for: 203.0.113.9"],
            "torn",
        ),
        (
            &[b"x-real-ip: 1.2.3.4", b"x-forwarded-for: 203.0.113.9"],
            "torn",
        ),
        (
            &[b"x-real-ip: 1.2.3.4", b"forwarded: for=203.0.113.9"],
            "torn",
        ),
        (&[b"x-real-ip: 1.2.3.4", b"x-real-ip: 203.0.113.9"], "torn"),
        (
            &[b"x-real-ip: 203.0.113.9", b"x-real-ip: 203.0.113.9"],
            "203.0.113.9",
        ),
        // Else a stranger who adds it would have no address.
        (
            &[b"forwarded: for=_x", b"x-forwarded-for: 203.0.113.9"],
            "torn",
        ),
        (
            &[b"x-real-ip: unknown", b"x-forwarded-for: 203.0.113.9"],
            "torn",
        ),
        // The second proxy wrote these of the first, which wrote the others of the client.
        (
            &[
                b"x-real-ip: 10.0.0.2",
                b"x-forwarded-for: 203.0.113.9, 10.0.0.2",
            ],
            "203.0.113.9",
        ),
        (
            &[b"forwarded: for=203.0.113.9", b"x-forwarded-for: 10.0.0.2"],
            "203.0.113.9",
        ),
        (
            &[b"forwarded: proto=https", b"x-forwarded-for: 203.0.113.9"],
            "203.0.113.9",
        ),
        (
            &[
                b"x-real-ip: 203.0.113.9",
                b"x-forwarded-for: 203.0.113.9, 10.0.0.2",
            ],
            "203.0.113.9",
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(client(lines), expected, "{:?}", headers(lines));
    }
}

#[test]
fn the_scheme_is_of_the_hop_that_the_client_is_of() {
    use Scheme::{Contradictory, Http, Https, Unreadable};
    for (clients, schemes, expected) in [
        ("203.0.113.9", "https", Https),
        ("203.0.113.9", "HTTPS", Https),
        ("203.0.113.9", "wss", Https),
        ("203.0.113.9", "WSS", Https),
        ("203.0.113.9", "\"https\"", Https),
        ("203.0.113.9", "http", Http),
        ("203.0.113.9", "ws", Http),
        ("203.0.113.9", ", https ,", Https),
        ("203.0.113.9", "", Unreadable),
        ("203.0.113.9", ",", Unreadable),
        ("203.0.113.9", "h2", Unreadable),
        ("203.0.113.9", "https http", Unreadable),
        ("203.0.113.9, 10.0.0.2", "https", Https),
        ("203.0.113.9, 10.0.0.2", "http", Http),
        ("203.0.113.9, 10.0.0.2", "https,http", Https),
        ("203.0.113.9, 10.0.0.2", "wss, http", Https),
        ("203.0.113.9, 10.0.0.2", "http,https", Http),
        ("203.0.113.9, 10.0.0.2", "https, http, https", Contradictory),
        ("203.0.113.9, 10.0.0.2", "x, https, http", Https),
        ("203.0.113.9, 10.0.0.2", "x, http, https", Http),
        ("203.0.113.9, 10.0.0.3, 10.0.0.2", "https,http,http", Https),
        (
            "203.0.113.9, 10.0.0.3, 10.0.0.2",
            "https,http",
            Contradictory,
        ),
        ("203.0.113.9, 10.0.0.3, 10.0.0.2", "https,https", Https),
        ("203.0.113.9, 10.0.0.3, 10.0.0.2", "http,http", Http),
        // What a stranger wrote on the left makes no plain HTTP secure, and one that may be secure
        // already is led nowhere.
        ("203.0.113.9", "https, http", Contradictory),
        ("203.0.113.9", "http, https", Https),
        ("1.2.3.4, 203.0.113.9", "https, http", Contradictory),
        ("203.0.113.9", "http, http", Http),
    ] {
        let clients = format!("x-forwarded-for: {clients}");
        let schemes = format!("x-forwarded-proto: {schemes}");
        let lines = [clients.as_bytes(), schemes.as_bytes()];
        assert_eq!(scheme(&lines), expected, "{clients} {schemes}");
    }
}

#[test]
fn the_scheme_is_read_without_addresses_and_of_elements() {
    use Scheme::{Contradictory, Http, Https, Unreadable, Untold};
    assert_eq!(scheme(&[b"x-forwarded-for: 203.0.113.9"]), Untold);
    assert_eq!(scheme(&[b"x-forwarded-proto: https,http"]), Contradictory);
    assert_eq!(scheme(&[b"x-forwarded-proto: \xff"]), Unreadable);
    let lines: [&[u8]; 4] = [
        b"x-forwarded-for: 203.0.113.9",
        b"x-forwarded-for: 10.0.0.2",
        b"x-forwarded-proto: https",
        b"x-forwarded-proto: http",
    ];
    assert_eq!(scheme(&lines), Https, "several lines are one list");
    for (value, expected) in [
        ("for=203.0.113.9;proto=https", Https),
        ("for=203.0.113.9;proto=\"HTTPS\"", Https),
        ("for=203.0.113.9;proto=wss", Https),
        ("for=203.0.113.9;proto=http", Http),
        (
            "for=203.0.113.9;proto=https, for=10.0.0.2;proto=http",
            Https,
        ),
        ("for=203.0.113.9;proto=http, for=10.0.0.2;proto=https", Http),
        ("for=203.0.113.9, for=10.0.0.2;proto=http", Untold),
        ("for=1.2.3.4;proto=https, for=203.0.113.9;proto=http", Http),
        ("for=203.0.113.9;proto=", Unreadable),
        ("for=203.0.113.9;proto=quic", Unreadable),
    ] {
        let line = format!("forwarded: {value}");
        assert_eq!(scheme(&[line.as_bytes()]), expected, "{value}");
    }
}

#[test]
fn it_was_tls_only_where_all_say_so() {
    use Scheme::{Contradictory, Http, Https, Unreadable, Untold};
    let cases: [(&[&[u8]], Scheme); 14] = [
        (&[b"x-forwarded-ssl: on"], Https),
        (&[b"x-forwarded-ssl: Off"], Http),
        (&[b"x-forwarded-ssl: maybe"], Unreadable),
        (&[b"front-end-https: On"], Https),
        (&[b"front-end-https: off"], Http),
        (&[b"x-forwarded-scheme: https"], Https),
        (&[b"x-forwarded-port: 443"], Untold),
        (
            &[b"x-forwarded-port: 80", b"x-forwarded-proto: https"],
            Https,
        ),
        (
            &[b"x-forwarded-ssl: on", b"x-forwarded-proto: https"],
            Https,
        ),
        (
            &[b"x-forwarded-ssl: on", b"x-forwarded-proto: http"],
            Contradictory,
        ),
        (
            &[b"x-forwarded-scheme: http", b"x-forwarded-proto: https"],
            Contradictory,
        ),
        (
            &[
                b"forwarded: for=203.0.113.9;proto=https",
                b"x-forwarded-proto: http",
            ],
            Contradictory,
        ),
        (
            &[
                b"forwarded: for=203.0.113.9;proto=http",
                b"x-forwarded-proto: https",
            ],
            Contradictory,
        ),
        (
            &[
                b"forwarded: for=203.0.113.9;proto=http",
                b"x-forwarded-proto: http",
            ],
            Http,
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(scheme(lines), expected, "{:?}", headers(lines));
    }
}

#[test]
fn the_host_is_of_the_same_hop() {
    let cases: [(&[&[u8]], Option<&str>); 9] = [
        (&[b"x-forwarded-host: a.example"], Some("a.example")),
        (
            &[b"x-forwarded-host: a.example:8443"],
            Some("a.example:8443"),
        ),
        (&[b"x-forwarded-host: evil, a.example"], Some("a.example")),
        (
            &[
                b"x-forwarded-for: 203.0.113.9, 10.0.0.2",
                b"x-forwarded-host: a.example, inner",
            ],
            Some("a.example"),
        ),
        (
            &[
                b"x-forwarded-for: 203.0.113.9, 10.0.0.3, 10.0.0.2",
                b"x-forwarded-host: a.example, inner",
            ],
            None,
        ),
        (
            &[b"forwarded: for=203.0.113.9;host=\"a.example:1\""],
            Some("a.example:1"),
        ),
        (
            &[b"forwarded: for=203.0.113.9;host=b", b"x-forwarded-host: a"],
            None,
        ),
        (&[b"x-forwarded-host: \"a"], None),
        (&[b"x-forwarded-host: \xff"], None),
    ];
    for (lines, expected) in cases {
        let found = read(lines, |forwarded| forwarded.host.map(str::to_owned));
        assert_eq!(found.as_deref(), expected, "{:?}", headers(lines));
    }
}

#[test]
fn a_way_has_an_end() {
    let chain = |hops: usize| format!("x-forwarded-for: 203.0.113.9{}", ", 10.0.0.2".repeat(hops));
    assert_eq!(client(&[chain(MOST_HOPS - 1).as_bytes()]), "203.0.113.9");
    assert_eq!(client(&[chain(MOST_HOPS).as_bytes()]), "proxy 10.0.0.2");
    assert_eq!(client(&[chain(6_000).as_bytes()]), "proxy 10.0.0.2");
    let many = format!("x-forwarded-proto: {}http", "https, ".repeat(6_000));
    assert_eq!(scheme(&[many.as_bytes()]), Scheme::Contradictory);
}

proptest! {
    #[test]
    fn what_a_stranger_says_in_a_field_that_proxies_set_changes_nothing(
        said in "[ -~]{0,80}",
        more in proptest::collection::vec("[ -~]{0,20}", 0..3),
    ) {
        for (field, own) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9;proto=http"),
        ] {
            let lines: Vec<String> = more.iter().map(|more| format!("{field}: {more}")).collect();
            let own = format!("{field}: {said}, {own}");
            let lines = lines.iter().map(String::as_bytes).chain([own.as_bytes()]);
            let lines: Vec<&[u8]> = lines.collect();
            prop_assert_eq!(client(&lines), "203.0.113.9");
            prop_assert_ne!(scheme(&lines), Scheme::Https);
        }
    }

    #[test]
    fn nobody_who_adds_a_field_becomes_another(
        name in "(forwarded|x-real-ip|x-forwarded-for)",
        said in "[ -~]{0,40}",
    ) {
        let added = format!("{name}: {said}");
        let own: [&[u8]; 2] = [b"x-forwarded-for: 203.0.113.9", b"x-forwarded-proto: http"];
        let lines: Vec<&[u8]> = [added.as_bytes()].into_iter().chain(own).collect();
        let named = client(&lines);
        prop_assert!(["203.0.113.9", "torn"].contains(&named.as_str()), "{named}");
        prop_assert_ne!(scheme(&lines), Scheme::Https);
    }
}
