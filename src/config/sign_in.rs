//! `[second_factor]` and `[password]`: what a sign-in demands.

use toml::de::DeValue;

use super::fault::Report;
use super::risk::{self, Risk};
use super::schema::Asked;
use super::throttle::{self, Rate};
use super::value;
use super::written::{Section, list_of, wrong_type};
use crate::model::Role;

/// Who needs a second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactor {
    required: Vec<Role>,
    /// How many wrong codes of one user are allowed.
    pub throttle: Rate,
}

/// What a password has to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// In characters; roles without a second factor need at least 15.
    pub min_length: usize,
    /// How many of the last passwords can't be taken again, the current one among them.
    pub history: usize,
}

impl SecondFactor {
    /// Whether people with this role sign in with a second factor.
    pub fn required_for(&self, role: Role) -> bool {
        self.required.contains(&role)
    }

    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let required = required(&mut section, report);
        let kinds = section.list("kinds", report, |kind| match kind {
            "totp" => Ok(()),
            "passkey" => Err("\"passkey\" is not built yet; [\"totp\"] is possible".to_owned()),
            other => Err(format!(
                "{other:?} is no kind of second factor; [\"totp\"] is possible"
            )),
        });
        if kinds.is_some() && section.is_empty_list("kinds") {
            report.fault(
                &section.span_of("kinds"),
                "kinds: at least one kind is needed, like [\"totp\"]; \
                 to sign in without a second factor set required = false",
            );
        }
        let throttle = section.parsed("throttle", Rate::of(10), report, throttle::rate);
        risk::of_rate(
            &section,
            "throttle",
            throttle,
            risk::GUESSES_OF_USER,
            report,
        );
        if !required.contains(&Role::Administrator) {
            report.risk(
                Risk::NoSecondFactor,
                &section.span_of("required"),
                "required: administrators sign in with a password alone, and anyone who steals it manages all users",
            );
        }
        section.finish(report);
        Self { required, throttle }
    }
}

impl PasswordPolicy {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let min_length = section.number("min_length", 12, &(MIN_LENGTH..=MAX_MIN_LENGTH), report);
        let history = section.number("history", 10, &(0..=MAX_HISTORY), report);
        section.finish(report);
        Self {
            min_length,
            history,
        }
    }
}

/// `true`, `false` or a list of roles.
fn required(section: &mut Section<'_>, report: &mut Report<'_>) -> Vec<Role> {
    const KEY: &str = "required";
    let all = Role::ALL.to_vec();
    let Some(value) = section.value(KEY, Asked::Any, report) else {
        return all;
    };
    match value.get_ref() {
        DeValue::Boolean(true) => all,
        DeValue::Boolean(false) => Vec::new(),
        DeValue::Array(_) => list_of(KEY, value, report, value::role).unwrap_or(all),
        _ => {
            wrong_type(KEY, "true, false or a list of roles", value, report);
            all
        }
    }
}

/// What a password that stands alone needs (NIST SP 800-63B-4 §3.1.1.2).
pub(super) const MIN_ALONE: usize = 15;
/// The least that may be configured, by the same section.
const MIN_LENGTH: usize = 8;
const MAX_MIN_LENGTH: usize = 128;
/// Each costs a hash when a password is set.
const MAX_HISTORY: usize = 24;
