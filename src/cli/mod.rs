//! The command line: one file a command.
//!
//! Every command that changes something makes a call of the management API (`client`): at the socket
//! of the gateway that runs, else in this process on the store itself. So a command can do nothing that
//! a call can't, and does it in the same way.

mod check;
mod client;
mod demo;
mod failure;
mod legacy_panel;
mod output;
mod password;
mod serve;
mod settings;
mod token;
mod user;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};

use self::failure::Done;
use self::settings::Settings;

/// A session gateway for admin panels that you can't change.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100)]
struct Portcullis {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a small legacy panel and the gateway in front of it, to try things out
    Demo(demo::Demo),
    /// Run the gateway
    Serve,
    /// Read the configuration and name every fault in it
    Check(Form),
    /// Add people, list them, set passwords, end sessions
    #[command(subcommand)]
    User(user::User),
    /// Make tokens for programs that call the management API
    #[command(subcommand)]
    Token(token::Token),
}

/// In which form data is printed.
#[derive(Debug, Clone, Copy, Args)]
struct Form {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Reads the arguments of the process, does what they say, and says how it went.
pub fn main() -> ExitCode {
    let arguments = Portcullis::parse();
    match arguments.command.run(&arguments.settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let words = failure.to_string();
            if !words.is_empty() {
                eprintln!("{words}");
            }
            ExitCode::from(failure.code())
        }
    }
}

impl Command {
    fn run(self, settings: &Settings) -> Done {
        match self {
            Self::Demo(demo) => demo.run(),
            Self::Serve => serve::run(settings),
            Self::Check(form) => check::run(settings, form),
            Self::User(user) => waiting_for(user.run(settings)),
            Self::Token(token) => waiting_for(token.run(settings)),
        }
    }
}

/// Runs a command that makes calls.
fn waiting_for<T>(command: impl Future<Output = Done<T>>) -> Done<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start")?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_defined() {
        Portcullis::command().debug_assert();
    }

    #[test]
    fn arguments_are_read() {
        for (line, good) in [
            ("serve", true),
            ("--config p.toml serve", true),
            ("serve --config p.toml", true),
            ("check --json", true),
            (
                "demo --listen 127.0.0.1:1 --management-listen 127.0.0.1:2 --data-dir d",
                true,
            ),
            ("demo --listen localhost", false),
            (
                "user add ada --role manager --email a@b --password-stdin --json",
                true,
            ),
            ("user add ada", false),
            ("user add a/b --role manager", false),
            ("user add ada --role boss", false),
            ("user list --json", true),
            ("user password ada --generate", true),
            ("user password ada --generate --password-stdin", false),
            ("user password ada secret", false),
            ("user logout ada", true),
            ("user logout --everyone", true),
            ("user logout", false),
            ("user logout ada --everyone", false),
            ("token add t --scope revoke,read --expires 90d", true),
            ("token add t --scope everything", false),
            ("token add t --scope read --expires soon", false),
            ("token add t", false),
            ("init", false),
            ("", false),
        ] {
            let words = std::iter::once("portcullis").chain(line.split_whitespace());
            assert_eq!(Portcullis::try_parse_from(words).is_ok(), good, "{line}");
        }
    }
}
