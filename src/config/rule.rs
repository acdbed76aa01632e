//! `[[panel.rule]]`: which paths are for whom.

use std::time::Duration;

use http::Method;
use toml::de::DeValue;

use super::fault::{Report, Span};
use super::risk::Risk;
use super::schema::Asked;
use super::value;
use super::written::{Section, list_of, nearest, wrong_type};
use crate::model::Role;
use crate::wire::FORWARDED_METHODS;

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
pub(super) fn understand_all(sections: Vec<Section<'_>>, report: &mut Report<'_>) -> Vec<Rule> {
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
        rules.push(rule);
    }
    rules
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
        let known = FORWARDED_METHODS
            .iter()
            .find(|method| method.as_str() == text);
        known.cloned().ok_or_else(|| {
            let names: Vec<&str> = FORWARDED_METHODS.iter().map(Method::as_str).collect();
            format!(
                "{text:?} is no method that can be named here; possible are {}",
                names.join(", ")
            )
        })
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
        DeValue::Array(items) => {
            if items.is_empty() {
                report.fault(
                    &span,
                    "allow: an empty list lets nobody pass; name at least one role",
                );
            }
            Allow::Roles(list_of(KEY, value, report, value::role).unwrap_or_default())
        }
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

fn word(text: &str, span: &Span, report: &mut Report<'_>) -> Allow {
    const WORDS: [&str; 2] = ["anyone", "signed-in"];
    let message = match text {
        "anyone" => return Allow::Anyone,
        "signed-in" => return Allow::SignedIn,
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
