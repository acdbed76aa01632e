//! `[[panel.rule]]`: which paths are for whom.

use std::time::Duration;

use http::Method;
use toml::Spanned;
use toml::de::DeValue;

use super::fault::{Report, Span};
use super::panel::PathReading;
use super::risk::Risk;
use super::schema::Asked;
use super::value;
use super::written::{Section, list_of, nearest, wrong_type};
use crate::model::Role;
use crate::wire::fold::folded;
use crate::wire::{OPEN_METHODS, is_never_forwarded};

/// Who may reach the paths that begin with `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Begins with `/`, in canonical form; what it means for the paths below it, the gate says.
    pub path: String,
    /// `None`: every method.
    pub methods: Option<Vec<Method>>,
    pub allow: Allow,
    /// The sign-in must not be older than this.
    pub reauthenticate: Option<Duration>,
}

/// Whom a rule lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    /// Without signing in.
    Anyone,
    SignedIn,
    /// People with one of these roles; never empty.
    Roles(Vec<Role>),
}

/// The rules of a panel, in their order.
pub(super) fn understand_all(
    sections: Vec<Section<'_>>,
    reading: PathReading,
    report: &mut Report<'_>,
) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for section in sections {
        let span = section.span_of("path");
        let Some(rule) = understand(section, report) else {
            continue;
        };
        if let Some(earlier) = rules.iter().find(|earlier| earlier.hides(&rule)) {
            report.warn(
                &span,
                format!(
                    "path: this rule is never reached, as the rule for {:?} above it matches first; \
                     put the longer path first",
                    earlier.path
                ),
            );
        }
        if reading == PathReading::Folded {
            report_twins(&rules, &rule, &span, report);
        }
        rules.push(rule);
    }
    rules
}

/// Two rules for paths that a panel may take for one are asked both, whichever stands first.
fn report_twins(rules: &[Rule], rule: &Rule, span: &Span, report: &mut Report<'_>) {
    for twin in rules.iter().filter(|earlier| earlier.is_twin_of(rule)) {
        let text = format!(
            "path: {:?} and {:?} of the rule above it are one to a panel that takes no notice of letter \
             case, width or accents",
            rule.path, twin.path
        );
        if twin.allow == Allow::Anyone || rule.allow == Allow::Anyone {
            report.warn(
                span,
                format!("{text}, and one of them is open to anyone; remove one"),
            );
        } else if Role::ALL
            .iter()
            .any(|role| twin.lets_in(*role) && rule.lets_in(*role))
        {
            report.warn(
                span,
                format!("{text}, so both are asked; remove one, or say path_reading = \"exact\""),
            );
        } else {
            report.fault(
                span,
                format!(
                    "{text}, so both are asked, and no role satisfies both; remove one, or say \
                     path_reading = \"exact\" if the panel tells them apart"
                ),
            );
        }
    }
}

impl Rule {
    /// Whether every request that `later` means is taken by this rule.
    fn hides(&self, later: &Self) -> bool {
        let methods = match (&self.methods, &later.methods) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(mine), Some(theirs)) => theirs.iter().all(|method| mine.contains(method)),
        };
        // A path that is not canonical passes an `anyone` rule by and meets the later ones.
        self.allow != Allow::Anyone && methods && lies_below(&later.path, &self.path)
    }

    /// Whether one lies below the other once both are folded, and not as they are spelled.
    fn is_twin_of(&self, other: &Self) -> bool {
        let (mine, theirs) = (folded(&self.path), folded(&other.path));
        let below = |mine: &str, theirs: &str| lies_below(mine, theirs) || lies_below(theirs, mine);
        let meet = match (&self.methods, &other.methods) {
            (Some(mine), Some(theirs)) => theirs.iter().any(|method| mine.contains(method)),
            _ => true,
        };
        meet && below(&mine, &theirs) && !below(&self.path, &other.path)
    }

    fn lets_in(&self, role: Role) -> bool {
        match &self.allow {
            Allow::Anyone | Allow::SignedIn => true,
            Allow::Roles(roles) => roles.contains(&role),
        }
    }
}

/// Whether `path` is `folder` or something in it.
fn lies_below(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Option<Rule> {
    let path = path(&mut section, report);
    let methods = methods(&mut section, report);
    let allow = allow(&mut section, report);
    let reauthenticate = section.parsed("reauthenticate", None, report, |text| {
        value::duration(text).map(Some)
    });
    if allow == Allow::Anyone && path.as_deref() == Some("/") {
        report.risk(
            Risk::OpenToAnyone,
            &section.span_of("path"),
            "path: \"/\" is the whole panel, and anyone may pass without signing in",
        );
    }
    if allow == Allow::Anyone {
        let span = section.span_of("reauthenticate");
        if reauthenticate.is_some() {
            report.fault(
                &span,
                "reauthenticate: nobody signs in for a path that is open to anyone; \
                 leave it out, or allow = \"signed-in\"",
            );
        }
        let closed = |method: &&Method| !OPEN_METHODS.contains(method);
        if let Some(method) = methods.iter().flatten().find(closed) {
            report.fault(
                &section.span_of("methods"),
                format!(
                    "methods: {method} passes for people who are signed in alone; a path that is open \
                     to anyone can name GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS"
                ),
            );
        }
        if let Some(path) = path.as_ref().filter(|path| !path.ends_with('/')) {
            report.warn(
                &section.span_of("path"),
                format!(
                    "path: {path:?} is open to anyone and does not end in /, so it opens this one \
                     path and nothing below it; end it in / where a folder is meant",
                ),
            );
        }
    }
    section.finish(report);
    Some(Rule {
        path: path?,
        methods,
        allow,
        reauthenticate,
    })
}

fn path(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<String> {
    const KEY: &str = "path";
    let Some(text) = section.needed_text(KEY, report) else {
        if !section.has(KEY) {
            report.fault(
                section.span(),
                "this rule has no path; add one, like path = \"/static/\"",
            );
        }
        return None;
    };
    match canonical(text.text) {
        Ok(()) => Some(text.text.to_owned()),
        Err(why) => {
            report.fault(&text.span, format!("{KEY}: {why}"));
            None
        }
    }
}

/// Rules see one canonical path, so that any other spelling here could never match.
fn canonical(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!(
            "{path:?} does not begin with /; write {:?}",
            format!("/{path}")
        ));
    }
    let strange = |c: char| c.is_control() || c.is_whitespace() || "%;{}*?#\\".contains(c);
    if let Some(character) = path.chars().find(|&c| strange(c)) {
        return Err(format!(
            "{path:?} has {character:?} in it; a path stands here as its plain text, and everything \
             that begins with it is meant"
        ));
    }
    if path.contains("//") {
        return Err(format!("{path:?} has two slashes in a row; write one"));
    }
    if path
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err(format!(
            "{path:?} has a dot segment; write the path that it leads to"
        ));
    }
    Ok(())
}

fn methods(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Vec<Method>> {
    const KEY: &str = "methods";
    let methods = section.list(KEY, report, |text| {
        // Methods are written in upper case throughout RFC 9110; the gate folds those of requests.
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if is_never_forwarded(&method) => Err(format!(
                "{text:?} is never forwarded to a panel, so no rule is for it; leave it out"
            )),
            Ok(_) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => Err(format!(
                "{text:?} is no method, as those are in upper case; write {:?}",
                text.to_ascii_uppercase()
            )),
            Ok(method) => Ok(method),
            Err(_) => Err(format!(
                "{text:?} is no method; one like \"GET\" or \"PROPFIND\" is possible"
            )),
        }
    });
    if methods.is_some() && section.is_empty_list(KEY) {
        report.fault(
            &section.span_of(KEY),
            "methods: an empty list matches nothing; leave the key out to mean every method",
        );
    }
    methods
}

fn allow(section: &mut Section<'_>, report: &mut Report<'_>) -> Allow {
    const KEY: &str = "allow";
    let Some(value) = section.value(KEY, Asked::Any, report) else {
        return Allow::SignedIn;
    };
    let span = value.span();
    match value.get_ref() {
        DeValue::String(text) => word(text, &span, report),
        DeValue::Array(_) => listed(value, report),
        _ => {
            wrong_type(
                KEY,
                "\"anyone\", \"signed-in\" or a list of roles",
                value,
                report,
            );
            Allow::SignedIn
        }
    }
}

const ANYONE: &str = "anyone";
const SIGNED_IN: &str = "signed-in";
const WORDS: [&str; 2] = [ANYONE, SIGNED_IN];

/// One thing that a list may name.
enum Named {
    Anyone,
    SignedIn,
    Role(Role),
}

/// Roles, or one of the two words alone.
fn listed<'a>(value: &'a Spanned<DeValue<'a>>, report: &mut Report<'_>) -> Allow {
    if matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()) {
        report.fault(
            &value.span(),
            "allow: an empty list lets nobody pass; name at least one role",
        );
    }
    let named = list_of("allow", value, report, one_of).unwrap_or_default();
    let has_anyone = named.iter().any(|one| matches!(one, Named::Anyone));
    let has_signed_in = named.iter().any(|one| matches!(one, Named::SignedIn));
    let roles: Vec<Role> = named
        .into_iter()
        .filter_map(|one| match one {
            Named::Role(role) => Some(role),
            Named::Anyone | Named::SignedIn => None,
        })
        .collect();
    match (has_anyone, has_signed_in, roles.is_empty()) {
        (true, false, true) => return Allow::Anyone,
        (false, true, true) => return Allow::SignedIn,
        (true, _, _) => report.fault(
            &value.span(),
            "allow: \"anyone\" lets everybody pass without a sign-in, and what stands beside it asks for \
             one; write [\"anyone\"] alone, or leave it out",
        ),
        (false, true, false) => report.fault(
            &value.span(),
            "allow: \"signed-in\" is every role already; write [\"signed-in\"] alone, or leave it out",
        ),
        (false, false, _) => {}
    }
    Allow::Roles(roles)
}

fn one_of(text: &str) -> Result<Named, String> {
    match text {
        ANYONE => Ok(Named::Anyone),
        SIGNED_IN => Ok(Named::SignedIn),
        group if group.starts_with("group:") => Err(format!(
            "{group:?}: groups are not built yet, and nothing would obey it; name roles"
        )),
        role => value::role(role)
            .map(Named::Role)
            .map_err(|why| match nearest(role, &WORDS) {
                Some(near) => format!("{role:?} is not possible; did you mean {near:?}?"),
                None => why,
            }),
    }
}

fn word(text: &str, span: &Span, report: &mut Report<'_>) -> Allow {
    let message = match text {
        ANYONE => return Allow::Anyone,
        SIGNED_IN => return Allow::SignedIn,
        role if role.parse::<Role>().is_ok() => format!("roles stand in a list: write [{role:?}]"),
        other => match nearest(other, &WORDS) {
            Some(near) => format!("{other:?} is not possible; did you mean {near:?}?"),
            None => format!(
                "{other:?} is not possible; \"anyone\", \"signed-in\" or a list of roles is"
            ),
        },
    };
    report.fault(span, format!("allow: {message}"));
    Allow::SignedIn
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Faults};
    use super::*;

    const FILE: &str = "[[panel]]\nupstream = \"unix:p\"\n[[panel.rule]]\npath = \"/x/\"\nallow = ";

    fn read(allow: &str) -> Result<Config, Faults> {
        Config::parse(&format!("{FILE}{allow}\n"), Path::new("p.toml"))
    }

    #[test]
    fn a_word_stands_by_itself_or_alone_in_a_list() {
        for (allow, expected) in [
            ("\"anyone\"", Allow::Anyone),
            ("[\"anyone\"]", Allow::Anyone),
            ("[\"anyone\", \"anyone\"]", Allow::Anyone),
            ("\"signed-in\"", Allow::SignedIn),
            ("[\"signed-in\"]", Allow::SignedIn),
            ("[\"manager\"]", Allow::Roles(vec![Role::Manager])),
        ] {
            let config = read(allow).unwrap();
            assert_eq!(config.panels[0].rules[0].allow, expected, "{allow}");
            assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        }
    }

    #[test]
    fn a_list_that_contradicts_itself_is_a_fault_with_its_place() {
        for (allow, words) in [
            ("[\"anyone\", \"manager\"]", "\"anyone\" lets everybody"),
            ("[\"manager\", \"anyone\"]", "\"anyone\" lets everybody"),
            ("[\"signed-in\", \"anyone\"]", "\"anyone\" lets everybody"),
            ("[\"manager\", \"signed-in\"]", "every role already"),
            ("[\"anyon\"]", "did you mean \"anyone\"?"),
            ("[\"signed_in\"]", "did you mean \"signed-in\"?"),
            ("[\"managr\"]", "did you mean \"manager\"?"),
            ("[\"Anyone\"]", "did you mean \"anyone\"?"),
            ("[\"manager\", \"group:staff\"]", "groups are not built yet"),
            ("[\"group:staff\"]", "groups are not built yet"),
            ("[[\"anyone\"]]", "a text in quotes"),
            ("[]", "nobody pass"),
            ("[\"anyone\"]\nreauthenticate = \"1m\"", "nobody signs in"),
        ] {
            let faults = read(allow).unwrap_err();
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert_eq!(faults.len(), 1, "{allow}: {faults:?}");
            let line = if allow.contains('\n') { 6 } else { 5 };
            assert!(
                faults[0].starts_with(&format!("p.toml:{line}:")),
                "{faults:?}"
            );
            assert!(faults[0].contains(words), "{allow}: {faults:?}");
        }
    }
}
