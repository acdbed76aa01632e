//! What a panel's rules ask of a visitor.
//!
//! The first rule that matches counts. Because a panel may read the path differently, a rule that some
//! panel may take for meant counts too, until one matches on every reading: what is asked is the sum of
//! what they all ask, so the strictest decides.

use std::time::Duration;

use http::Method;

use super::path::Path;
use crate::config::{Allow, PathReading, Rule};
use crate::model::Role;
use crate::wire::OPEN_METHODS;

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
    pub(super) fn and(self, other: Self) -> Self {
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

/// How far a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    /// On every reading.
    Surely,
    /// On every reading of a panel that takes no notice of letter case.
    Folded,
    /// On some reading.
    Perhaps,
    Never,
}

/// What these rules ask for one request to a panel that reads paths in this way.
pub fn requirement(
    rules: &[Rule],
    reading: PathReading,
    method: &Method,
    path: &Path,
) -> Requirement {
    let mut sum: Option<Requirement> = None;
    let mut folded = false;
    for rule in rules {
        let found = matches(rule, reading, method, path);
        // The first that matches without letter case hides the later ones from a panel without it.
        let hidden = found == Match::Folded && folded;
        if found == Match::Never || hidden {
            continue;
        }
        folded |= found == Match::Folded;
        let asked = Requirement::of(rule);
        sum = Some(match sum {
            Some(sum) => sum.and(asked),
            None => asked,
        });
        if found == Match::Surely {
            return sum.unwrap_or_else(Requirement::signed_in);
        }
    }
    // On some reading no rule matches.
    let rest = Requirement::signed_in();
    sum.map_or(rest.clone(), |sum| sum.and(rest))
}

fn matches(rule: &Rule, reading: PathReading, method: &Method, path: &Path) -> Match {
    let Some(exact_method) = covers(rule.methods.as_deref(), method) else {
        return Match::Never;
    };
    if rule.allow == Allow::Anyone {
        // Exact in letter case, and only where all readings agree.
        let open = match rule.path.ends_with('/') {
            true => path.as_str().starts_with(&rule.path),
            false => path.as_str() == rule.path,
        };
        let is_open = exact_method && OPEN_METHODS.contains(method);
        return match path.is_canonical() && is_open && open {
            true => Match::Surely,
            false => Match::Never,
        };
    }
    let folder = rule.path.trim_end_matches('/');
    if exact_method && path.spells_below(folder, false) {
        return Match::Surely;
    }
    match reading {
        PathReading::Folded if exact_method && path.spells_below(folder, true) => Match::Folded,
        PathReading::Folded if path.may_lie_below(&rule.path) => Match::Perhaps,
        PathReading::Exact if path.lies_exactly_below(&rule.path) => Match::Perhaps,
        _ => Match::Never,
    }
}

/// Whether the rule is for the method, and `true` where it names it in its letter case: some panels read
/// `post` as `POST`. `HEAD` asks what `GET` asks (RFC 9110 §9.3.2).
fn covers(named: Option<&[Method]>, method: &Method) -> Option<bool> {
    let Some(named) = named else {
        return Some(true);
    };
    let is = |name: &Method| name == method || (*method == Method::HEAD && *name == Method::GET);
    if named.iter().any(is) {
        return Some(true);
    }
    let folded = |name: &Method| {
        let asked = method.as_str();
        name.as_str().eq_ignore_ascii_case(asked)
            || (asked.eq_ignore_ascii_case("HEAD") && *name == Method::GET)
    };
    named.iter().any(folded).then_some(false)
}

#[cfg(test)]
mod tests;
