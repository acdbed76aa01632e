//! `[storage]`: where state is kept, and where the key is that seals what is secret in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::fault::Report;
use super::risk::{self, Risk};
use super::value;
use super::written::Section;
use crate::secret::Secret;
use crate::secret_file::{self, Own};
use crate::tls::pem;

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    pub place: Place,
    /// The longest that a node may run without hearing from PostgreSQL.
    pub max_staleness: Duration,
    pub master_key: KeySource,
    /// The file that the URL of the server was read from.
    pub url_file: Option<PathBuf>,
}

/// Which engine keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// SQLite, in `data_dir`.
    Embedded,
    /// PostgreSQL, for several nodes.
    Shared(Server),
}

/// A server of PostgreSQL. Shown without the password.
#[derive(Debug, Clone)]
pub struct Server {
    url: Secret<String>,
    /// The authorities that its certificate is trusted by; those of the web where there is no file.
    ca: Option<PathBuf>,
}

/// Where the master key is read from, at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `master.key` in `data_dir`, made there together with a new database.
    DataDir,
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
}

impl Storage {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let mut url_file = None;
        let mut place = section.parsed("url", Place::Embedded, report, |text| {
            url_file = value::file(text)?;
            place(text)
        });
        if let Some(remark) = url_file.as_deref().and_then(remark_on) {
            report.warn(&section.span_of("url"), format!("url: {remark}"));
        }
        let max_staleness = section.parsed("max_staleness", STALENESS, report, staleness);
        let ca = section.parsed("ca", None, report, |text| match text {
            "" => Ok(None),
            text => value::path(text).map(Some),
        });
        of_server(&section, &place, report);
        match (&mut place, ca) {
            (Place::Shared(server), ca) => {
                // The store reads it with every connection.
                if let Some(Err(fault)) = ca.as_deref().map(pem::certificates) {
                    report.fault(&section.span_of("ca"), format!("ca: {fault}"));
                }
                server.ca = ca;
            }
            (Place::Embedded, Some(_)) => report.fault(
                &section.span_of("ca"),
                "there is nothing to connect to: ca belongs to a url with postgres://",
            ),
            (Place::Embedded, None) => {}
        }
        let master_key = section.parsed("master_key", KeySource::DataDir, report, key_source);
        section.finish(report);
        Self {
            place,
            max_staleness,
            master_key,
            url_file,
        }
    }
}

/// What travels to a server on another machine, and what stands in the configuration.
fn of_server(section: &Section<'_>, place: &Place, report: &mut Report<'_>) {
    let Place::Shared(server) = place else { return };
    let span = section.span_of("url");
    if let Some(why) = server.in_the_clear() {
        report.risk(Risk::StoreWithoutTls, &span, format!("url: {why}"));
    }
    let is_written = section
        .as_written("url")
        .is_some_and(|text| text.contains("://"));
    if is_written && server.has_password() {
        let text = format!("url: {}", risk::PASSWORD_IN_CONFIGURATION);
        report.risk(Risk::ReadablePassword, &span, text);
    }
}

/// What there is to say of a file that was read.
fn remark_on(path: &Path) -> Option<String> {
    secret_file::examine(path, Own::Report).ok().flatten()
}

impl Server {
    /// The server of a URL, or of one that stands in `"file:PATH"` or `"env:NAME"`.
    ///
    /// # Errors
    /// As [`Server::parse`].
    pub fn named(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("file", path)) => {
                let url = secret_file::read_text(&value::path(path)?, Own::Report);
                let (url, _) = url.map_err(|fault| fault.to_string())?;
                Self::parse(url.expose().trim())
            }
            Some(("env", name)) => {
                let url = std::env::var(name).map(Secret::new);
                let url =
                    url.map_err(|_| format!("the variable {name} of the environment is not set"))?;
                Self::parse(url.expose().trim())
            }
            _ => Self::parse(text),
        }
    }

    /// The server that a URL names.
    ///
    /// # Errors
    /// A sentence that says what such a URL looks like, without the one that was given.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}; write it like \"postgres://user@host/database\"");
        let schemes = ["postgres://", "postgresql://"];
        if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("this is no URL of PostgreSQL"));
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|fault| wrong(&format!("this URL can't be read ({fault})")))?;
        if options.get_database().is_none_or(str::is_empty) {
            return Err(wrong("the URL names no database"));
        }
        Ok(Self {
            url: Secret::new(url.to_owned()),
            ca: None,
        })
    }

    /// The same, known by these authorities.
    #[must_use]
    pub fn trusting(mut self, ca: Option<&Path>) -> Self {
        self.ca = ca.map(Path::to_owned);
        self
    }

    /// Whether a password stands in the URL.
    fn has_password(&self) -> bool {
        let url = self.url.expose();
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = authority.split('/').next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.is_some_and(|user| user.contains(':'))
            || query.split('&').any(|pair| pair.starts_with("password="))
    }

    /// Why what travels to a server on another machine can be read or changed on the way.
    fn in_the_clear(&self) -> Option<&'static str> {
        let options = self.options();
        if is_near(&options) {
            return None;
        }
        match options.get_ssl_mode() {
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Some(
                "sessions, password hashes and revocations travel to another machine without TLS, or without where the \
                 network says so; leave sslmode out, and name ca where its certificate is of an authority of your own",
            ),
            PgSslMode::Require | PgSslMode::VerifyCa => Some(
                "a machine between here and the server can pretend to be it, as sslmode does not ask for its name; \
                 leave sslmode out, and name ca where its certificate is of an authority of your own",
            ),
            PgSslMode::VerifyFull => None,
        }
    }

    /// What a connection is made by. Where the URL does not say otherwise, a server that is not on
    /// this machine has to show a certificate for its name: what travels there opens everything.
    pub fn options(&self) -> PgConnectOptions {
        let url = self.url.expose();
        // It was read before.
        let options = PgConnectOptions::from_str(url).unwrap_or_default();
        let is_near = is_near(&options);
        let options = match says_how_to_trust(url) || (is_near && self.ca.is_none()) {
            true => options,
            false => options.ssl_mode(PgSslMode::VerifyFull),
        };
        match &self.ca {
            Some(file) => options.ssl_root_cert(file),
            None => options,
        }
    }
}

/// Whether the server is on this machine.
fn is_near(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some()
        || options.get_host().starts_with('/')
        || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&options.get_host())
}

/// `postgres://user@host:port/database`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = PgConnectOptions::from_str(self.url.expose()).unwrap_or_default();
        write!(
            f,
            "postgres://{}@{}:{}/{}",
            options.get_username(),
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        )
    }
}

impl PartialEq for Server {
    fn eq(&self, other: &Self) -> bool {
        self.url.expose() == other.url.expose() && self.ca == other.ca
    }
}

impl Eq for Server {}

/// Whether the query of a URL has a word about certificates; its other parts may look like one.
fn says_how_to_trust(url: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names
        .into_iter()
        .any(|name| ["sslmode", "ssl-mode"].contains(&name))
}

/// How long a node may go on without the store, unless the configuration says otherwise.
const STALENESS: Duration = Duration::from_secs(5);

/// A revocation waits so long for a node that does not answer, so it may not be much.
const LONGEST_STALENESS: Duration = Duration::from_secs(60);

fn staleness(text: &str) -> Result<Duration, String> {
    let span = value::duration(text)?;
    if span > LONGEST_STALENESS {
        return Err(format!(
            "{text:?} is too long: a revocation waits as long for a node that does not answer; at most \"60s\" is possible"
        ));
    }
    Ok(span)
}

/// `"sqlite"`, or the URL of a server; that also from a file or the environment, as it may have a password.
fn place(text: &str) -> Result<Place, String> {
    match text.split_once(':') {
        _ if text == "sqlite" => Ok(Place::Embedded),
        Some(("file" | "env" | "postgres" | "postgresql", _)) => {
            Server::named(text).map(Place::Shared)
        }
        _ => Err(format!(
            "{text:?} is no store; \"sqlite\" is possible, or \"postgres://user@host/database\""
        )),
    }
}

fn key_source(text: &str) -> Result<KeySource, String> {
    if text.is_empty() {
        return Ok(KeySource::DataDir);
    }
    match text.split_once(':') {
        Some(("file", path)) => value::path(path).map(KeySource::File),
        Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
            Ok(KeySource::Environment(name.to_owned()))
        }
        // Not repeated: it could be the key itself.
        _ => Err(
            "a key does not stand in the configuration; write \"file:PATH\" or \"env:NAME\", \
                  or \"\" for master.key in data_dir"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_has_to_be_known_unless_the_url_says_otherwise() {
        for (url, is_verified) in [
            ("postgres://u@db.example/p", true),
            ("postgres://u:xsslmode=y@db.example/p", true),
            ("postgres://sslmode=x@db.example/sslmode=p", true),
            ("postgres://u@db.example/p?application_name=sslmode=x", true),
            ("postgres://u@db.example/p?sslmode=prefer", false),
            ("postgres://u@db.example/p?a=b&ssl-mode=disable", false),
            ("postgres://u@127.0.0.1/p", false),
            ("postgres://u@localhost:1/p", false),
        ] {
            let mode = Server::parse(url).unwrap().options().get_ssl_mode();
            assert_eq!(matches!(mode, PgSslMode::VerifyFull), is_verified, "{url}");
        }
        let near = Server::parse("postgres://u@127.0.0.1/p").unwrap();
        let near = near.trusting(Some(Path::new("ca.pem"))).options();
        assert!(matches!(near.get_ssl_mode(), PgSslMode::VerifyFull));
    }

    #[test]
    fn a_password_is_not_shown() {
        let server = Server::parse("postgres://u:hunter2@h:5/p").unwrap();
        assert_eq!(server.to_string(), "postgres://u@h:5/p");
        assert!(!format!("{server:?}").contains("hunter2"));
        for wrong in [
            "postgres://u:hunter2@h:x/p",
            "postgres://u:hunter2@h",
            "my:hunter2",
        ] {
            let fault = Server::parse(wrong).unwrap_err();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
