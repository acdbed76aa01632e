//! `portcullis init`: a configuration, the keys, and the link for the first administrator.
//!
//! The configuration is the commented default with a handful of keys set, so that it says all that can
//! be said. It is written last but one: as long as it is not there, the command can be given again.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use http::Method;
use http::uri::Authority;
use serde_json::json;

use super::client::{self, Client};
use super::demo::for_the_shell;
use super::failure::{Done, Failure};
use super::settings::Settings;
use super::{Form, output};
use crate::accept::tls::ensure_development_pair;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::UserName;

#[derive(Debug, Args)]
pub(super) struct Init {
    /// What people will type, like panel.example.org; with a port where it is not 443
    #[arg(long, value_name = "HOST[:PORT]", value_parser = authority)]
    host: Authority,
    /// Where the panel is: http://…, https://… or unix:/path
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Where database, keys and socket are to be
    #[arg(long, value_name = "DIR", default_value = "var")]
    data_dir: PathBuf,
    /// Who administers it
    #[arg(long, value_name = "NAME", default_value = "admin", value_parser = UserName::parse_new)]
    admin: UserName,
    #[command(flatten)]
    form: Form,
}

impl Init {
    pub(super) async fn run(self, settings: &Settings) -> Done {
        let file = whole(&settings.to_write())?;
        if file.exists() {
            return Err(stands(&file));
        }
        let text = self.written(&file)?;
        let config = Config::parse(&text, &file).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
            Failure::usage(format!("{}; nothing was written", faults.join("\n")))
        })?;
        let offline = client::open(&config).await?;
        let people = offline.store().people().await;
        if !people.context("can't read who is there")?.is_empty() {
            return Err(Failure::refused(format!(
                "{} holds accounts already, and {} is not there; nothing was changed. Name another \
                 folder with --data-dir, or write a configuration for this one by hand",
                config.gateway.data_dir.display(),
                file.display()
            )));
        }
        if config.tls.development {
            let (host, now) = (config.gateway.external_url.host(), Clock::system().wall());
            ensure_development_pair(&config.tls.certificate, &config.tls.key, &[host], now)
                .context("can't make a certificate")?;
        }
        write_new(&file, &text)?;
        let client = Client::of(offline);
        let body = json!({ "name": self.admin.as_str(), "role": "administrator" });
        let added = client.call(Method::POST, "/v1/users", Some(body)).await?;
        client.leave().await;
        self.tell(&file, &config, &output::text(&added, "setup_url"))
    }

    /// The commented default, with what is known.
    fn written(&self, file: &Path) -> Done<String> {
        let folder = file.parent().unwrap_or(Path::new("/"));
        let host = self.host.host();
        let port = self.host.port_u16();
        let (listen, port) = match local(host) {
            Some(ip) => (ip, port.unwrap_or(8443)),
            None => (IpAddr::from([0, 0, 0, 0]), port.unwrap_or(443)),
        };
        let listen = std::net::SocketAddr::new(listen, port).to_string();
        let url = match port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        };
        let path = |path: PathBuf| -> Done<toml::Value> {
            let text = path.into_os_string().into_string();
            let text = text.map_err(|_| Failure::usage("names of folders have to be UTF-8"))?;
            Ok(text.into())
        };
        let keys: [(&str, &str, toml::Value); 7] = [
            ("gateway", "listen", vec![listen].into()),
            ("gateway", "external_url", url.into()),
            ("gateway", "data_dir", path(whole(&self.data_dir)?)?),
            ("tls", "certificate", path(folder.join("gateway.pem"))?),
            ("tls", "key", path(folder.join("gateway.key"))?),
            ("tls", "development", local(host).is_some().into()),
            ("panel", "upstream", self.upstream.clone().into()),
        ];
        let mut text = DEFAULT.to_owned();
        for (section, key, value) in keys {
            text = set(&text, section, key, &value)
                .with_context(|| format!("the default configuration has no {section}.{key}"))?;
        }
        Ok(format!(
            "# Written by `portcullis init`; change what you like.\n{text}"
        ))
    }

    fn tell(&self, file: &Path, config: &Config, link: &str) -> Done {
        let tls = &config.tls;
        for warning in &config.warnings {
            output::aside(&format!("warning: {warning}"));
        }
        if self.form.json {
            return output::document(&json!({
                "config": file.display().to_string(),
                "data_dir": config.gateway.data_dir.display().to_string(),
                "certificate": tls.certificate.display().to_string(),
                "certificate_made": tls.development,
                "name": self.admin.as_str(),
                "setup_url": link,
            }));
        }
        let certificate = if tls.development {
            format!(
                "A certificate for trying things out is made: {}. Browsers ask whether to trust it.",
                tls.certificate.display()
            )
        } else {
            format!(
                "Next, put the certificate of {} with its chain into {} and its private key into {}, \
                 both PEM (certbot calls them fullchain.pem and privkey.pem), or name other files \
                 under [tls].",
                config.gateway.external_url.host(),
                tls.certificate.display(),
                tls.key.display()
            )
        };
        output::aside(&format!(
            "{file} is written; the keys are in {data_dir}.\n{certificate}\nThen start it:\n\n  \
             portcullis serve --config {quoted}\n\nand let {admin}, the first administrator, open this \
             link, which works once, within a day (portcullis user link {admin} makes another):\n",
            file = file.display(),
            data_dir = config.gateway.data_dir.display(),
            quoted = for_the_shell(&file.to_string_lossy()),
            admin = self.admin,
        ));
        output::line(link)
    }
}

/// What is there already.
fn stands(file: &Path) -> Failure {
    let mut told = format!("{} is there already; nothing was changed.", file.display());
    match Config::load(file) {
        Ok(config) => {
            let data_dir = &config.gateway.data_dir;
            for (what, path) in [
                ("database", &data_dir.join("portcullis.db")),
                ("master key", &data_dir.join("master.key")),
                ("certificate", &config.tls.certificate),
                ("private key", &config.tls.key),
            ] {
                let state = if path.exists() { "there" } else { "MISSING" };
                told.push_str(&format!("\n  {what:<11}  {state:<7}  {}", path.display()));
            }
        }
        Err(_) => told.push_str(" It has faults, which portcullis check names."),
    }
    told.push_str(
        "\nFor a new link, where the first has expired: portcullis user link NAME. For another \
         administrator: portcullis user add NAME --role administrator. For another \
         gateway: --config FILE and --data-dir DIR.",
    );
    Failure::refused(told)
}

/// The text with another value for a key.
fn set(text: &str, section: &str, key: &str, value: &toml::Value) -> Option<String> {
    let mut at = "";
    let mut is_set = false;
    let lines = text.lines().map(|line| {
        if let Some(header) = line.strip_prefix('[') {
            at = header.trim_matches(['[', ']']);
        }
        let rest = line.strip_prefix(key).map(str::trim_start);
        if at == section && !is_set && rest.is_some_and(|rest| rest.starts_with('=')) {
            is_set = true;
            return format!("{key} = {value}\n");
        }
        format!("{line}\n")
    });
    let text = lines.collect();
    is_set.then_some(text)
}

/// A host, perhaps with a port, and nothing else.
fn authority(text: &str) -> Result<Authority, String> {
    let wrong = "this has to be a host like panel.example.org, or HOST:PORT";
    let authority: Authority = text.parse().map_err(|_| wrong.to_owned())?;
    let is_whole = match authority.port_u16() {
        Some(port) => authority.as_str() == format!("{}:{port}", authority.host()),
        None => authority.as_str() == authority.host(),
    };
    if is_whole {
        Ok(authority)
    } else {
        Err(wrong.to_owned())
    }
}

/// Where this machine alone reaches it, if that is what the name says.
fn local(host: &str) -> Option<IpAddr> {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    match ip {
        Ok(ip) => ip.is_loopback().then_some(ip),
        Err(_) => (host == "localhost" || host.ends_with(".localhost"))
            .then_some(IpAddr::from([127, 0, 0, 1])),
    }
}

/// Without regard to the working directory, which is another one at the next command.
fn whole(path: &Path) -> Done<PathBuf> {
    std::path::absolute(path)
        .map_err(|fault| Failure::usage(format!("{}: {fault}", path.display())))
}

/// Writes a file of this name for its owner alone; whole or not at all, and never over another.
fn write_new(file: &Path, text: &str) -> Done {
    let doing = || format!("can't write {}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(doing)?;
    }
    let mut draft = file.as_os_str().to_owned();
    draft.push(format!(".{}.draft", std::process::id()));
    let write = || -> io::Result<()> {
        let mut new = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::hard_link(&draft, file)
    };
    let written = write();
    // It has its name now, or it is of no use.
    let _ = fs::remove_file(&draft);
    match written {
        Err(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
            Err(anyhow!("{} is there already; nothing was changed", file.display()).into())
        }
        written => Ok(written.with_context(doing)?),
    }
}

const DEFAULT: &str = include_str!("../../config/portcullis.toml");

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str) -> Config {
        let init = Init {
            host: host.parse().unwrap(),
            upstream: "http://127.0.0.1:99".to_owned(),
            data_dir: "/var/lib/a \"b\"".into(),
            admin: UserName::parse("admin").unwrap(),
            form: Form { json: false },
        };
        let text = init.written(Path::new("/etc/portcullis/p.toml")).unwrap();
        Config::parse(&text, Path::new("p.toml")).unwrap()
    }

    #[test]
    fn what_is_written_is_a_configuration_without_warnings() {
        for (host, url, listen, development) in [
            (
                "localhost",
                "https://localhost:8443",
                "127.0.0.1:8443",
                true,
            ),
            ("[::1]:1", "https://[::1]:1", "[::1]:1", true),
            (
                "a.localhost:2",
                "https://a.localhost:2",
                "127.0.0.1:2",
                true,
            ),
            (
                "panel.example.org",
                "https://panel.example.org",
                "0.0.0.0:443",
                false,
            ),
            (
                "10.0.0.1:8443",
                "https://10.0.0.1:8443",
                "0.0.0.0:8443",
                false,
            ),
        ] {
            let config = config(host);
            assert_eq!(config.gateway.external_url.to_string(), url);
            assert_eq!(config.gateway.listen, [listen.parse().unwrap()]);
            assert_eq!(config.tls.development, development, "{host}");
            assert_eq!(
                config.tls.certificate,
                Path::new("/etc/portcullis/gateway.pem")
            );
            assert_eq!(config.tls.key, Path::new("/etc/portcullis/gateway.key"));
            assert_eq!(config.gateway.data_dir, Path::new("/var/lib/a \"b\""));
            assert_eq!(config.warnings, []);
        }
    }

    #[test]
    fn only_the_key_of_its_section_is_set() {
        let text = "[a]\nkey = 1\nkeys = 2\n[b]\n# key = 3\nkey = 4\n";
        assert_eq!(
            set(text, "b", "key", &"x".into()).unwrap(),
            "[a]\nkey = 1\nkeys = 2\n[b]\n# key = 3\nkey = \"x\"\n"
        );
        assert_eq!(set(text, "c", "key", &"x".into()), None);
    }
}
