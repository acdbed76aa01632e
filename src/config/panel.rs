//! `[[panel]]`: the protected application, where it is and what it is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;

use super::bounds::Bounds;
use super::fault::{Report, Span};
use super::gateway::Gateway;
use super::host::{PanelHost, PinnedCertificate, Upstream};
use super::risk::{self, Risk};
use super::rule::{self, Rule};
use super::value;
use super::written::Section;
use crate::wire::{Authority, header};

/// One protected application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panel {
    pub name: String,
    pub host: PanelHost,
    pub upstream: Upstream,
    /// The authorities that the certificate of an `https` upstream may be from; else the public ones.
    pub upstream_ca: Option<PathBuf>,
    /// The one certificate that an `https` upstream may show, no matter who signed it.
    pub upstream_certificate: Option<PinnedCertificate>,
    /// The name that an `https` upstream is asked for, and that its certificate is to be for; else its
    /// host.
    pub upstream_name: Option<String>,
    /// The portal's pages are on its host too.
    pub shares_origin: bool,
    /// Workers of it may have the whole host as their scope.
    pub service_workers: bool,
    pub bounds: Bounds,
    pub identity: IdentityHeaders,
    /// First match wins; without a match any signed-in user may pass.
    pub rules: Vec<Rule>,
    /// How the panel reads paths, as far as rules ask.
    pub path_reading: PathReading,
}

/// How a panel reads paths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PathReading {
    /// In any way that is known of some program: without letter case, width and accents, decoded more
    /// than once, without extension, parameters and dots at an end.
    #[default]
    Folded,
    /// Letter case counts, nothing is cut off but parameters, and what is decoded is decoded once.
    Exact,
}

impl PathReading {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "folded" => Ok(Self::Folded),
            "exact" => Ok(Self::Exact),
            other => Err(format!(
                "{other:?} is not possible; \"folded\" and \"exact\" are"
            )),
        }
    }
}

/// Under which names the panel is told who it is. `None`: it is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    pub user: Option<HeaderName>,
    pub role: Option<HeaderName>,
    pub email: Option<HeaderName>,
}

impl Panel {
    /// Whether it is asked where the other is, and known by the same: what is open to the one may stay
    /// open to the other.
    pub fn is_at_the_place_of(&self, other: &Self) -> bool {
        self.upstream == other.upstream
            && self.upstream_ca == other.upstream_ca
            && self.upstream_certificate == other.upstream_certificate
            && self.upstream_name == other.upstream_name
    }

    /// The panels of the file. `None` goes with a fault.
    pub(super) fn understand_all(
        file: &mut Section<'_>,
        gateway: &Gateway,
        own: &[SocketAddr],
        report: &mut Report<'_>,
    ) -> Option<Vec<Arc<Self>>> {
        const KEY: &str = "panel";
        let external_host = gateway.external_url.host();
        let sections = file.sections(KEY, KEY, report);
        if !file.has(KEY) || file.is_empty_list(KEY) {
            report.fault_of_file(
                "there is no panel; add [[panel]] with its address, \
                 like upstream = \"http://127.0.0.1:8080\"",
            );
        }
        let mut panels: Vec<Arc<Self>> = Vec::new();
        for section in sections {
            let name = section.span_of("name");
            let host = section.span_of("host");
            let upstream = section.span_of("upstream");
            let Some(panel) = Self::understand(section, gateway, report) else {
                continue;
            };
            panel.is_not_the_gateway(&upstream, gateway, own, report);
            if panels.iter().any(|other| other.name == panel.name) {
                let text = format!(
                    "name: two panels are called {:?}; give each its own",
                    panel.name
                );
                report.fault(&name, text);
            }
            let is_same = |other: &Arc<Self>| other.host.is_same(&panel.host, external_host);
            if let Some(other) = panels.iter().find(|other| is_same(other)) {
                let text = format!(
                    "host: the panel {:?} is for this host already; a host has one panel",
                    other.name
                );
                report.fault(&host, text);
            }
            let portal_host = gateway.portal_host.as_deref().unwrap_or_default();
            if panel.host != PanelHost::Any && panel.host.is_for(portal_host, external_host) {
                report.fault(
                    &host,
                    format!("host: {portal_host} is portal_host, which no panel can share"),
                );
            }
            panels.push(Arc::new(panel));
        }
        (!panels.is_empty()).then_some(panels)
    }

    /// A request that is sent to the gateway itself comes round until it has no connection left.
    fn is_not_the_gateway(
        &self,
        span: &Span,
        gateway: &Gateway,
        own: &[SocketAddr],
        report: &mut Report<'_>,
    ) {
        let external = &gateway.external_url;
        if let Upstream::Unix(path) = &self.upstream
            && gateway.has_socket(path)
        {
            let text = format!(
                "upstream: {} is a socket of the gateway itself; write the panel's own",
                self.upstream
            );
            report.fault(span, text);
        }
        let Some((_, port, authority)) = self.upstream.of_url() else {
            return;
        };
        if let Some(listener) = risk::is_own_address(authority, port, own) {
            let text = format!(
                "upstream: {} is the gateway itself, which listens on {listener}; write the panel's own address",
                self.upstream
            );
            report.fault(span, text);
        } else if risk::is_own_name(authority, port, external, &self.host) {
            let text = format!(
                "upstream: {} is how people reach the gateway; unless this machine knows another address by that \
                 name, requests come round to it, so write the panel's own address",
                self.upstream
            );
            report.risk(Risk::OwnUpstream, span, text);
        }
    }

    fn understand(
        mut section: Section<'_>,
        gateway: &Gateway,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let shares_origin = gateway.portal_host.is_none();
        let name = section.parsed("name", "panel".to_owned(), report, panel_name);
        let host = section.parsed("host", PanelHost::External, report, PanelHost::parse);
        let upstream = upstream(&mut section, report);
        let (upstream_ca, upstream_certificate, upstream_name) =
            trusted(&mut section, upstream.as_ref(), report);
        section.parsed("cookies", (), report, |text| match text {
            "pass" => Ok(()),
            "vault" => Err("\"vault\" is not built yet; \"pass\" is possible".to_owned()),
            other => Err(format!("{other:?} is not possible; \"pass\" is")),
        });
        let service_workers = section.flag("service_workers", false, report);
        if service_workers && shares_origin {
            report.fault(
                &section.span_of("service_workers"),
                "service_workers: a worker of this panel would stand before the portal's login page; \
                 give the portal a host of its own first ([gateway] portal_host)",
            );
        }
        let bounds = Bounds::understand(&mut section, report);
        let identity = section.section("identity", report);
        let identity = IdentityHeaders::understand(identity, report);
        let folded = PathReading::default();
        let path_reading = section.parsed("path_reading", folded, report, PathReading::parse);
        let rules = section.sections("rule", "panel.rule", report);
        let rules = rule::understand_all(rules, path_reading, report);
        section.not_built(
            "password_change",
            "leave it out, and have the panel call password-changed",
            report,
        );
        section.finish(report);
        Some(Self {
            name,
            host,
            upstream: upstream?,
            upstream_ca,
            upstream_certificate,
            upstream_name,
            shares_origin,
            service_workers,
            bounds,
            identity,
            rules,
            path_reading,
        })
    }
}

impl IdentityHeaders {
    fn understand(mut section: Section<'_>, report: &mut Report<'_>) -> Self {
        let mut headers = section.section("headers", report);
        let mut read = |key, default: &'static str| {
            let default = Some(HeaderName::from_static(default));
            headers.parsed(key, default, report, header_name)
        };
        let identity = Self {
            user: read("user", "x-forwarded-user"),
            role: read("role", "x-forwarded-role"),
            email: read("email", "x-forwarded-email"),
        };
        if identity.says_two_things() {
            report.fault(
                headers.span(),
                "headers: two of them have the same name; give each its own, or \"\" for none",
            );
        }
        headers.finish(report);
        section.finish(report);
        identity
    }

    fn says_two_things(&self) -> bool {
        let same = |a: &Option<HeaderName>, b: &Option<HeaderName>| a.is_some() && a == b;
        same(&self.user, &self.role)
            || same(&self.user, &self.email)
            || same(&self.role, &self.email)
    }
}

fn upstream(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Upstream> {
    const KEY: &str = "upstream";
    let Some(text) = section.needed_text(KEY, report) else {
        if !section.has(KEY) {
            report.fault(
                section.span(),
                "this panel has no upstream; say where it is, like \
                 upstream = \"http://127.0.0.1:8080\"",
            );
        }
        return None;
    };
    let upstream = Upstream::parse(text.text);
    match upstream {
        Err(why) => {
            report.fault(&text.span, format!("{KEY}: {why}"));
            None
        }
        Ok(upstream) => {
            if !upstream.is_local() {
                let is_encrypted = matches!(upstream, Upstream::Https(_));
                risk::of_upstream(&text.span, is_encrypted, &upstream, report);
            }
            Some(upstream)
        }
    }
}

/// What the certificate of the upstream has to be: `upstream_ca`, `upstream_certificate` and
/// `upstream_name`.
fn trusted(
    section: &mut Section<'_>,
    upstream: Option<&Upstream>,
    report: &mut Report<'_>,
) -> (Option<PathBuf>, Option<PinnedCertificate>, Option<String>) {
    let upstream_ca = section.parsed("upstream_ca", None, report, |text| match text {
        "" => Ok(None),
        text => value::path(text).map(Some),
    });
    let parse = PinnedCertificate::parse;
    let upstream_certificate = section.parsed("upstream_certificate", None, report, parse);
    let upstream_name = section.parsed("upstream_name", None, report, certificate_name);
    let is_https = matches!(upstream, Some(Upstream::Https(_)) | None);
    for (key, is_set) in [
        ("upstream_ca", upstream_ca.is_some()),
        ("upstream_certificate", upstream_certificate.is_some()),
        ("upstream_name", upstream_name.is_some()),
    ] {
        if is_set && !is_https {
            let text = format!("{key} is for an upstream that begins with https://; leave it out");
            report.fault(&section.span_of(key), text);
        }
    }
    if upstream_ca.is_some() && upstream_certificate.is_some() {
        report.fault(
            &section.span_of("upstream_ca"),
            "upstream_certificate trusts that certificate and no other, no matter who signed it; leave \
             out upstream_ca",
        );
    }
    (upstream_ca, upstream_certificate, upstream_name)
}

/// A name, or an address: what a certificate is for.
fn certificate_name(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let authority = Authority::parse(text).map_err(|fault| fault.to_string())?;
    match authority.port() {
        None => Ok(Some(authority.host().to_owned())),
        Some(_) => Err(format!("{text:?} has a port; a name alone stands here")),
    }
}

/// It stands in pages and logs.
fn panel_name(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    let printable = !text.chars().any(char::is_control) && text.trim() == text;
    if (1..=64).contains(&length) && printable {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} is no name for a panel; 1 to 64 characters are possible, and no blank at \
             either end"
        ))
    }
}

/// A name that says who somebody is, and nothing that HTTP itself or a proxy gives a meaning to.
fn header_name(text: &str) -> Result<Option<HeaderName>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let possible = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| ());
    match name {
        Ok(name) if text.bytes().all(possible) => {
            if header::is_hop_by_hop(&name) || MEANS_SOMETHING.contains(&name.as_str()) {
                Err(format!(
                    "{text:?} has a meaning of its own; choose another name, like \"X-Forwarded-User\""
                ))
            } else {
                Ok(Some(name))
            }
        }
        _ => Err(format!(
            "{text:?} is no name for a header; letters, digits and - are possible"
        )),
    }
}

const MEANS_SOMETHING: [&str; 22] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "origin",
    "range",
    "referer",
    "set-cookie",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-http-method-override",
];
