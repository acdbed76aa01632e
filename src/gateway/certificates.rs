//! The gateway's certificate: for which listeners there has to be one, and how long it lasts.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::inspection::SOON;
use crate::accept::tls::{Certificates, TlsError, ensure_development_pair};
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, PanelHost};
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

/// How often is told that a certificate ends soon.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the listeners shake hands with; `None` for listeners that there are none of.
#[derive(Clone, Default)]
pub(super) struct Handshakes {
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) people: Option<Arc<ServerConfig>>,
    pub(super) programs: Option<Arc<ServerConfig>>,
}

/// Whom a certificate is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needed {
    People,
    /// The management listener, where a proxy does TLS for people.
    Programs,
    /// There is no listener with TLS. The management listener at its default address does not count,
    /// where there is no certificate either.
    Nobody,
}

/// Loads the certificate where one is needed; for development it is made where it is missing.
pub(super) fn prepare(config: &Config, clock: &Clock) -> Result<Handshakes, TlsError> {
    let tls = &config.tls;
    let needed = needed(config);
    if needed == Needed::Nobody {
        if config.management.listen.is_some() {
            tracing::warn!(
                "there is no certificate, so the management API has no listener but its socket; name one in [tls], \
                 or say [management] listen = \"\""
            );
        }
        return Ok(Handshakes::default());
    }
    if tls.development {
        ensure_development_pair(&tls.certificate, &tls.key, &hosts(config), clock.wall())?;
    }
    let certificates = Certificates::load(&tls.certificate, &tls.key);
    let certificates = certificates.map_err(|fault| match (fault, config.management.listen) {
        (TlsError::Missing(path), Some(listen)) if needed == Needed::Programs => {
            TlsError::MissingForPrograms { path, listen }
        }
        (fault, _) => fault,
    })?;
    let people = certificates.server_config()?;
    let programs = match &config.management.client_ca {
        Some(authorities) => certificates.server_config_for(authorities)?,
        None => people.clone(),
    };
    Ok(Handshakes {
        certificates: Some(certificates),
        people: Some(people),
        programs: Some(programs),
    })
}

/// For whom the configuration needs a certificate.
pub(super) fn needed(config: &Config) -> Needed {
    let is_there = config.tls.development || config.tls.certificate.exists();
    match (&config.management.listen, config.gateway.listen.is_empty()) {
        (_, false) => Needed::People,
        (Some(_), true) if config.management.is_asked_for || is_there => Needed::Programs,
        (_, true) => Needed::Nobody,
    }
}

/// Every host that the gateway is asked for by name.
pub(super) fn hosts(config: &Config) -> Vec<&str> {
    let named = config.panels.iter().filter_map(|panel| match &panel.host {
        PanelHost::Named(name) => Some(name.as_str()),
        PanelHost::External | PanelHost::Any => None,
    });
    let external = config.gateway.external_url.host();
    std::iter::once(external).chain(named).collect()
}

impl Handshakes {
    /// Has the end of the certificate told every day, when it is near, and by a number.
    pub(super) fn are_watched(&self, metrics: &Metrics, clock: &Clock, tasks: &Shutdown) {
        let Some(certificates) = &self.certificates else {
            return;
        };
        watch(metrics, certificates.clone());
        tasks.spawn(keep_watch(
            certificates.clone(),
            clock.clone(),
            tasks.clone(),
        ));
    }
}

async fn keep_watch(certificates: Arc<Certificates>, clock: Clock, tasks: Shutdown) {
    loop {
        warn_of_end(&certificates, &clock);
        tokio::select! {
            () = tasks.begun() => return,
            () = tokio::time::sleep(DAY) => {}
        }
    }
}

/// Tells it once.
pub(super) fn warn_of_end(certificates: &Certificates, clock: &Clock) {
    if let Some(words) = ends_soon(certificates.until(), clock.wall()) {
        tracing::warn!("{words}");
    }
}

/// The moment at which it ends, for whoever watches.
fn watch(metrics: &Metrics, certificates: Arc<Certificates>) {
    metrics.watch(
        "certificate_expiry_timestamp_seconds",
        "When the certificate ends, in seconds since 1970; 0 where that can't be told",
        move || {
            let until = certificates.until().map_or(0, Timestamp::unix_seconds);
            usize::try_from(until).unwrap_or(usize::MAX)
        },
    );
}

fn ends_soon(until: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let until = until?;
    let date = until.rfc3339();
    if until <= now {
        return Some(format!(
            "the certificate has expired on {date}, and browsers let people pass no more; renew it, which is taken up at once"
        ));
    }
    let left = until.since(now);
    let days = left.as_secs() / DAY.as_secs();
    (left < SOON).then(|| {
        format!(
            "the certificate expires on {date}, in {days} days; renew it, which is taken up at once"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_from_three_weeks_before() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        assert_eq!(ends_soon(None, now), None);
        assert_eq!(ends_soon(Some(now.plus(SOON)), now), None);
        let told = |until| ends_soon(Some(until), now).unwrap();
        assert!(told(now.plus(20 * DAY)).contains("in 20 days"));
        assert!(told(now.plus(DAY / 2)).contains("in 0 days"));
        assert!(told(now).contains("has expired"));
        assert!(told(Timestamp::from_millis(0)).contains("1970"));
    }
}
