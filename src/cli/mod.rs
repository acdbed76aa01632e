//! The command line: one file a command.
//!
//! Every command that changes something makes a call of the management API (`client`): at the socket
//! of the gateway that runs, else in this process on the store itself. So a command can do nothing that
//! a call can't, and does it in the same way.

mod audit;
mod backup;
mod check;
mod client;
mod demo;
mod failure;
mod init;
mod legacy_panel;
mod node;
mod output;
mod pages;
mod password;
mod serve;
mod session;
mod settings;
mod store;
mod token;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};

use self::failure::{Done, Failure};
use self::settings::Settings;
use crate::core_dumps;

/// A session gateway for admin panels that you can't change.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 bad usage or bad configuration.\n\n\
                  At 3 a.m.:\n  \
                  portcullis user logout ada             end every session of ada, now\n  \
                  portcullis user password ada           a new password, which ends them too\n  \
                  portcullis user logout --everyone      end everybody's\n  \
                  portcullis audit list --follow         who does what"
)]
struct Portcullis {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a small legacy panel and the gateway in front of it, to try things out
    #[command(after_help = "Example:\n  portcullis demo --data-dir /tmp/demo")]
    Demo(demo::Demo),
    /// Write a configuration and the keys, and print the first administrator's set-up link
    #[command(
        after_help = "Nothing that is there already is ever replaced. The configuration is written to \
                      config/portcullis.toml, or where --config says.\n\nExamples:\n  \
                      portcullis init --host localhost --upstream http://127.0.0.1:8080\n  \
                      portcullis init --host panel.example.org --upstream unix:/run/panel.sock \\\n    \
                      --config /etc/portcullis/portcullis.toml --data-dir /var/lib/portcullis"
    )]
    Init(init::Init),
    /// Run the gateway
    #[command(
        after_help = "SIGTERM ends it in good order, SIGHUP has it read its configuration and certificate again. \
                      It tells what happens on the standard error, as [log] says, or RUST_LOG.\n\n\
                      Example:\n  portcullis serve --config /etc/portcullis/portcullis.toml"
    )]
    Serve,
    /// Read the configuration and name every fault in it
    #[command(
        after_help = "Exit code 2: a fault in the configuration. Exit code 1: something that --live tried \
                      failed.\n\nExamples:\n  portcullis check\n  \
                      portcullis check --live --config /etc/portcullis/portcullis.toml"
    )]
    Check(check::Check),
    /// Add people, list and change them, set passwords, end sessions
    #[command(subcommand)]
    User(user::User),
    /// See who is signed in where, and end single sessions
    #[command(subcommand)]
    Session(session::Session),
    /// Make tokens for programs that call the management API
    #[command(subcommand)]
    Token(token::Token),
    /// Read who did what to whom
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Write the whole store to a file, also while the gateway runs
    #[command(
        after_help = "The master key is not part of it; keep a copy of that apart from the backups.\n\n\
                      Example:\n  portcullis backup /backup/portcullis-$(date +%F).db"
    )]
    Backup(backup::Backup),
    /// Put a backup in the place of the store, while no gateway runs
    #[command(
        after_help = "The backup is checked whole before anything is changed, and the store that was there is kept \
                      beside the new one. Every session ends, and set-up links are dead.\n\n\
                      Example:\n  systemctl stop portcullis\n  \
                      portcullis restore /backup/portcullis-2026-11-23.db\n  systemctl start portcullis"
    )]
    Restore(backup::Restore),
    /// The gateways that share a store
    #[command(subcommand)]
    Node(node::Node),
    /// Where everything is kept
    #[command(subcommand)]
    Store(store::Store),
    /// Print a script that completes commands in your shell
    #[command(after_help = "Example:\n  \
                      portcullis completions bash > /etc/bash_completion.d/portcullis")]
    Completions(pages::Completions),
    /// Print or write the manual pages
    #[command(after_help = "Examples:\n  portcullis man | man -l -\n  \
                      portcullis man /usr/local/share/man/man1")]
    Man(pages::Manual),
    /// Print a JSON Schema of the configuration, with which editors complete and check it
    #[command(
        after_help = "Editors that know TOML (Even Better TOML, Taplo) find it by a first line in the \
                      configuration:\n  #:schema ./portcullis.schema.json\n\n\
                      Example:\n  portcullis schema > config/portcullis.schema.json"
    )]
    Schema,
}

/// In which form data is printed.
#[derive(Debug, Clone, Copy, Args)]
struct Form {
    /// Print JSON, for programs: the data, and on the standard error what went wrong
    #[arg(long)]
    json: bool,
}

/// Commands hold passwords and tokens, too.
fn forbid_core_dumps() {
    if let Err(fault) = core_dumps::forbid() {
        output::aside(&format!(
            "core dumps can't be turned off, and would hold secrets: {fault}"
        ));
    }
}

/// Reads the arguments of the process, does what they say, and says how it went.
pub fn main() -> ExitCode {
    forbid_core_dumps();
    let asked: Vec<_> = std::env::args_os().collect();
    let for_programs = asks_for_json(&asked);
    let done = match Portcullis::try_parse_from(&asked) {
        Ok(arguments) => arguments.command.run(&arguments.settings),
        // Help and version are no faults, and go to the standard output.
        Err(fault) if for_programs && fault.use_stderr() => {
            Err(Failure::usage(fault.render().to_string().trim()))
        }
        Err(fault) => fault.exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure, for_programs);
            ExitCode::from(failure.code())
        }
    }
}

/// Whether errors are to be data, too: also those of arguments that can't be read.
fn asks_for_json(arguments: &[OsString]) -> bool {
    let options = arguments.iter().take_while(|word| *word != "--");
    options.into_iter().any(|word| word == "--json")
}

fn tell(failure: &Failure, for_programs: bool) {
    let words = failure.to_string();
    if words.is_empty() {
        return;
    }
    if for_programs {
        output::aside(&failure.as_document().to_string());
        return;
    }
    let lines: Vec<_> = words.lines().map(output::tame).collect();
    output::aside(&lines.join("\n"));
}

impl Command {
    fn run(self, settings: &Settings) -> Done {
        match self {
            Self::Demo(demo) => demo.run(settings),
            Self::Init(init) => waiting_for(init.run(settings)),
            Self::Backup(backup) => waiting_for(backup.run(settings)),
            Self::Restore(restore) => waiting_for(restore.run(settings)),
            Self::Serve => serve::run(settings),
            Self::Check(check) => check.run(settings),
            Self::User(user) => waiting_for(user.run(settings)),
            Self::Session(session) => waiting_for(session.run(settings)),
            Self::Node(node) => waiting_for(node.run(settings)),
            Self::Store(store) => waiting_for(store.run(settings)),
            Self::Token(token) => waiting_for(token.run(settings)),
            Self::Audit(audit) => waiting_for(audit.run(settings)),
            Self::Completions(completions) => completions.run(Portcullis::command()),
            Self::Man(manual) => manual.run(Portcullis::command()),
            Self::Schema => pages::schema(),
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
            ("check --live --json", true),
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
            ("user disable ada", true),
            ("user reset-second-factor ada --json", true),
            ("user remove", false),
            ("session list --user ada", true),
            ("session end", false),
            ("node list --json", true),
            ("store move --to postgres://a@b/c --ca f", true),
            ("store move", false),
            ("token remove t", true),
            ("audit list --follow --after 3 --json", true),
            ("audit list --after -1", false),
            ("completions bash", true),
            ("completions", false),
            ("man", true),
            ("schema", true),
            ("init", false),
            ("init --host a.b --upstream http://127.0.0.1:1", true),
            (
                "init --host https://a.b --upstream http://127.0.0.1:1",
                false,
            ),
            ("init --host a.b --upstream u --admin a/b", false),
            ("backup", false),
            ("backup f --json", true),
            ("restore f", true),
            ("", false),
        ] {
            let words = std::iter::once("portcullis").chain(line.split_whitespace());
            assert_eq!(Portcullis::try_parse_from(words).is_ok(), good, "{line}");
        }
    }
}
