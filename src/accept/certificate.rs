//! What the gateway's certificate is good for, for whoever wants to know before people do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::tls::{self, TlsError};
use crate::clock::Timestamp;
use crate::secret_file::Own;

/// What a certificate is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// The last moment of it; `None` where it can't be told.
    pub until: Option<Timestamp>,
    /// It is valid later than now.
    pub is_early: bool,
    /// Hosts of the gateway that it is not for.
    pub not_for: Vec<String>,
    /// An authority that browsers know has signed it.
    pub is_public: bool,
    /// Who issued the last certificate of the file, unless it did so itself.
    pub issued_by: Option<String>,
    /// What keeps the files from no use, a sentence each.
    pub remarks: Vec<String>,
}

/// Later than any certificate is valid, in seconds since 1970: the year 11476.
const NEVER: u64 = 300_000_000_000;

/// Loads the pair as the gateway does, and looks at the certificate as a browser does. Changes nothing.
///
/// # Errors
/// [`TlsError`], with which the gateway does not start.
pub fn examine(
    certificate: &Path,
    key: &Path,
    hosts: &[&str],
    now: Timestamp,
) -> Result<Certified, TlsError> {
    let pair = tls::load_pair(certificate, key, Own::Report)?;
    let Some((leaf, chain)) = pair.key.cert.split_first() else {
        return Err(TlsError::Missing(certificate.to_owned()));
    };
    let today = verified(leaf, chain, hosts, now.unix_seconds());
    Ok(Certified {
        until: pair.until,
        is_early: matches!(
            today,
            Err(Error::InvalidCertificate(
                CertificateError::NotValidYetContext { .. }
            ))
        ),
        not_for: not_for(leaf, hosts),
        is_public: today.is_ok(),
        issued_by: pair.chain.issued_by,
        remarks: pair.remarks,
    })
}

/// When a certificate ends, which is told by a look at a time when it has ended.
pub(super) fn last_moment(certificates: &[CertificateDer<'_>]) -> Option<Timestamp> {
    let (leaf, chain) = certificates.split_first()?;
    match verified(leaf, chain, &[], NEVER) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            let millis = i64::try_from(not_after.as_secs())
                .unwrap_or(i64::MAX)
                .saturating_mul(1000);
            Some(Timestamp::from_millis(millis))
        }
        _ => None,
    }
}

/// What a browser that knows the public authorities says at a time.
fn verified(
    leaf: &CertificateDer<'_>,
    chain: &[CertificateDer<'_>],
    hosts: &[&str],
    time: u64,
) -> Result<(), Error> {
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .map_err(|fault| Error::General(fault.to_string()))?;
    let host = hosts.first().copied().unwrap_or("localhost");
    let name = server_name(host).ok_or_else(|| Error::General(host.to_owned()))?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(time));
    let checked = verifier.verify_server_cert(leaf, chain, &name, &[], time);
    checked.map(drop)
}

fn not_for(leaf: &CertificateDer<'_>, hosts: &[&str]) -> Vec<String> {
    let parsed = ParsedCertificate::try_from(leaf);
    let is_for = |host: &str| match (&parsed, server_name(host)) {
        (Ok(parsed), Some(name)) => verify_server_name(parsed, &name).is_ok(),
        _ => false,
    };
    let missing = hosts.iter().copied().filter(|host| !is_for(host));
    missing.map(str::to_owned).collect()
}

/// An IPv6 address stands in brackets in a URL, and without them in a certificate.
fn server_name(host: &str) -> Option<ServerName<'_>> {
    ServerName::try_from(host.trim_matches(['[', ']'])).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::tls::ensure_development_pair;

    #[test]
    fn names_and_times_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        let made = Timestamp::from_millis(1_800_000_000_000);
        ensure_development_pair(&certificate, &key, &["panel.example"], made).unwrap();
        let look = |hosts: &[&str], seconds: i64| {
            let now = Timestamp::from_millis(made.millis() + seconds * 1000);
            examine(&certificate, &key, hosts, now).unwrap()
        };
        let day = 24 * 60 * 60;
        let seen = look(&["panel.example", "localhost", "[::1]", "other.example"], 0);
        let until = Timestamp::from_millis(made.millis() + (397 * day - 3600) * 1000);
        let expected = Certified {
            until: Some(until),
            is_early: false,
            not_for: vec!["other.example".to_owned()],
            is_public: false,
            issued_by: None,
            remarks: Vec::new(),
        };
        assert_eq!(seen, expected);
        assert!(look(&["panel.example"], -2 * 3600).is_early);
        assert_eq!(look(&["panel.example"], 400 * day).until, Some(until));
    }
}
