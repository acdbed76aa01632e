//! Each risk in more than one shape: named, silent once accepted, and nothing else is one.

use std::path::Path;

use super::*;
use crate::config::{Config, Faults};

const MINIMAL: &str = "[[panel]]\nupstream = \"unix:panel.sock\"\n";

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, Path::new("p.toml"))
}

#[test]
fn every_risk_has_a_name_of_its_own_that_is_read() {
    for (place, risk) in Risk::ALL.into_iter().enumerate() {
        assert_eq!(Risk::parse(risk.as_str()), Ok(risk));
        assert!(!Risk::ALL[..place].contains(&risk));
    }
    assert!(
        Risk::parse("no-acess-log")
            .unwrap_err()
            .contains("\"no-access-log\"")
    );
    assert!(
        Risk::parse("everything")
            .unwrap_err()
            .contains("clear-text")
    );
}

#[test]
fn names_of_tests_are_not_real_ones() {
    for (host, is_test) in [
        ("localhost", true),
        ("a.localhost", true),
        ("panel.test", true),
        ("10.0.0.1", true),
        ("[::1]", true),
        ("panel.example", true),
        ("panel.example.org", false),
        ("panel", false),
    ] {
        assert_eq!(is_for_trying_out(host), is_test, "{host}");
    }
}

/// Every risk in more than one shape.
const RISKS: &[(&str, &str)] = &[
    ("session.lifetime = \"400d\"", "long-sessions"),
    ("session.lifetime = \"169h\"", "long-sessions"),
    (
        "session = { idle_timeout = \"2d\", lifetime = \"7d\" }",
        "long-sessions",
    ),
    ("throttle.per_user = \"1000000/15m\"", "loose-throttle"),
    ("throttle.per_user = \"10/1s\"", "loose-throttle"),
    ("throttle.per_user = \"101/10d\"", "loose-throttle"),
    ("throttle.per_address = \"1000000/1h\"", "loose-throttle"),
    ("second_factor.throttle = \"1000000/15m\"", "loose-throttle"),
    ("second_factor.required = false", "no-second-factor"),
    ("second_factor.required = []", "no-second-factor"),
    (
        "second_factor.required = [\"manager\", \"operator\"]",
        "no-second-factor",
    ),
    (
        "tls.development = true\ngateway.external_url = \"https://a.example.org\"",
        "development-certificate",
    ),
    ("log.access = false", "no-access-log"),
    ("log.level = \"error\"", "quiet-log"),
    (
        "storage.url = \"postgres://u@db.example/p?sslmode=disable\"",
        "store-without-tls",
    ),
    (
        "storage.url = \"postgres://u@10.0.0.1/p?sslmode=prefer\"",
        "store-without-tls",
    ),
    (
        "storage.url = \"postgres://u@db.example/p?sslmode=require\"",
        "store-without-tls",
    ),
    (
        "storage.url = \"postgres://u:secret@127.0.0.1/p\"",
        "readable-password",
    ),
    (
        "storage.url = \"postgres://127.0.0.1/p?user=u&password=secret\"",
        "readable-password",
    ),
    (
        "gateway.listen_plain = [\"10.0.0.1:80\"]\ngateway.trusted_proxies = [\"10.0.0.2\"]",
        "clear-text",
    ),
    (
        "gateway.trusted_proxies = [\"0.0.0.0/0\"]",
        "trusted-proxies",
    ),
    (
        "gateway.trusted_proxies = [\"0.0.0.0/1\", \"128.0.0.0/1\"]",
        "trusted-proxies",
    ),
    ("gateway.trusted_proxies = [\"::/0\"]", "trusted-proxies"),
    (
        "gateway.trusted_proxies = [\"2000::/3\"]",
        "trusted-proxies",
    ),
    (
        "management.listen = \"0.0.0.0:9443\"",
        "management-everywhere",
    ),
    ("management.listen = \"[::]:9443\"", "management-everywhere"),
    ("gateway.old_browsers = true", "old-browsers"),
    ("[[panel]]\nupstream = \"http://10.0.0.7\"", "clear-text"),
    (
        "[[panel]]\nupstream = \"http://my_panel:8080\"",
        "clear-text",
    ),
    (
        "[[panel]]\nupstream = \"https://10.0.0.7\"",
        "reachable-panel",
    ),
    (
        "[[panel]]\nupstream = \"unix:p\"\n[[panel.rule]]\npath = \"/\"\nallow = \"anyone\"",
        "open-to-anyone",
    ),
    (
        "[[panel]]\nupstream = \"unix:p\"\n[[panel.rule]]\npath = \"/\"\nallow = \"anyone\"\nmethods = [\"GET\"]",
        "open-to-anyone",
    ),
];

#[test]
fn a_risk_has_a_name_and_is_silent_once_it_is_accepted() {
    for (text, name) in RISKS {
        let whole = match text.contains("[[panel]]") {
            true => (*text).to_owned(),
            false => format!("{text}\n{MINIMAL}"),
        };
        let warnings = match parse(&whole) {
            Ok(config) => config.warnings,
            // What is not possible needs no warning.
            Err(faults) => panic!("{text}: {faults}"),
        };
        let names: Vec<_> = warnings.iter().filter_map(|warning| warning.risk).collect();
        assert_eq!(names.len(), warnings.len(), "{warnings:#?}");
        assert!(
            names.iter().all(|risk| risk.as_str() == *name),
            "{text}: {warnings:#?}"
        );
        assert!(!warnings.is_empty(), "{text}");
        let told = warnings[0].to_string();
        assert!(
            told.contains(&format!("accept_risk = [\"{name}\"]")) && !told.contains("secret"),
            "{told}"
        );
        let accepted = format!("gateway.accept_risk = [{name:?}]\n{whole}");
        assert_eq!(parse(&accepted).unwrap().warnings, [], "{text}");
    }
}

#[test]
fn what_is_safe_is_no_risk_and_an_unknown_risk_is_a_fault() {
    for text in [
        "session.lifetime = \"7d\"",
        "throttle.per_user = \"25/15m\"",
        "second_factor.required = [\"administrator\"]",
        "gateway.trusted_proxies = [\"10.0.0.0/8\", \"fc00::/7\", \"192.0.2.1\"]",
        "tls.development = true",
        "storage.url = \"postgres://u@db.example/p\"",
        "storage.url = \"postgres://u@localhost/p?sslmode=disable\"",
    ] {
        let config = parse(&format!("{text}\n{MINIMAL}")).unwrap();
        assert_eq!(config.warnings, [], "{text}");
    }
    let wrong = format!("gateway.accept_risk = [\"no-acces-log\"]\n{MINIMAL}");
    let faults = parse(&wrong).unwrap_err().to_string();
    assert!(
        faults.contains("p.toml:1:") && faults.contains("\"no-access-log\""),
        "{faults}"
    );
    let wrong = format!("throttle.per_user_total = 101\n{MINIMAL}");
    assert!(
        parse(&wrong)
            .unwrap_err()
            .to_string()
            .contains("from 1 to 100")
    );
}

#[test]
fn a_panel_is_not_the_gateway_itself() {
    let with = |listen: &str, upstream: &str| {
        parse(&format!(
            "gateway.listen = [{listen:?}]\ngateway.external_url = \"https://a.example.org\"\n\
             [[panel]]\nupstream = {upstream:?}\n"
        ))
    };
    for (listen, upstream) in [
        ("127.0.0.1:8443", "https://127.0.0.1:8443"),
        ("127.0.0.1:8443", "https://localhost:8443"),
        ("0.0.0.0:8443", "http://127.0.0.1:8443"),
        ("[::]:443", "https://[::1]"),
        ("10.0.0.1:443", "https://10.0.0.1"),
        ("0.0.0.0:8443", "http://localhost.:8443"),
        // The management listener, by default.
        ("10.0.0.1:443", "https://127.0.0.1:9443"),
    ] {
        let fault = with(listen, upstream).unwrap_err().to_string();
        assert!(fault.contains("is the gateway itself"), "{fault}");
    }
    let named = with("10.0.0.1:443", "https://a.example.org").unwrap();
    let risks: Vec<_> = named
        .warnings
        .iter()
        .filter_map(|warning| warning.risk)
        .collect();
    assert!(risks.contains(&Risk::OwnUpstream), "{risks:?}");
    for (listen, upstream) in [
        ("127.0.0.1:8443", "http://127.0.0.1:8444"),
        ("10.0.0.1:443", "https://127.0.0.1:443"),
    ] {
        with(listen, upstream).unwrap();
    }
}
