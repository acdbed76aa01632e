//! `[gateway]`, `[tls]` and `[storage]`: where the gateway listens, its own name, and where its state is.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::PathBuf;

use super::fault::Report;
use super::host::ExternalUrl;
use super::value;
use super::written::Section;

/// Where the gateway listens and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// HTTPS listeners, at least one.
    pub listen: Vec<SocketAddr>,
    /// What people type.
    pub external_url: ExternalUrl,
    /// Database, keys, management socket.
    pub data_dir: PathBuf,
    /// Threads that carry requests, at least one.
    pub workers: usize,
}

/// The gateway's own certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// A missing pair is made, self-signed.
    pub development: bool,
}

impl Gateway {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let listen = listeners(&mut section, report);
        let default = ExternalUrl::default();
        let external_url = section.parsed("external_url", default, report, ExternalUrl::parse);
        let data_dir = section.parsed("data_dir", PathBuf::from("var"), report, value::path);
        let workers = match section.number("workers", 0, &(0..=MOST_WORKERS), report) {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            workers => workers,
        };
        section.not_built("listen_plain", "use listen", report);
        section.not_built(
            "redirect_http",
            "leave it out, and let the load balancer redirect",
            report,
        );
        section.not_built(
            "trusted_proxies",
            "leave it out; the address of the connection is the client's",
            report,
        );
        section.finish(report);
        Self {
            listen,
            external_url,
            data_dir,
            workers,
        }
    }
}

impl Tls {
    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let certificate = PathBuf::from("certs/gateway.pem");
        let key = PathBuf::from("certs/gateway.key");
        let tls = Self {
            certificate: section.parsed("certificate", certificate, report, value::path),
            key: section.parsed("key", key, report, value::path),
            development: section.flag("development", false, report),
        };
        section.finish(report);
        tls
    }
}

/// `[storage]` has one possible value until PostgreSQL is built, so nothing of it is kept.
pub(super) fn understand_storage(mut section: Section<'_>, report: &mut Report<'_>) {
    section.parsed("url", (), report, |url| match url {
        "sqlite" => Ok(()),
        url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Err("PostgreSQL is not built yet; \"sqlite\" is possible".to_owned())
        }
        url => Err(format!("{url:?} is no store; \"sqlite\" is possible")),
    });
    section.not_built("max_staleness", "leave it out; there is one node", report);
    section.finish(report);
}

fn listeners(section: &mut Section<'_>, report: &mut Report<'_>) -> Vec<SocketAddr> {
    let default = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8443))];
    let mut seen: Vec<SocketAddr> = Vec::new();
    let listed = section.list("listen", report, |text| {
        let address = value::listener(text)?;
        if address.port() != 0 && seen.contains(&address) {
            return Err(format!("{text:?} stands here twice"));
        }
        seen.push(address);
        Ok(address)
    });
    match listed {
        None => default,
        Some(listed) => {
            if section.is_empty_list("listen") {
                report.fault(
                    &section.span_of("listen"),
                    "listen: at least one address is needed, like [\"127.0.0.1:8443\"]",
                );
            }
            listed
        }
    }
}

const MOST_WORKERS: usize = 1024;
