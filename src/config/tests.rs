//! The whole file, read: defaults, every fault at once, and no text that brings the parser down.

use std::time::Duration;

use http::Method;
use proptest::prelude::*;

use super::*;

const MINIMAL: &str = "[[panel]]\nupstream = \"http://127.0.0.1:8080\"\n";
const COMMENTED: &str = include_str!("../../config/portcullis.toml");

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(text, Path::new("p.toml"))
}

/// The faults as people read them, one a line.
fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The one fault of a text, which has to contain `part`.
fn assert_fault(text: &str, part: &str) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    assert!(found[0].contains(part), "{text}\n{found:#?}");
}

fn with_panel(lines: &str) -> String {
    format!("{lines}\n{MINIMAL}")
}

#[test]
fn the_commented_file_is_the_built_in_default() {
    assert_eq!(parse(COMMENTED), parse(MINIMAL));
}

#[test]
fn every_line_of_the_commented_file_is_read() {
    // A key that nobody asks for would be a fault, so a wrong value is one too, wherever it stands.
    let lines: Vec<&str> = COMMENTED.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(" = ").filter(|_| !line.contains('#')) else {
            continue;
        };
        let wrong = format!("{key} = 12.5");
        let mut changed = lines.clone();
        changed[index] = &wrong;
        assert!(parse(&changed.join("\n")).is_err(), "{key}");
    }
}

#[test]
fn the_rules_in_its_comments_are_good_rules() {
    let rules: Vec<&str> = COMMENTED
        .lines()
        .skip_while(|line| *line != "  # [[panel.rule]]")
        .map(|line| line.trim_start_matches("  #"))
        .collect();
    let config = parse(&format!("{MINIMAL}{}", rules.join("\n"))).unwrap();
    assert_eq!(
        config.panels[0].rules,
        [
            Rule {
                path: "/static/".into(),
                methods: None,
                allow: Allow::Anyone,
                reauthenticate: None,
            },
            Rule {
                path: "/users/".into(),
                methods: Some(vec![Method::POST]),
                allow: Allow::Roles(vec![Role::Administrator]),
                reauthenticate: Some(Duration::from_secs(600)),
            },
        ]
    );
    assert_eq!(config.warnings, []);
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.gateway.listen, ["127.0.0.1:8443".parse().unwrap()]);
    assert_eq!(
        config.gateway.external_url.to_string(),
        "https://localhost:8443"
    );
    assert!(config.gateway.workers >= 1);
    assert_eq!(config.session.idle_timeout, Duration::from_secs(1800));
    assert_eq!(config.session.lifetime, Duration::from_secs(43_200));
    assert!(config.second_factor.required_for(Role::Operator));
    assert_eq!(config.min_password_length(Role::Operator), 12);
    assert_eq!(config.management.listen, "127.0.0.1:9443".parse().ok());
    let user = config.panels[0].identity.user.clone().unwrap();
    assert_eq!(user, "X-Forwarded-User");
}

#[test]
fn a_password_that_stands_alone_is_longer() {
    let config = parse(&with_panel(
        "[second_factor]\nrequired = [\"administrator\"]",
    ))
    .unwrap();
    assert_eq!(config.min_password_length(Role::Administrator), 12);
    assert_eq!(config.min_password_length(Role::Operator), 15);
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let text = "\
[gateway]
lisen = [\"127.0.0.1:8443\"]
external_url = \"http://localhost\"
workers = \"two\"

[session]
idle_timeout = \"13h\"
max_per_user = 0

[pasword]

[[panel]]
  [[panel.rule]]
  path = \"static\"
  allow = \"anyon\"
";
    let found = faults(text);
    let expected = [
        "p.toml:2:1: unknown key \"lisen\" in [gateway]; did you mean \"listen\"?",
        "p.toml:3:16: external_url: \"http://localhost\" does not begin with https://; \
         write it like \"https://admin.example.org\"",
        "p.toml:4:11: workers: this is a text, and has to be a whole number",
        "p.toml:7:16: idle_timeout is longer than lifetime and would never take effect; \
         make it the same or shorter",
        "p.toml:8:16: max_per_user: a number from 1 to 10000 is possible here",
        "p.toml:10:2: unknown key \"pasword\" in the top of the file; did you mean \"password\"?",
        "p.toml:12:1: this panel has no upstream; say where it is, like \
         upstream = \"http://127.0.0.1:8080\"",
        "p.toml:14:10: path: \"static\" does not begin with /; write \"/static\"",
        "p.toml:15:11: allow: \"anyon\" is not possible; did you mean \"anyone\"?",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let passkeys = "second_factor.kinds = [\"totp\", \"passkey\"]";
    assert_fault(&with_panel(passkeys), "not built yet");
    for lines in [
        "cookies = \"vault\"",
        "[[panel.password_change]]\nmethod = \"POST\"",
    ] {
        assert_fault(&format!("{MINIMAL}{lines}"), "not built yet");
    }
}

/// Lines above the panel, and what is said of them.
const BAD_SECTIONS: &[(&str, &str)] = &[
    ("gateway.listen = []", "at least one address"),
    (
        "gateway.listen = [\"localhost:1\"]",
        "IP address and a port",
    ),
    ("gateway.listen = [\"[::1]:1\", \"[::1]:1\"]", "twice"),
    (
        "gateway.listen = [\"127.0.0.1:9443\"]",
        "an address of its own",
    ),
    (
        "gateway.redirect_http = [\"127.0.0.1:9443\"]",
        "an address of its own",
    ),
    (
        "gateway.listen = [\"[::1]:1\"]\ngateway.redirect_http = [\"[::1]:1\"]",
        "twice",
    ),
    (
        "gateway.listen_plain = [\"127.0.0.1:1\"]",
        "name the proxy's address in trusted_proxies",
    ),
    ("gateway.listen_plain = [\"unix:\"]", "a path is needed"),
    (
        "gateway.trusted_proxies = [\"10.0.0.1/8\"]",
        "\"10.0.0.0/8\"",
    ),
    ("gateway.trusted_proxies = [\"proxy\"]", "no network"),
    (
        "gateway.proxy_protocol = \"v2\"",
        "\"auto\", \"required\" or \"off\"",
    ),
    (
        "gateway.drain = \"5s\"\ngateway.websocket_grace = \"6s\"",
        "longer than drain",
    ),
    ("gateway.connections_per_address = 0", "from 1 to"),
    ("gateway.data_dir = \"\"", "a path is needed"),
    ("gateway = 7", "written [gateway]"),
    ("storage.url = \"mysql\"", "\"sqlite\" is possible"),
    (
        "storage.url = \"postgres://u:secret@h\"",
        "names no database",
    ),
    (
        "storage.url = \"postgres://u:secret@h:x/db\"",
        "can't be read",
    ),
    ("storage.url = \"env:PORTCULLIS_NOT_SET\"", "is not set"),
    (
        "storage.url = \"file:/nowhere/url\"",
        "can't read /nowhere/url",
    ),
    ("storage.max_staleness = \"2m\"", "too long"),
    ("storage.ca = \"ca.pem\"", "nothing to connect to"),
    (
        "second_factor.required = \"yes\"",
        "true, false or a list of roles",
    ),
    ("second_factor.required = [\"admin\"]", "no role"),
    ("second_factor.kinds = []", "at least one kind"),
    ("password.min_length = 7", "from 8 to 128"),
    (
        "password.min_length = 99999999999999999999",
        "from 8 to 128",
    ),
    ("tls.development = 1", "true or false"),
    ("colour = 1", "possible here: gateway"),
];

/// Lines inside the panel, and what is said of them.
const BAD_PANELS: &[(&str, &str)] = &[
    ("name = \" b\"", "no name for a panel"),
    ("max_body = \"10 MB\"", "no size"),
    ("max_body = 10", "a text"),
    ("max_requests = -1", "from 0"),
    ("answer_timeout = \"0s\"", "no time"),
    ("health_path = \"health\"", "no path"),
    ("health_path = \"/a b\"", "no path"),
    ("health_failures = 0", "from 1"),
    (
        "[[panel]]\nupstream = \"unix:p\"\nhost = \"b\"",
        "two panels are called",
    ),
    (
        "[[panel]]\nupstream = \"unix:p\"\nname = \"b\"",
        "for this host already",
    ),
    (
        "[[panel]]\nupstream = \"unix:p\"\nname = \"b\"\nhost = \"localhost\"",
        "for this host already",
    ),
    (
        "host = \"*\"\n[[panel]]\nupstream = \"unix:p\"\nname = \"b\"\nhost = \"*\"",
        "for this host already",
    ),
    ("host = \"a:1\"", "without its port"),
    ("upstream_ca = \"ca.pem\"", "begins with https://"),
    ("upstream_certificate = \"c.pem\"", "begins with https://"),
    ("upstream_certificate = \"sha256:12\"", "64 hexadecimal"),
    ("upstream_name = \"panel\"", "begins with https://"),
    ("upstream_name = \"panel:1\"", "a name alone"),
    ("cookies = \"no\"", "\"pass\" is"),
    (
        "identity.headers = { user = \"Host\" }",
        "a meaning of its own",
    ),
    (
        "identity.headers = { user = \"X_User\" }",
        "letters, digits and -",
    ),
    (
        "identity.headers = { user = \"X-Forwarded-Role\" }",
        "the same name",
    ),
    (
        "identity.headers = { name = \"X-Name\" }",
        "unknown key \"name\"",
    ),
    ("rule = 1", "[[panel.rule]]"),
    ("[[panel.rule]]", "no path"),
    ("[[panel.rule]]\npath = \"/a/../b\"", "dot segment"),
    ("[[panel.rule]]\npath = \"/a//b\"", "two slashes"),
    ("[[panel.rule]]\npath = \"/%61\"", "'%'"),
    ("[[panel.rule]]\npath = \"/a;b\"", "';'"),
    ("[[panel.rule]]\npath = \"/{id}\"", "'{'"),
    ("path_reading = \"loose\"", "\"folded\" and \"exact\""),
    (
        "[[panel.rule]]\npath = \"/\"\nmethods = [\"track\"]",
        "never forwarded",
    ),
    (
        "[[panel.rule]]\npath = \"/\"\nmethods = [\"PROPFIND\"]\nallow = \"anyone\"",
        "signed in alone",
    ),
    (
        "[[panel.rule]]\npath = \"/Users/\"\nallow = [\"manager\"]\n[[panel.rule]]\npath = \"/users/\"\nallow = [\"administrator\"]",
        "no role satisfies both",
    ),
    (
        "[[panel.rule]]\npath = \"/\"\nmethods = [\"get\"]",
        "\"get\" is no method",
    ),
    (
        "[[panel.rule]]\npath = \"/\"\nmethods = []",
        "matches nothing",
    ),
    ("[[panel.rule]]\npath = \"/\"\nallow = []", "nobody pass"),
    (
        "[[panel.rule]]\npath = \"/\"\nallow = \"manager\"",
        "[\"manager\"]",
    ),
    (
        "[[panel.rule]]\npath = \"/\"\nallow = \"anyone\"\nreauthenticate = \"1m\"",
        "nobody signs in",
    ),
];

#[test]
fn behind_a_proxy_there_may_be_no_listener_for_https() {
    let lines = "gateway.listen = []\ngateway.listen_plain = [\"unix:/run/p.sock\"]";
    let gateway = parse(&with_panel(lines)).unwrap().gateway;
    assert!(gateway.listen.is_empty());
    assert_eq!(gateway.listen_plain.len(), 1);
}

#[test]
fn impossible_values_are_refused() {
    for (lines, part) in BAD_SECTIONS {
        assert_fault(&with_panel(lines), part);
    }
    for (lines, part) in BAD_PANELS {
        assert_fault(&format!("{MINIMAL}{lines}"), part);
    }
    assert_fault("", "there is no panel");
    assert_fault("panel = 1", "two brackets");
    assert_fault("[panel]\nupstream = \"http://x\"", "two brackets");
    assert_fault("[gateway\n[[panel]]", "no TOML");
    assert_fault("[tls]\n[tls]", "no TOML");
}

#[test]
fn legal_but_unsafe_is_a_warning() {
    for (text, part) in [
        ("[[panel]]\nupstream = \"http://10.0.0.7:80\"", "firewall"),
        (
            "[[panel]]\nupstream = \"unix:p\"\n[[panel.rule]]\npath = \"/static\"\nallow = \"anyone\"",
            "nothing below it",
        ),
        (
            "[[panel]]\nupstream = \"unix:p\"\n[[panel.rule]]\npath = \"/a/\"\n\
             [[panel.rule]]\npath = \"/a/b/\"\nallow = [\"manager\"]",
            "never reached",
        ),
    ] {
        let warnings = parse(text).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{text}\n{warnings:#?}");
        assert!(warnings[0].to_string().contains(part), "{warnings:#?}");
    }
}

#[test]
fn the_portal_shares_its_host_with_no_panel() {
    let panel = "[[panel]]\nupstream = \"http://127.0.0.1:1\"\n";
    let gateway = |host: &str| format!("[gateway]\nportal_host = \"{host}\"\n");
    let workers = format!("{panel}service_workers = true\n");
    for (text, part) in [
        (
            format!("{}{panel}", gateway("localhost")),
            "no panel can share",
        ),
        (
            format!("{}{panel}host = \"p.example\"", gateway("P.example")),
            "no panel can share",
        ),
        (
            format!("{}{panel}", gateway("*")),
            "the portal has one host",
        ),
        (
            format!("{}{panel}", gateway("p.example:1")),
            "without its port",
        ),
        (
            format!("{}{panel}", gateway("https://p.example")),
            "portal_host",
        ),
        (workers.clone(), "portal_host"),
    ] {
        assert_fault(&text, part);
    }
    let apart = parse(&format!("{}{workers}", gateway("p.example"))).unwrap();
    assert_eq!(
        apart.gateway.portal_url().to_string(),
        "https://p.example:8443"
    );
    let any = format!("{}{panel}host = \"*\"", gateway("localhost"));
    assert!(parse(&any).is_ok(), "a panel for any other host");
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let faults = Config::load(Path::new("no/such.toml")).unwrap_err();
    assert!(
        faults
            .to_string()
            .starts_with("no/such.toml: the configuration can't be read")
    );
}

/// Text that looks like the file, put together from its own pieces.
fn scrambled() -> impl Strategy<Value = String> {
    let pieces: Vec<String> = COMMENTED
        .split_inclusive([' ', '\n', '"', '='])
        .map(str::to_owned)
        .collect();
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces),
        1 => any::<String>(),
        1 => Just("\u{fc}\u{1f600}".to_owned()),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_brings_the_parser_down(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_likely_text_brings_the_parser_down(text in scrambled()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_change_of_the_file_brings_the_parser_down(
        at in 0..COMMENTED.len(),
        length in 0_usize..40,
        new in any::<String>(),
    ) {
        let head: String = COMMENTED.chars().take(at).collect();
        let tail: String = COMMENTED.chars().skip(at + length).collect();
        let _ = parse(&format!("{head}{new}{tail}"));
    }

    #[test]
    fn every_fault_has_a_place_in_the_text(text in scrambled()) {
        for fault in parse(&text).err().iter().flat_map(Faults::iter) {
            let lines = text.split('\n').count();
            prop_assert!(fault.place.is_none_or(|(line, column)| line <= lines && column >= 1));
        }
    }
}
