//! `portcullis user …`: people and their sessions.

mod account;
mod add;
mod list;
mod logout;
mod password;

use clap::Subcommand;
use serde_json::Value;

use super::failure::Done;
use super::output::{self, number};
use super::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add somebody, and print a one-time link to set a password with
    #[command(
        after_help = "Examples:\n  portcullis user add ada --role administrator\n  \
                      pass show ada | portcullis user add ada --role manager --password-stdin"
    )]
    Add(add::Add),
    /// List everybody
    #[command(after_help = "Example:\n  portcullis user list")]
    List(super::Form),
    /// Show one account
    #[command(after_help = "Example:\n  portcullis user show ada")]
    Show(account::Account),
    /// Make a new one-time link to set a password with; an older one is dead from then on
    #[command(
        after_help = "For a link that has expired, or a forgotten password.\n\n\
                      Example:\n  portcullis user link ada"
    )]
    Link(account::Account),
    /// Set a password, which ends every session of its user
    #[command(
        after_help = "Without an option it is asked for, at a terminal. Passwords are never arguments: everybody \
                      on the machine could read them there.\n\nExamples:\n  portcullis user password ada\n  \
                      portcullis user password ada --generate"
    )]
    Password(password::Password),
    /// End every session of a user, or of everybody: on disk, in memory, and every open connection
    #[command(
        after_help = "Examples:\n  portcullis user logout ada\n  portcullis user logout --everyone\n\n\
                      The password stays. Where it may be known to others: portcullis user password NAME"
    )]
    Logout(logout::Logout),
    /// Refuse sign-in from now on, and end every session
    #[command(after_help = "Example:\n  portcullis user disable ada")]
    Disable(account::Account),
    /// Let a disabled user sign in again
    #[command(after_help = "Example:\n  portcullis user enable ada")]
    Enable(account::Account),
    /// Remove an account for good, and end every session
    #[command(
        after_help = "What the user did stays in the audit list.\n\nExample:\n  portcullis user remove ada"
    )]
    Remove(account::Account),
    /// Remove the second factor (a lost phone), and end every session; the next sign-in sets up a new one
    #[command(
        after_help = "From then until that sign-in the password alone protects the account.\n\n\
                      Example:\n  portcullis user reset-second-factor ada"
    )]
    ResetSecondFactor(account::Account),
}

impl User {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        match self {
            Self::Add(add) => add.run(settings).await,
            Self::List(form) => list::run(settings, form).await,
            Self::Link(account) => account.link(settings).await,
            Self::Password(password) => password.run(settings).await,
            Self::Logout(logout) => logout.run(settings).await,
            Self::Show(account) => account.show(settings).await,
            Self::Disable(account) => account.disable(settings).await,
            Self::Enable(account) => account.enable(settings).await,
            Self::Remove(account) => account.remove(settings).await,
            Self::ResetSecondFactor(account) => account.reset_second_factor(settings).await,
        }
    }
}

/// Whether somebody may sign in.
fn state(user: &Value) -> &'static str {
    let is = |member| user.get(member).and_then(Value::as_bool) == Some(true);
    match (is("disabled"), is("locked")) {
        (true, _) => "disabled",
        (false, true) => "locked",
        (false, false) => "active",
    }
}

/// What a revocation came to, in a sentence.
pub(super) fn ended(whose: &str, outcome: &Value) -> String {
    format!(
        "{} of {whose} ended, {} closed.",
        output::count(number(outcome, "sessions_ended"), "session"),
        output::count(number(outcome, "connections_closed"), "open connection"),
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
