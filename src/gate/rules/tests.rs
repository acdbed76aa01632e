//! Tables, and the property that no panel reads a path more strictly than the gate.

use http::Method;
use proptest::prelude::*;

use super::{Requirement, requirement};
use crate::config::{Allow, Rule};
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
    requirement(&rules(), method, &Path::parse(path).unwrap())
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
        (Method::GET, "/static/%252e%252e/users/", true, all.clone()),
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

/// How a panel may read a path. Sixteen of these stand for the servers and frameworks that are known
/// to differ; a path that needs a dot segment to be resolved never gets here.
#[derive(Debug, Clone, Copy)]
struct Model {
    decodes: bool,
    cuts_parameters: bool,
    merges_slashes: bool,
    folds_case: bool,
}

impl Model {
    fn all() -> impl Iterator<Item = Self> {
        (0..16_u8).map(|bits| Self {
            decodes: bits & 1 != 0,
            cuts_parameters: bits & 2 != 0,
            merges_slashes: bits & 4 != 0,
            folds_case: bits & 8 != 0,
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
            text = text.to_ascii_lowercase();
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
        "/", "/", "//", ".", "..", "%2e", "%2f", "%2F", "%5c", "\\", ";", "%3b", "%00", "%25", "#",
        "?", "static", "static", "users", "users", "reports", "USERS", "Static", "%73tatic",
        "user%73", "é", "%C3%A9", "a", "=",
    ]);
    prop::collection::vec(token, 0..9).prop_map(|tokens| format!("/{}", tokens.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_panel_is_stricter_than_the_gate(path in paths(), post in any::<bool>()) {
        let method = if post { Method::POST } else { Method::GET };
        if let Ok(parsed) = Path::parse(&path) {
            let asked = requirement(&rules(), &method, &parsed);
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
