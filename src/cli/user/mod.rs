//! `portcullis user …`: people and their sessions.

mod add;
mod list;
mod logout;
mod password;

use clap::Subcommand;
use serde_json::Value;

use super::failure::Done;
use super::output;
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add somebody, and print a one-time link to set a password with
    Add(add::Add),
    /// List everybody
    List(super::Form),
    /// Set a password, which ends every session of its user
    Password(password::Password),
    /// End every session of a user, or of everybody
    Logout(logout::Logout),
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Self::Add(add) => add.run(settings).await,
            Self::List(form) => list::run(settings, form).await,
            Self::Password(password) => password.run(settings).await,
            Self::Logout(logout) => logout.run(settings).await,
        }
    }
}

/// What a revocation came to, in a sentence.
fn ended(whose: &str, outcome: &Value) -> String {
    let number = |field: &str| outcome.get(field).and_then(Value::as_u64).unwrap_or(0);
    format!(
        "{} of {whose} ended, {} closed.",
        output::count(number("sessions_ended"), "session"),
        output::count(number("connections_closed"), "open connection"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outcomes_are_sentences() {
        let outcome = json!({ "sessions_ended": 1, "connections_closed": 2 });
        assert_eq!(
            ended("ada", &outcome),
            "1 session of ada ended, 2 open connections closed."
        );
    }
}
