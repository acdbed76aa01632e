//! `portcullis demo`: a small legacy panel and the gateway in front of it, to try things out.
//!
//! The gateway of the demo is an ordinary one: its configuration is written from a template, lies in
//! the demo's folder beside all other state, and is read like any other.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::client::{self, Client};
use super::failure::{Done, Failure};
use super::settings::Settings;
use super::{legacy_panel, output, serve};
use crate::accept;
use crate::config::Config;
use crate::shutdown::Shutdown;

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Where browsers connect; port 0 for a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where programs connect; port 0 for a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9443")]
    management_listen: SocketAddr,
    /// Where all state is kept
    #[arg(long, value_name = "DIR", default_value = "var/demo")]
    data_dir: PathBuf,
}

impl Demo {
    pub(super) fn run(mut self, settings: &Settings) -> Done {
        if let Some(named) = settings.named() {
            return Err(Failure::usage(format!(
                "the demo writes a configuration of its own, into the folder of --data-dir, and does not \
                 read {}; leave --config out, or run portcullis serve --config {}",
                named.display(),
                for_the_shell(&named.to_string_lossy()),
            )));
        }
        self.listen = with_a_port("--listen", self.listen)?;
        self.management_listen = with_a_port("--management-listen", self.management_listen)?;
        // Commands may be run in another folder.
        self.data_dir = std::path::absolute(&self.data_dir)
            .with_context(|| format!("--data-dir {}", self.data_dir.display()))?;
        self.make_folder()?;
        let panel = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("can't find a port for the legacy panel")?;
        let file = self.data_dir.join("portcullis.toml");
        let config = Config::parse(&self.configuration(&panel)?, &file)?;
        let link = super::waiting_for(first_administrator(&config))?;
        fs::write(&file, self.configuration(&panel)?)
            .with_context(|| format!("can't write {}", file.display()))?;

        let panel = RunningPanel::start(panel)?;
        let greeting = greeting(&config, &file, link.as_deref());
        let served = serve::until_told_to_end(config, None, move || output::line(&greeting));
        panel.end();
        served
    }

    fn make_folder(&self) -> Done {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.data_dir)
            .with_context(|| {
                format!(
                    "can't make the folder {} for the demo's state; name another one with --data-dir",
                    self.data_dir.display()
                )
            })?;
        Ok(())
    }

    fn configuration(&self, panel: &TcpListener) -> Done<String> {
        let data_dir = self.data_dir.to_str().ok_or_else(|| {
            Failure::usage("the name of the folder is not UTF-8; name another one with --data-dir")
        })?;
        let panel = panel.local_addr().context("can't find the legacy panel")?;
        let external_url = format!("https://{}:{}", self.host(), self.listen.port());
        let quoted = |text: String| toml::Value::String(text).to_string();
        Ok(format!(
            include_str!("demo.toml"),
            listen = quoted(self.listen.to_string()),
            external_url = quoted(external_url),
            data_dir = quoted(data_dir.to_owned()),
            certificate = quoted(format!("{data_dir}/gateway.pem")),
            key = quoted(format!("{data_dir}/gateway.key")),
            management = quoted(self.management_listen.to_string()),
            upstream = quoted(format!("http://{panel}")),
        ))
    }

    /// What people type: `localhost`, unless the demo listens elsewhere.
    fn host(&self) -> String {
        match self.listen.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => "localhost".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }
}

/// The legacy panel on a thread of its own, as a panel is a program of its own.
struct RunningPanel {
    shutdown: Shutdown,
    thread: thread::JoinHandle<()>,
}

impl RunningPanel {
    fn start(listener: TcpListener) -> anyhow::Result<Self> {
        const DOING: &str = "can't start the legacy panel";
        listener.set_nonblocking(true).context(DOING)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(DOING)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener).context(DOING)?
        };
        let shutdown = Shutdown::new();
        let ending = shutdown.clone();
        let thread = thread::Builder::new()
            .name("legacy-panel".to_owned())
            .spawn(move || runtime.block_on(legacy_panel::serve(listener, ending)))
            .context(DOING)?;
        Ok(Self { shutdown, thread })
    }

    fn end(self) {
        self.shutdown.begin();
        if self.thread.join().is_err() {
            eprintln!("the legacy panel did not end in good order");
        }
    }
}

/// Adds `admin` at the first start; a one-time link for as long as there is no password.
async fn first_administrator(config: &Config) -> Done<Option<String>> {
    let offline = client::open(config).await?;
    let people = offline
        .store()
        .people()
        .await
        .context("can't read who is there")?;
    let admin = people
        .into_iter()
        .find(|person| person.user.name.as_str() == ADMIN);
    let client = Client::of(offline);
    let link = match admin {
        None => {
            let body = json!({ "name": ADMIN, "role": "administrator" });
            Some(client.call(Method::POST, "/v1/users", Some(body)).await?)
        }
        Some(admin) if !admin.has_password => {
            let path = format!("/v1/users/{ADMIN}/setup-link");
            Some(client.call(Method::POST, &path, None).await?)
        }
        Some(_) => None,
    };
    client.leave().await;
    let text = |document: &Value| {
        let url = document.get("setup_url").and_then(Value::as_str);
        url.map(str::to_owned)
            .context("the gateway made no set-up link")
    };
    Ok(link.as_ref().map(text).transpose()?)
}

fn greeting(config: &Config, file: &Path, link: Option<&str>) -> String {
    let url = config.gateway.external_url.join("/");
    let first = match link {
        Some(link) => format!(
            "Set up {ADMIN}, the first administrator, with this link; it works once, within a day:\n\n  \
             {link}\n\nThen the panel is at {url}"
        ),
        None => format!("The panel is at {url}\nSign in as {ADMIN}."),
    };
    let program = std::env::args_os()
        .next()
        .unwrap_or_else(|| "portcullis".into());
    format!(
        "{first}\n\n\
         The certificate was made on this machine, so the browser asks once whether to trust it.\n\
         To end every session of {ADMIN}, run this in another terminal:\n\n  \
         {} --config {} user logout {ADMIN}\n\n\
         All state is in {}; Ctrl-C ends the demo.",
        for_the_shell(&program.to_string_lossy()),
        for_the_shell(&file.to_string_lossy()),
        config.gateway.data_dir.display(),
    )
}

/// One word of a shell, in quotes where it needs them.
pub(super) fn for_the_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+=:@,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The external URL has to name the port, so that a free one is found before the gateway starts.
/// One that is taken is said with the way out, before anything is made.
fn with_a_port(option: &str, address: SocketAddr) -> Done<SocketAddr> {
    if address.port() != 0 {
        accept::can_bind(address).map_err(|fault| {
            let free = SocketAddr::new(address.ip(), 0);
            Failure::refused(format!(
                "{fault}; for a free port: portcullis demo {option} {free}"
            ))
        })?;
        return Ok(address);
    }
    let found = TcpListener::bind(address)
        .and_then(|listener| listener.local_addr())
        .with_context(|| format!("can't listen on {}", address.ip()))?;
    Ok(found)
}

const ADMIN: &str = "admin";

#[cfg(test)]
mod tests {
    use super::*;

    fn demo(listen: &str, data_dir: &str) -> Demo {
        Demo {
            listen: listen.parse().unwrap(),
            management_listen: "127.0.0.1:9443".parse().unwrap(),
            data_dir: data_dir.into(),
        }
    }

    #[test]
    fn the_template_is_a_configuration_without_warnings() {
        for (listen, url, data_dir) in [
            ("127.0.0.1:8443", "https://localhost:8443", "var/demo"),
            ("0.0.0.0:443", "https://localhost", "a \"b\"\\c"),
            ("10.0.0.1:1", "https://10.0.0.1:1", "{key}"),
        ] {
            let panel = TcpListener::bind("127.0.0.1:0").unwrap();
            let text = demo(listen, data_dir).configuration(&panel).unwrap();
            let config = Config::parse(&text, Path::new("p.toml")).unwrap();
            assert_eq!(config.gateway.external_url.to_string(), url);
            assert_eq!(config.gateway.data_dir, Path::new(data_dir));
            assert_eq!(config.warnings, []);
        }
    }

    #[test]
    fn commands_can_be_pasted() {
        assert_eq!(
            for_the_shell("target/debug/portcullis"),
            "target/debug/portcullis"
        );
        assert_eq!(for_the_shell("a b"), "'a b'");
        assert_eq!(for_the_shell("it's"), r"'it'\''s'");
    }
}
