//! Tables, and the property that no panel reads a path more strictly than the gate.

use http::Method;
use proptest::prelude::*;

use super::{Requirement, requirement};
use crate::config::{Allow, PathReading, Rule};
use crate::gate::path::Path;
use crate::model::Role;

fn rule(path: &str, methods: Option<&[Method]>, allow: Allow) -> Rule {
    Rule {
        path: path.to_owned(),
        methods: methods.map(<[Method]>::to_vec),
        allow,
        reauthenticate: None,
    }
}

fn rules() -> Vec<Rule> {
    vec![
        rule("/static/", None, Allow::Anyone),
        rule(
            "/users/",
            Some(&[Method::POST]),
            Allow::Roles(vec![Role::Administrator]),
        ),
        rule(
            "/reports",
            None,
            Allow::Roles(vec![Role::Administrator, Role::Manager]),
        ),
    ]
}

fn asked(method: &Method, path: &str) -> Requirement {
    requirement(
        &rules(),
        PathReading::Folded,
        method,
        &Path::parse(path).unwrap(),
    )
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn the_strictest_reading_decides() {
    use Role::{Administrator, Manager};
    let all = Role::ALL.to_vec();
    for (method, path, anyone, roles) in [
        (Method::GET, "/static/a.css", true, all.clone()),
        (Method::GET, "/static/", true, all.clone()),
        (Method::GET, "/static", false, all.clone()),
        (Method::GET, "/staticx", false, all.clone()),
        (Method::GET, "/STATIC/a", false, all.clone()),
        (Method::GET, "/static//a", false, all.clone()),
        (Method::GET, "/static/%61%20b", true, all.clone()),
        (
            Method::GET,
            "/static/%252e%252e/users/",
            false,
            vec![Administrator, Manager],
        ),
        (Method::GET, "/st%61tic/a", false, all.clone()),
        (Method::GET, "/static%2fa", false, all.clone()),
        (Method::GET, "/static/a;b", false, all.clone()),
        (Method::GET, "/users/1", false, all.clone()),
        (Method::POST, "/users/1", false, vec![Administrator]),
        (Method::POST, "/users", false, vec![Administrator]),
        (
            Method::POST,
            "/USERS/1/password",
            false,
            vec![Administrator],
        ),
        (
            Method::POST,
            "//users/1/password",
            false,
            vec![Administrator],
        ),
        (
            Method::POST,
            "/users//1/password",
            false,
            vec![Administrator],
        ),
        (Method::POST, "/users%2f1", false, vec![Administrator]),
        (
            Method::POST,
            "/users;x=1/1/password",
            false,
            vec![Administrator],
        ),
        (Method::POST, "/%75sers/1", false, vec![Administrator]),
        (Method::POST, "/usersx/1", false, all),
        (
            Method::HEAD,
            "/reports",
            false,
            vec![Administrator, Manager],
        ),
        (
            Method::GET,
            "/reports/2026",
            false,
            vec![Administrator, Manager],
        ),
    ] {
        let asked = asked(&method, path);
        assert_eq!(
            (asked.anyone, asked.roles),
            (anyone, super::Roles::of(&roles)),
            "{method} {path}"
        );
    }
}

/// How a panel may read a path. These stand for the servers and frameworks that are known
/// to differ; a path that needs a dot segment to be resolved never gets here.
#[derive(Debug, Clone, Copy)]
struct Model {
    decodes: bool,
    cuts_parameters: bool,
    merges_slashes: bool,
    folds_case: bool,
    decodes_twice: bool,
    cuts_names: bool,
}

impl Model {
    fn all() -> impl Iterator<Item = Self> {
        (0..64_u8).map(|bits| Self {
            decodes: bits & 1 != 0,
            cuts_parameters: bits & 2 != 0,
            merges_slashes: bits & 4 != 0,
            folds_case: bits & 8 != 0,
            decodes_twice: bits & 16 != 0,
            cuts_names: bits & 32 != 0,
        })
    }

    /// What this panel takes the path for, written apart from the gate's own code.
    fn read(self, raw: &str) -> String {
        let mut text = raw.to_owned();
        if self.decodes {
            text = percent_encoding::percent_decode_str(&text)
                .decode_utf8_lossy()
                .into_owned();
        }
        if self.decodes && self.decodes_twice {
            text = percent_encoding::percent_decode_str(&text)
                .decode_utf8_lossy()
                .into_owned();
        }
        if self.folds_case {
            // As Windows and some databases do: width, full case, and accents.
            use unicode_normalization::UnicodeNormalization;
            text = text
                .nfkc()
                .collect::<String>()
                .to_uppercase()
                .to_lowercase();
        }
        if self.cuts_names {
            let cut = |name: &str| {
                let end = name.find(['?', '#', ':']).unwrap_or(name.len());
                let name = name[..end].trim_matches([' ', '+']);
                let name = name.trim_end_matches(['.', ' ']);
                match name.rfind('.') {
                    Some(at) if at > 0 => name[..at].to_owned(),
                    _ => name.to_owned(),
                }
            };
            text = text.split('/').map(cut).collect::<Vec<_>>().join("/");
        }
        if self.cuts_parameters {
            let mut kept = String::new();
            let mut skipping = false;
            for c in text.chars() {
                skipping = (skipping || c == ';') && c != '/';
                if !skipping {
                    kept.push(c);
                }
            }
            text = kept;
        }
        if self.merges_slashes {
            while text.contains("//") {
                text = text.replace("//", "/");
            }
        }
        if self.folds_case {
            text.make_ascii_lowercase();
        }
        text
    }

    /// Whom this panel's own rules would let in: nobody asked, or these roles.
    fn lets_in(self, method: &Method, raw: &str) -> Option<Vec<Role>> {
        let text = self.read(raw);
        if text.starts_with("/static/") {
            return None;
        }
        if *method == Method::POST && (text == "/users" || text.starts_with("/users/")) {
            return Some(vec![Role::Administrator]);
        }
        if text == "/reports" || text.starts_with("/reports/") {
            return Some(vec![Role::Administrator, Role::Manager]);
        }
        Some(Role::ALL.to_vec())
    }
}

fn paths() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "/",
        "/",
        "//",
        ".",
        "..",
        "%2e",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        ";",
        "%3b",
        "%00",
        "%25",
        "#",
        "?",
        "static",
        "static",
        "users",
        "users",
        "reports",
        "USERS",
        "Static",
        "%73tatic",
        "user%73",
        "é",
        "%C3%A9",
        "a",
        "=",
        "%2575sers",
        "u%C5%BFers",
        "report\u{ff53}",
        ".json",
        "%20",
        "%3f",
        ":x",
        "%252f",
        "%253b",
        "%252e",
        "user",
        "s",
    ]);
    prop::collection::vec(token, 0..9).prop_map(|tokens| format!("/{}", tokens.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_panel_is_stricter_than_the_gate(path in paths(), post in any::<bool>()) {
        let method = if post { Method::POST } else { Method::GET };
        if let Ok(parsed) = Path::parse(&path) {
            let asked = requirement(&rules(), PathReading::Folded, &method, &parsed);
            for model in Model::all() {
                match model.lets_in(&method, &path) {
                    None => {}
                    Some(roles) => {
                        prop_assert!(!asked.anyone, "{path} is open, but {model:?} asks for {roles:?}");
                        for role in Role::ALL.into_iter().filter(|role| asked.roles.contains(*role)) {
                            prop_assert!(roles.contains(&role), "{path} lets {role} in, {model:?} does not");
                        }
                    }
                }
            }
        }
    }
}

/// What some program takes for a path below `/users/`, or for `/stocks/`.
#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn an_odd_spelling_is_judged_as_what_it_may_mean() {
    let rules = vec![
        rule("/users/", None, Allow::Roles(vec![Role::Administrator])),
        rule("/stocks/", None, Allow::Roles(vec![Role::Administrator])),
        rule("/open/", None, Allow::Anyone),
    ];
    let asks = |reading, path: &str| {
        let path = Path::parse(path).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        requirement(&rules, reading, &Method::GET, &path)
    };
    for path in [
        "/u%C5%BFers/",
        "/u%c5%bfers",
        "/stoc%E2%84%AAs/x",
        "/users%3fx",
        "/users%3Fx/y",
        "/users.json",
        "/users.tar.gz",
        "/users%20/x",
        "/users./x",
        "/users.%20./x",
        "/users+/x",
        "/%20users/x",
        "/%EF%BD%95%EF%BD%93%EF%BD%85%EF%BD%92%EF%BD%93/",
        "/%2575sers/",
        "/%252575sers/1",
        "/%25252575sers/1",
        "/%2525252525252575sers/",
        "/users%23x",
        "/users%2500.css",
        "/users::$DATA",
        "/users:x/y",
        "/USERS::$INDEX_ALLOCATION/x",
        "/users;a=b",
        "/users%253b/x",
        "/users%252f1",
        "/users%255c1",
        "/users%ef%bc%8f1",
        "/users%e2%88%951",
        "/users%c2%a51",
        "/x%252f..%252fusers",
        "/%E2%80%A5/x",
        "/%25c0%25ae/",
        "/%25u0075sers/",
        "/us%25ers/",
        "/u%cc%81sers/",
        "/us%e2%80%8bers/",
        "/us%250aers/",
        "//x/users/1",
        "/USERS~1/x",
        "/us1a2b~1/x",
        "/use%3c%3c/x",
        "/use*/x",
        "/UsErS/",
        "/users%22json",
        "/...;/users/",
        "/%ef%bc%8575sers",
    ] {
        let asked = asks(PathReading::Folded, path);
        assert_eq!(
            asked.roles,
            super::Roles::of(&[Role::Administrator]),
            "{path}"
        );
        assert!(!asked.anyone, "{path}");
    }
    for path in [
        "/",
        "/usersx",
        "/user",
        "/userses.json",
        "/my/users",
        "/users-list",
        "/files/100%25",
        "/~users/",
        "/files/a%20b.json",
        "/wiki/%D0%A1%D1%82%D1%80",
        "/a.b/users",
        "/search/%3Fusers",
        "/users%20guide",
    ] {
        let asked = asks(PathReading::Folded, path);
        assert_eq!(asked.roles, super::Roles::of(&Role::ALL), "{path}");
    }
    for path in [
        "/users.json",
        "/Users/",
        "/%2575sers/",
        "/users%3fx",
        "/u%C5%BFers/",
    ] {
        let asked = asks(PathReading::Exact, path);
        assert_eq!(asked.roles, super::Roles::of(&Role::ALL), "{path}");
    }
    for path in [
        "/users",
        "/users/1",
        "/%75sers/",
        "//users",
        "/users;x/1",
        "/users%2f1",
    ] {
        let asked = asks(PathReading::Exact, path);
        assert_eq!(
            asked.roles,
            super::Roles::of(&[Role::Administrator]),
            "{path}"
        );
    }
    for path in [
        "/open/a%20b.json",
        "/open/%D0%A1?",
        "/open/users.json",
        "/open/%253f",
    ] {
        let path = path.trim_end_matches('?');
        assert!(asks(PathReading::Folded, path).anyone, "{path}");
    }
}

/// The first rule that surely matches ends the search, however odd the rest of the path is.
#[test]
fn a_rule_that_surely_matches_hides_the_later_ones() {
    let rules = vec![
        rule("/users/me", None, Allow::SignedIn),
        rule("/users/", None, Allow::Roles(vec![Role::Administrator])),
    ];
    let all = super::Roles::of(&Role::ALL);
    let few = super::Roles::of(&[Role::Administrator]);
    for (path, roles) in [
        ("/users/me", all),
        ("/users/me/J%C3%B6rg.json", all),
        ("/USERS/ME", all),
        ("/users/me.json", few),
        ("/users/%6de", few),
        ("/users/you", few),
    ] {
        let path = Path::parse(path).unwrap();
        let asked = requirement(&rules, PathReading::Folded, &Method::GET, &path);
        assert_eq!(asked.roles, roles, "{path:?}");
    }
}

#[test]
fn any_method_can_be_named_and_none_slips_by_in_another_letter_case() {
    let named = |name: &str| Method::from_bytes(name.as_bytes()).unwrap();
    let rules = vec![
        rule(
            "/users/",
            Some(&[Method::POST, Method::GET, named("MOVE")]),
            Allow::Roles(vec![Role::Administrator]),
        ),
        rule("/", None, Allow::Anyone),
    ];
    for (method, anyone, closed) in [
        ("POST", false, true),
        ("post", false, true),
        ("Move", false, true),
        ("MOVE", false, true),
        ("HEAD", false, true),
        ("head", false, true),
        ("PROPFIND", false, false),
        ("PUT", true, false),
        ("put", false, false),
    ] {
        let path = Path::parse("/users/1").unwrap();
        let asked = requirement(&rules, PathReading::Folded, &named(method), &path);
        assert_eq!(asked.anyone, anyone, "{method}");
        let roles = super::Roles::of(&[Role::Administrator]);
        assert_eq!(asked.roles == roles, closed, "{method}");
    }
}
