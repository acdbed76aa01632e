//! `[gateway]` and `[tls]`: where the gateway listens, and its own name.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::administration::Administration;
use super::fault::Report;
use super::host::{ExternalUrl, PanelHost};
use super::proxies::TrustedProxies;
use super::risk;
use super::schema::Asked;
use super::value;
use super::written::Section;

/// Where the gateway listens and under which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// HTTPS listeners.
    pub listen: Vec<SocketAddr>,
    /// HTTP listeners for trusted proxies.
    pub listen_plain: Vec<PlainListener>,
    /// HTTP listeners that only redirect.
    pub redirect_http: Vec<SocketAddr>,
    /// Who speaks for others.
    pub proxies: TrustedProxies,
    /// What people type.
    pub external_url: ExternalUrl,
    /// The host that the portal's pages have for themselves, in canonical form; `None`: they are on
    /// every host.
    pub portal_host: Option<String>,
    /// Database, keys, management socket.
    pub data_dir: PathBuf,
    /// Connections at a time; 0 for as many as there are open files for.
    pub connections: usize,
    /// Connections at a time from one address, or from one IPv6 /64.
    pub connections_per_address: usize,
    /// How it ends.
    pub drain: Drain,
    /// Threads that carry requests, at least one.
    pub workers: usize,
    /// The portal answers browsers that send no `Sec-Fetch` fields.
    pub old_browsers: bool,
    pub administration: Administration,
    /// Browsers are told to come to its hosts over TLS alone, except with a development certificate.
    pub hsts: bool,
}

/// How long what is open has when the gateway is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    /// Until exchanges in progress are broken off.
    pub exchanges: Duration,
    /// Until WebSockets are closed.
    pub websockets: Duration,
    /// Before all that: the gateway says that it is not ready, and still serves.
    pub notice: Duration,
}

/// Where a proxy that does TLS reaches the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainListener {
    Tcp(SocketAddr),
    Unix(PathBuf),
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
    /// Where the portal's pages are.
    pub fn portal_url(&self) -> ExternalUrl {
        let apart = self.portal_apart();
        apart.unwrap_or_else(|| self.external_url.clone())
    }

    /// Where the portal's pages are, where that is a host of their own.
    pub fn portal_apart(&self) -> Option<ExternalUrl> {
        let host = self.portal_host.as_deref();
        host.map(|host| self.external_url.at(host))
    }

    /// Whether it listens on this UNIX socket.
    pub(super) fn has_socket(&self, path: &Path) -> bool {
        let mut plain = self.listen_plain.iter();
        plain.any(|plain| matches!(plain, PlainListener::Unix(own) if own == path))
            || self.data_dir.join("management.sock") == path
    }

    /// Every address on which people reach it.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let plain = self.listen_plain.iter().filter_map(|plain| match plain {
            PlainListener::Tcp(address) => Some(*address),
            PlainListener::Unix(_) => None,
        });
        let others = self.redirect_http.iter().chain(&self.listen).copied();
        plain.chain(others)
    }

    pub(super) fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let mut seen = Vec::new();
        let listen_plain = plain_listeners(&mut section, &mut seen, report);
        let redirect_http = addresses("redirect_http", &mut section, &mut seen, report);
        let listen = listeners(&mut section, &mut seen, !listen_plain.is_empty(), report);
        let proxies = TrustedProxies::understand(&mut section, report);
        let over_tcp = |plain: &PlainListener| matches!(plain, PlainListener::Tcp(_));
        if proxies.is_empty() && listen_plain.iter().any(over_tcp) {
            report.fault(
                &section.span_of("listen_plain"),
                "listen_plain: only trusted_proxies may connect there, and there are none; \
                 name the proxy's address in trusted_proxies",
            );
        }
        let default = ExternalUrl::default();
        let external_url = section.parsed("external_url", default, report, ExternalUrl::parse);
        let portal_host = section.parsed("portal_host", None, report, portal_host);
        let data_dir = section.parsed("data_dir", PathBuf::from("var"), report, value::path);
        let workers = match section.number("workers", 0, &(0..=MOST_WORKERS), report) {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            workers => workers,
        };
        let most = MOST_CONNECTIONS;
        let connections = section.number("connections", 0, &(0..=most), report);
        let connections_per_address =
            section.number("connections_per_address", 512, &(1..=most), report);
        let drain = drain(&mut section, report);
        let old_browsers = section.flag("old_browsers", false, report);
        let hsts = section.flag("hsts", true, report);
        let administration = Administration::understand(&mut section, report);
        risk::accepted(&mut section, report);
        let gateway = Self {
            hsts,
            drain,
            connections,
            connections_per_address,
            listen,
            listen_plain,
            redirect_http,
            proxies,
            external_url,
            portal_host,
            data_dir,
            workers,
            old_browsers,
            administration,
        };
        risk::of_gateway(&section, &gateway, report);
        if gateway.portal_host.is_some() {
            report.warn(
                &section.span_of("portal_host"),
                "portal_host: this version can't carry a sign-in from that host to the hosts of panels, which \
                 serve only what their rules open to anyone until it can",
            );
        }
        section.finish(report);
        gateway
    }
}

impl Tls {
    pub(super) fn understand(
        mut section: Section<'_>,
        external: &ExternalUrl,
        report: &mut Report<'_>,
    ) -> Self {
        let certificate = PathBuf::from("certs/gateway.pem");
        let key = PathBuf::from("certs/gateway.key");
        let tls = Self {
            certificate: section.parsed("certificate", certificate, report, value::path),
            key: section.parsed("key", key, report, value::path),
            development: section.flag("development", false, report),
        };
        if tls.development {
            risk::of_development(&section, external, report);
        }
        section.finish(report);
        tls
    }
}

/// How the gateway ends.
fn drain(section: &mut Section<'_>, report: &mut Report<'_>) -> Drain {
    let seconds = Duration::from_secs;
    let exchanges = section.parsed("drain", seconds(10), report, value::duration);
    let notice = section.parsed("drain_notice", Duration::ZERO, report, |text| match text {
        "0s" => Ok(Duration::ZERO),
        text => value::duration(text),
    });
    let websockets = section.parsed("websocket_grace", seconds(1), report, value::duration);
    if websockets > exchanges {
        report.fault(
            &section.span_of("websocket_grace"),
            "websocket_grace: WebSockets can't stay longer than drain",
        );
    }
    Drain {
        exchanges,
        websockets,
        notice,
    }
}

/// Behind a proxy that does TLS there may be none, where that is written.
fn listeners(
    section: &mut Section<'_>,
    seen: &mut Vec<SocketAddr>,
    may_be_none: bool,
    report: &mut Report<'_>,
) -> Vec<SocketAddr> {
    if !section.has("listen") {
        let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 8443));
        // Asked for, so that it is known.
        section.value("listen", Asked::Texts, report);
        return vec![default];
    }
    if section.is_empty_list("listen") && !may_be_none {
        report.fault(
            &section.span_of("listen"),
            "listen: at least one address is needed, like [\"127.0.0.1:8443\"]",
        );
    }
    addresses("listen", section, seen, report)
}

fn addresses(
    key: &'static str,
    section: &mut Section<'_>,
    seen: &mut Vec<SocketAddr>,
    report: &mut Report<'_>,
) -> Vec<SocketAddr> {
    let listed = section.list(key, report, |text| once(value::listener(text)?, seen));
    listed.unwrap_or_default()
}

fn plain_listeners(
    section: &mut Section<'_>,
    seen: &mut Vec<SocketAddr>,
    report: &mut Report<'_>,
) -> Vec<PlainListener> {
    let listed = section.list("listen_plain", report, |text| {
        match text.strip_prefix("unix:") {
            Some(path) => value::path(path).map(PlainListener::Unix),
            None => once(value::listener(text)?, seen).map(PlainListener::Tcp),
        }
    });
    listed.unwrap_or_default()
}

fn portal_host(text: &str) -> Result<Option<String>, String> {
    match PanelHost::parse(text)? {
        PanelHost::External => Ok(None),
        PanelHost::Named(host) => Ok(Some(host)),
        PanelHost::Any => {
            Err("the portal has one host; write its name, or \"\" for none".to_owned())
        }
    }
}

/// No address can be listened on twice.
fn once(address: SocketAddr, seen: &mut Vec<SocketAddr>) -> Result<SocketAddr, String> {
    if address.port() != 0 && seen.contains(&address) {
        return Err(format!("\"{address}\" stands here twice"));
    }
    seen.push(address);
    Ok(address)
}

const MOST_WORKERS: usize = 1024;
const MOST_CONNECTIONS: usize = 1 << 20;
