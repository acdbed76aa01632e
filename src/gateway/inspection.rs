//! Tries out what a configuration names before people do: the certificate and the panels.

use std::path::Path;
use std::time::Duration;

use super::certificates::{Needed, hosts, needed};
use crate::accept::certificate::{self, Certified};
use crate::accept::{self, ListenError};
use crate::clock::{Clock, Timestamp};
use crate::config::{Config, PlainListener, Tls};
use crate::proxy::Panels;
use crate::tls::pem;

/// What came of trying one thing out.
#[derive(Debug)]
pub struct Finding {
    /// In a word, like `panel shop`.
    pub about: String,
    pub grade: Grade,
    /// For a person.
    pub words: String,
}

/// How well it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    Ok,
    /// It works, and somebody should know.
    Warning,
    /// The gateway would not start, or people would not get through it.
    Failed,
}

/// Authorities renew a certificate earlier than this; whose is still the old one has forgotten it.
pub(super) const SOON: Duration = Duration::from_secs(21 * 24 * 60 * 60);

/// Looks at the certificate that the listeners need. Changes nothing, and opens no connection.
pub fn inspect_files(config: &Config) -> Vec<Finding> {
    let needed = needed(config);
    let now = Clock::system().wall();
    let mut findings = Vec::new();
    if needed != Needed::Nobody {
        findings.push(of_certificate(config, needed, now));
    }
    if let (Some(authorities), true) = (&config.management.client_ca, needed != Needed::Nobody)
        && let Err(fault) = pem::certificates(authorities)
    {
        let words = format!("client_ca: {fault}");
        findings.push(Finding::new("management certificate", Grade::Failed, words));
    }
    findings
}

/// Tries out what the configuration names: certificates, listeners and panels. `is_running` says that a
/// gateway has the listeners already. Changes nothing.
pub async fn inspect(config: &Config, is_running: bool) -> Vec<Finding> {
    let clock = Clock::system();
    let mut findings = inspect_files(config);
    findings.extend(of_listeners(config, is_running));
    match Panels::new(&config.panels, &clock) {
        Err(fault) => findings.push(Finding::new("panels", Grade::Failed, fault.to_string())),
        Ok(panels) => {
            for (panel, answer) in panels.try_each().await {
                let about = format!("panel {}", panel.name);
                let upstream = &panel.upstream;
                findings.push(match answer {
                    Ok(status) => Finding::new(
                        about,
                        Grade::Ok,
                        format!("{upstream} answers, with {}", status.as_u16()),
                    ),
                    Err(why) => Finding::new(about, Grade::Failed, why),
                });
            }
        }
    }
    findings
}

impl Finding {
    /// What came of trying `about`.
    pub fn new(about: impl Into<String>, grade: Grade, words: impl Into<String>) -> Self {
        Self {
            about: about.into(),
            grade,
            words: words.into(),
        }
    }
}

/// Whether each listener can be had.
fn of_listeners(config: &Config, is_running: bool) -> Vec<Finding> {
    let gateway = &config.gateway;
    let plain = gateway.listen_plain.iter().filter_map(|plain| match plain {
        PlainListener::Tcp(address) => Some(*address),
        PlainListener::Unix(_) => None,
    });
    let people = gateway.listen.iter().chain(&gateway.redirect_http).copied();
    let programs = config
        .management
        .listen
        .filter(|_| needed(config) != Needed::Nobody);
    let all = people.chain(plain).chain(programs);
    let tried = all.map(|address| {
        let about = format!("listener {address}");
        match accept::can_bind(address) {
            Ok(()) => Finding::new(about, Grade::Ok, "no program listens there yet"),
            // The user who runs `check` may lack the right to a port that the gateway has.
            Err(ListenError::Taken(_) | ListenError::Forbidden(_)) if is_running => {
                Finding::new(about, Grade::Ok, "the gateway that runs listens there")
            }
            Err(fault) => Finding::new(about, Grade::Failed, fault.to_string()),
        }
    });
    let mut findings: Vec<_> = tried.collect();
    for plain in &gateway.listen_plain {
        if let PlainListener::Unix(path) = plain {
            findings.push(of_socket(path, is_running));
        }
    }
    // The one of the operator: said where it keeps a start from happening.
    if gateway.data_dir.exists() {
        let found = of_socket(&gateway.data_dir.join("management.sock"), is_running);
        findings.extend((found.grade == Grade::Failed).then_some(found));
    }
    findings
}

fn of_socket(path: &Path, is_running: bool) -> Finding {
    let about = format!("listener unix:{}", path.display());
    match accept::can_bind_unix(path) {
        Ok(()) => Finding::new(about, Grade::Ok, "no program listens there yet"),
        Err(ListenError::Live(_)) if is_running => {
            Finding::new(about, Grade::Ok, "the gateway that runs listens there")
        }
        Err(fault) => Finding::new(about, Grade::Failed, fault.to_string()),
    }
}

fn of_certificate(config: &Config, needed: Needed, now: Timestamp) -> Finding {
    // The management API shows the same one; where a proxy does TLS for people, it alone shows it.
    let (about, where_to) = match (needed, config.management.listen) {
        (Needed::Programs, Some(listen)) => (
            "management certificate",
            format!(" (for the management API at {listen})"),
        ),
        (_, Some(listen)) => (
            "certificate",
            format!(" (for people, and for the management API at {listen})"),
        ),
        _ => ("certificate", String::new()),
    };
    let found = |grade, words: String| Finding::new(about, grade, format!("{words}{where_to}"));
    let Tls {
        certificate, key, ..
    } = &config.tls;
    if config.tls.development && !certificate.exists() && !key.exists() {
        let place = certificate.display();
        return found(
            Grade::Warning,
            format!("{place} is not there yet; serve makes a development certificate"),
        );
    }
    // Where a proxy does TLS, its certificate is what people see.
    let hosts = match config.gateway.listen.is_empty() {
        true => Vec::new(),
        false => hosts(config),
    };
    match certificate::examine(certificate, key, &hosts, now) {
        Err(fault) => found(Grade::Failed, fault.to_string()),
        Ok(certified) => {
            let (grade, words) = judged(&certified, &hosts, now);
            found(grade, format!("{}: {words}", certificate.display()))
        }
    }
}

/// The worst that there is to say.
fn judged(certified: &Certified, hosts: &[&str], now: Timestamp) -> (Grade, String) {
    if certified.is_early {
        let words = "it is not valid yet; is the clock of this machine right?";
        return (Grade::Failed, words.to_owned());
    }
    if !certified.not_for.is_empty() {
        let names = certified.not_for.join(", ");
        return (Grade::Failed, format!("it is not for {names}"));
    }
    let Some(until) = certified.until else {
        let words = "when it ends can't be told";
        return (Grade::Warning, words.to_owned());
    };
    let date = until.rfc3339();
    if until < now {
        return (
            Grade::Failed,
            format!("it has expired on {date}; renew it, which the gateway takes up while it runs"),
        );
    }
    let days = until.since(now).as_secs() / (24 * 60 * 60);
    if until.since(now) < SOON {
        return (
            Grade::Warning,
            format!("it expires on {date}, in {days} days; renew it"),
        );
    }
    let names = match hosts {
        [] => String::new(),
        hosts => format!("for {}, ", hosts.join(", ")),
    };
    if !certified.remarks.is_empty() {
        return (Grade::Warning, certified.remarks.join("; "));
    }
    if certified.is_public {
        return (Grade::Ok, format!("{names}until {date}"));
    }
    let words = match &certified.issued_by {
        None => "nobody but itself signed it, so browsers warn".to_owned(),
        Some(issuer) => format!(
            "browsers that do not know {issuer}, who issued the last certificate of the file, warn; \
             where that is no authority of your own, its certificate is missing at the end of the file"
        ),
    };
    (Grade::Warning, format!("{names}until {date}; {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_told() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let day = Duration::from_secs(24 * 60 * 60);
        let good = Certified {
            until: Some(now.plus(60 * day)),
            is_early: false,
            not_for: Vec::new(),
            is_public: true,
            issued_by: None,
            remarks: Vec::new(),
        };
        let judge = |certified: &Certified| judged(certified, &["a.example"], now);
        let (grade, words) = judge(&good);
        assert_eq!(grade, Grade::Ok);
        assert_eq!(words, "for a.example, until 2027-03-16T08:00:00Z");
        let with = |change: &dyn Fn(&mut Certified)| {
            let mut certified = good.clone();
            change(&mut certified);
            judge(&certified)
        };
        let until = |time| with(&|one| one.until = time);
        let epoch = Timestamp::from_millis(0);
        let not_public = |issuer: Option<&str>| {
            with(&|one| {
                one.is_public = false;
                one.issued_by = issuer.map(str::to_owned);
            })
        };
        use Grade::{Failed, Warning};
        for ((found, words), grade, word) in [
            (until(Some(now.plus(20 * day))), Warning, "in 20 days"),
            (until(Some(epoch)), Failed, "expired on 1970"),
            (until(None), Warning, "can't be told"),
            (not_public(None), Warning, "nobody but itself"),
            (not_public(Some("R10")), Warning, "certificate is missing"),
            (with(&|one| one.is_early = true), Failed, "not valid yet"),
            (
                with(&|one| one.remarks = vec!["a.pem:7: out of order".to_owned()]),
                Warning,
                "a.pem:7",
            ),
            (
                with(&|one| one.not_for = vec!["b.example".to_owned()]),
                Failed,
                "not for b.example",
            ),
        ] {
            assert_eq!(found, grade, "{words}");
            assert!(words.contains(word), "{words}");
        }
    }
}
