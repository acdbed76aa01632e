//! What a panel's rules ask of a visitor.
//!
//! The first rule that matches counts. Because a panel may read the path differently, every reading
//! is put to the rules, and what is asked is the sum of what they ask: the strictest reading decides.

use std::time::Duration;

use http::Method;

use super::path::{Path, lies_below};
use crate::config::{Allow, Rule};
use crate::model::Role;

/// What a visitor must be for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Nobody is asked who it is.
    pub anyone: bool,
    /// The roles that may, where `anyone` is false.
    pub roles: Roles,
    /// How long ago the person may have signed in.
    pub reauthenticate: Option<Duration>,
}

/// Some of the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles([bool; Role::ALL.len()]);

impl Roles {
    /// These roles.
    pub fn of(roles: &[Role]) -> Self {
        Self(Role::ALL.map(|role| roles.contains(&role)))
    }

    /// Whether the role is one of them.
    pub fn contains(self, role: Role) -> bool {
        Role::ALL
            .into_iter()
            .zip(self.0)
            .any(|known| known == (role, true))
    }

    /// Those that are in both.
    fn and(self, other: Self) -> Self {
        Self(Role::ALL.map(|role| self.contains(role) && other.contains(role)))
    }
}

impl Requirement {
    fn signed_in() -> Self {
        Self {
            anyone: false,
            roles: Roles::of(&Role::ALL),
            reauthenticate: None,
        }
    }

    fn of(rule: &Rule) -> Self {
        Self {
            anyone: rule.allow == Allow::Anyone,
            roles: match &rule.allow {
                Allow::Anyone | Allow::SignedIn => Roles::of(&Role::ALL),
                Allow::Roles(roles) => Roles::of(roles),
            },
            reauthenticate: rule.reauthenticate,
        }
    }

    /// Both at once.
    fn and(self, other: Self) -> Self {
        Self {
            anyone: self.anyone && other.anyone,
            roles: self.roles.and(other.roles),
            reauthenticate: match (self.reauthenticate, other.reauthenticate) {
                (Some(one), Some(another)) => Some(one.min(another)),
                (one, another) => one.or(another),
            },
        }
    }
}

/// What these rules ask for one request.
pub fn requirement(rules: &[Rule], method: &Method, path: &Path) -> Requirement {
    let readings = path
        .readings()
        .flat_map(|text| [(text, false), (text, true)]);
    readings
        .map(|(text, fold_case)| {
            rules
                .iter()
                .find(|rule| matches(rule, method, path, text, fold_case))
                .map_or_else(Requirement::signed_in, Requirement::of)
        })
        .reduce(Requirement::and)
        .unwrap_or_else(Requirement::signed_in)
}

fn matches(rule: &Rule, method: &Method, path: &Path, text: &str, fold_case: bool) -> bool {
    if !rule
        .methods
        .as_ref()
        .is_none_or(|named| covers(named, method))
    {
        return false;
    }
    if rule.allow == Allow::Anyone {
        // Exact in letter case, and only where all readings agree.
        return path.is_canonical()
            && if rule.path.ends_with('/') {
                text.starts_with(&rule.path)
            } else {
                text == rule.path
            };
    }
    lies_below(text, rule.path.trim_end_matches('/'), fold_case)
}

/// `HEAD` asks what `GET` asks (RFC 9110 §9.3.2).
fn covers(named: &[Method], method: &Method) -> bool {
    named.contains(method) || (method == Method::HEAD && named.contains(&Method::GET))
}

#[cfg(test)]
mod tests;
