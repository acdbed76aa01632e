//! Risks: what is legal and takes a control away. Each has a name, and is warned of until
//! `accept_risk` in `[gateway]` names it.

use std::time::Duration;

use super::fault::Report;
use super::gateway::{Gateway, PlainListener};
use super::host::{ExternalUrl, PanelHost};
use super::throttle::Rate;
use super::written::{Section, nearest};
use crate::wire::authority::Authority;

/// What may be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Sessions that live for weeks.
    LongSessions,
    /// Limits of guesses that limit nothing.
    LooseThrottle,
    /// Administrators who sign in with a password alone.
    NoSecondFactor,
    /// A whole panel without signing in.
    OpenToAnyone,
    /// A self-signed certificate for a name that people elsewhere use.
    DevelopmentCertificate,
    /// No line tells who did what.
    NoAccessLog,
    /// Warnings are not written.
    QuietLog,
    /// PostgreSQL on another machine without TLS, or without knowing whose it is.
    StoreWithoutTls,
    /// A password in a file that others can read.
    ReadablePassword,
    /// Browsers that do not say what caused a request.
    OldBrowsers,
    /// The gateway sends no HSTS.
    NoHsts,
    /// Plain HTTP that leaves the machine.
    ClearText,
    /// A panel that others may reach directly.
    ReachablePanel,
    /// Everybody is believed about a client's address.
    TrustedProxies,
    /// The management API on every address.
    ManagementEverywhere,
    /// A panel whose address may be the gateway's own.
    OwnUpstream,
}

impl Risk {
    const ALL: [Self; 16] = [
        Self::LongSessions,
        Self::LooseThrottle,
        Self::NoSecondFactor,
        Self::OpenToAnyone,
        Self::DevelopmentCertificate,
        Self::NoAccessLog,
        Self::QuietLog,
        Self::StoreWithoutTls,
        Self::ReadablePassword,
        Self::OldBrowsers,
        Self::NoHsts,
        Self::ClearText,
        Self::ReachablePanel,
        Self::TrustedProxies,
        Self::ManagementEverywhere,
        Self::OwnUpstream,
    ];

    /// The name in `accept_risk`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LongSessions => "long-sessions",
            Self::LooseThrottle => "loose-throttle",
            Self::NoSecondFactor => "no-second-factor",
            Self::OpenToAnyone => "open-to-anyone",
            Self::DevelopmentCertificate => "development-certificate",
            Self::NoAccessLog => "no-access-log",
            Self::QuietLog => "quiet-log",
            Self::StoreWithoutTls => "store-without-tls",
            Self::ReadablePassword => "readable-password",
            Self::OldBrowsers => "old-browsers",
            Self::NoHsts => "no-hsts",
            Self::ClearText => "clear-text",
            Self::ReachablePanel => "reachable-panel",
            Self::TrustedProxies => "trusted-proxies",
            Self::ManagementEverywhere => "management-everywhere",
            Self::OwnUpstream => "own-upstream",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::as_str);
        let found = Self::ALL.into_iter().find(|risk| risk.as_str() == text);
        found.ok_or_else(|| match nearest(text, &known) {
            Some(near) => format!("there is no risk {text:?}; did you mean {near:?}?"),
            None => format!(
                "there is no risk {text:?}; possible here: {}",
                known.join(", ")
            ),
        })
    }
}

/// The risks that the operator takes knowingly.
pub(super) fn accepted(section: &mut Section<'_>, report: &mut Report<'_>) {
    let accepted = section.list("accept_risk", report, Risk::parse);
    report.accept(accepted.unwrap_or_default());
}

/// The longest that a session may live without a warning.
const LONG_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// And be left alone.
const LONG_IDLE: Duration = Duration::from_secs(24 * 3600);

/// What `[session]` says, or a rule.
pub(super) fn of_session(
    section: &Section<'_>,
    idle: Duration,
    lifetime: Duration,
    report: &mut Report<'_>,
) {
    if lifetime > LONG_LIFETIME {
        report.risk(
            Risk::LongSessions,
            &section.span_of("lifetime"),
            "lifetime: a session that was stolen serves for more than a week; \"12h\" is the default",
        );
    }
    if idle > LONG_IDLE {
        report.risk(
            Risk::LongSessions,
            &section.span_of("idle_timeout"),
            "idle_timeout: a browser that was left open serves for more than a day; \"30m\" is the default",
        );
    }
}

/// More guesses in an hour than this are no limit: of one user, and from one address.
pub(super) const GUESSES_OF_USER: u32 = 100;
pub(super) const GUESSES_OF_ADDRESS: u32 = 1_000;

/// A rate of wrong guesses, of which `most` in an hour are few.
pub(super) fn of_rate(
    section: &Section<'_>,
    key: &'static str,
    rate: Rate,
    most: u32,
    report: &mut Report<'_>,
) {
    let hours = rate.window.as_secs_f64() / 3600.0;
    // A window of days is judged by what may be tried at once.
    let in_an_hour = f64::from(rate.count) / hours.min(1.0);
    if in_an_hour > f64::from(most) {
        let text =
            format!("{key}: this number of guesses is no limit; at most {most} in an hour are one");
        report.risk(Risk::LooseThrottle, &section.span_of(key), text);
    }
}

/// A password that stands in the configuration; it matters where others can read that.
pub(super) const PASSWORD_IN_CONFIGURATION: &str =
    "a password stands here; write \"file:PATH\" or \"env:NAME\"";

/// What the parts of `[gateway]` and `[tls]` say together.
pub(super) fn of_gateway(section: &Section<'_>, gateway: &Gateway, report: &mut Report<'_>) {
    if let Some(network) = gateway.proxies.whole_internet() {
        let text = format!(
            "trusted_proxies: {network} is everybody, who may then write what address they like into X-Forwarded-For; \
             name the proxies alone"
        );
        report.risk(
            Risk::TrustedProxies,
            &section.span_of("trusted_proxies"),
            text,
        );
    }
    if gateway.old_browsers {
        report.risk(
            Risk::OldBrowsers,
            &section.span_of("old_browsers"),
            "old_browsers: what does not say what caused a request is let in, so that a script of a panel may \
             act on the portal in a browser that can't tell",
        );
    }
    if !gateway.hsts && !is_for_trying_out(gateway.external_url.host()) {
        report.risk(
            Risk::NoHsts,
            &section.span_of("hsts"),
            "hsts: browsers are not told to come over https alone, so that an attacker on the way can lead the \
             first request of a visit elsewhere, and see what is typed there; leave it at true unless a proxy \
             says Strict-Transport-Security",
        );
    }
    let leaves = |plain: &PlainListener| match plain {
        PlainListener::Tcp(address) => !address.ip().to_canonical().is_loopback(),
        PlainListener::Unix(_) => false,
    };
    if gateway.listen_plain.iter().any(leaves) {
        report.risk(
            Risk::ClearText,
            &section.span_of("listen_plain"),
            "listen_plain: passwords and cookies pass between the proxy and this address in clear text; \
             listen on loopback or a UNIX socket, or have the proxy speak TLS to listen",
        );
    }
}

/// A self-signed certificate where people elsewhere are meant to come.
pub(super) fn of_development(
    section: &Section<'_>,
    external: &ExternalUrl,
    report: &mut Report<'_>,
) {
    let host = external.host();
    if !is_for_trying_out(host) {
        let text = format!(
            "development: {host} is no name for trying things out, and people who are used to the warning \
             of a self-signed certificate click it away in front of an attacker too; get one for {host}"
        );
        report.risk(
            Risk::DevelopmentCertificate,
            &section.span_of("development"),
            text,
        );
    }
}

/// Names that never leave a machine or a test (RFC 6761, RFC 2606), and addresses.
fn is_for_trying_out(host: &str) -> bool {
    let reserved = ["localhost", "test", "example", "invalid"];
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_address = host.starts_with('[') || last.bytes().all(|byte| byte.is_ascii_digit());
    is_address || reserved.contains(&last)
}

/// An upstream over the network.
pub(super) fn of_upstream(
    span: &std::ops::Range<usize>,
    is_encrypted: bool,
    upstream: &dyn std::fmt::Display,
    report: &mut Report<'_>,
) {
    let firewall = format!(
        "upstream: {upstream} is neither on loopback nor a UNIX socket; a program that reaches it directly \
         passes the gateway by, so let its firewall admit the gateway alone"
    );
    if is_encrypted {
        report.risk(Risk::ReachablePanel, span, firewall);
    } else {
        let text =
            format!("{firewall}. What passes there is clear text; use https:// where you can");
        report.risk(Risk::ClearText, span, text);
    }
}

/// Whether an upstream is the gateway itself: certainly, for one of its addresses; `own` has those on
/// which it listens.
pub(super) fn is_own_address(
    authority: &Authority,
    default_port: u16,
    own: &[std::net::SocketAddr],
) -> Option<std::net::SocketAddr> {
    let port = authority.port().unwrap_or(default_port);
    let host = authority.host_in_url();
    let address = host
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
        .ok();
    let is_loopback = authority.is_loopback();
    own.iter().copied().find(|listener| {
        let ip = listener.ip().to_canonical();
        let is_met = match address.map(|address| address.to_canonical()) {
            Some(address) => {
                address == ip
                    || ip.is_unspecified() && (address.is_loopback() || address.is_unspecified())
            }
            None => is_loopback && (ip.is_loopback() || ip.is_unspecified()),
        };
        listener.port() == port && port != 0 && is_met
    })
}

/// Whether a panel has an address that people know as the gateway's.
pub(super) fn is_own_name(
    authority: &Authority,
    default_port: u16,
    external: &ExternalUrl,
    host: &PanelHost,
) -> bool {
    let external_port = external
        .authority()
        .strip_prefix(external.host())
        .and_then(|port| port.strip_prefix(':')?.parse().ok())
        .unwrap_or(443);
    let name = authority.host_in_url();
    let is_named = matches!(host, PanelHost::Named(named) if *named == name);
    authority.port().unwrap_or(default_port) == external_port
        && (name == external.host() || is_named)
        && !authority.is_loopback()
}

#[cfg(test)]
mod tests;
