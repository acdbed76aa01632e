//! TLS: the certificate pair, and the development pair that is made where none is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::clock::Timestamp;

/// The name of HTTP/2 in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How long a development certificate is valid: the longest that all browsers accept.
const DEVELOPMENT_VALIDITY: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No certificate in the file.
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    /// No private key in the file.
    #[error("{0} holds no private key in PEM form")]
    NoKey(PathBuf),
    /// PEM that cannot be read.
    #[error("{path} is not valid PEM: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Where it breaks.
        source: pem::Error,
    },
    /// Two files that do not belong together, or cannot be used.
    #[error("the certificate {certificate} and the key {key} cannot be used together: {source}")]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// One file of the pair is there without the other.
    #[error("{there} is there but {missing} is not; remove it to have a development pair made")]
    Half {
        /// The file that exists.
        there: PathBuf,
        /// The file that does not.
        missing: PathBuf,
    },
    /// A development pair cannot be made.
    #[error("cannot make a development certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A development pair cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Authorities that no certificate can be checked with.
    #[error("the authorities in {path} cannot be used: {source}")]
    Authorities {
        /// Their file.
        path: PathBuf,
        /// What rustls says.
        source: VerifierBuilderError,
    },
    /// An authority that cannot be read.
    #[error("a certificate in {path} cannot be used: {source}")]
    Authority {
        /// Its file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// rustls refuses the settings.
    #[error("cannot set up TLS: {0}")]
    SetUp(rustls::Error),
}

/// The certificate pair that handshakes are made with. Can be exchanged while running: the next
/// handshake takes the new one.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Loads the pair and checks that it fits together.
    ///
    /// # Errors
    /// When a file cannot be read, or key and certificate are not a pair.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(load_pair(certificate, key)?));
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current,
        }))
    }

    /// Loads the same files again; whether the certificate is another one.
    ///
    /// # Errors
    /// As [`Certificates::load`]; the pair in use stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pair = Arc::new(load_pair(&self.certificate, &self.key)?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_another = current.cert != pair.cert;
        *current = pair;
        Ok(is_another)
    }

    /// What a listener needs to speak TLS 1.2 and 1.3 with these certificates.
    ///
    /// # Errors
    /// When rustls refuses the settings.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = self.asking(WebPkiClientVerifier::no_client_auth())?;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError::SetUp)?;
        Ok(Arc::new(config))
    }

    /// The same for a listener whose clients show a certificate of one of these authorities. None
    /// resumes a connection, so that each handshake checks the certificate anew.
    ///
    /// # Errors
    /// As [`Certificates::server_config`], and when the file holds no authorities that can be used.
    pub fn server_config_for(
        self: &Arc<Self>,
        authorities: &Path,
    ) -> Result<Arc<ServerConfig>, TlsError> {
        let path = || authorities.to_owned();
        let mut roots = RootCertStore::empty();
        for certificate in load_chain(authorities)? {
            let added = roots.add(certificate);
            added.map_err(|source| TlsError::Authority {
                path: path(),
                source,
            })?;
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|source| TlsError::Authorities {
                path: path(),
                source,
            })?;
        let mut config = self.asking(clients)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    fn asking(
        self: &Arc<Self>,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::SetUp)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        // Early data can be replayed by whoever records it.
        config.max_early_data_size = 0;
        Ok(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

pub(super) fn load_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = load_chain(certificate)?;
    let private = load_key(key)?;
    CertifiedKey::from_der(chain, private, &provider()).map_err(|source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn load_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem {
            path: path.to_owned(),
            source,
        })?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(chain)
}

fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| match source {
        pem::Error::NoItemsFound => TlsError::NoKey(path.to_owned()),
        source => TlsError::Pem {
            path: path.to_owned(),
            source,
        },
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Makes a self-signed pair for `hosts` and the names of loopback, where neither file is there.
/// `true` when it was made.
///
/// # Errors
/// When only one of the two is there, or they cannot be written.
pub fn ensure_development_pair(
    certificate: &Path,
    key: &Path,
    hosts: &[&str],
    now: Timestamp,
) -> Result<bool, TlsError> {
    match (certificate.exists(), key.exists()) {
        (true, true) => return Ok(false),
        (false, false) => {}
        (true, false) => return Err(half(certificate, key)),
        (false, true) => return Err(half(key, certificate)),
    }
    let pair = KeyPair::generate()?;
    let signed = development_params(hosts, now)?.self_signed(&pair)?;
    write_new(key, pair.serialize_pem().as_bytes(), 0o600)?;
    write_new(certificate, signed.pem().as_bytes(), 0o644)?;
    Ok(true)
}

fn half(there: &Path, missing: &Path) -> TlsError {
    TlsError::Half {
        there: there.to_owned(),
        missing: missing.to_owned(),
    }
}

fn development_params(hosts: &[&str], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut names: Vec<String> = Vec::new();
    for name in hosts
        .iter()
        .copied()
        .chain(["localhost", "127.0.0.1", "::1"])
    {
        let name = name.trim_matches(['[', ']']);
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    let mut params = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Portcullis development certificate");
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let start = time::OffsetDateTime::UNIX_EPOCH + Duration::from_secs(now.unix_seconds());
    // An hour back, for clients whose clock is behind.
    params.not_before = start - Duration::from_secs(60 * 60);
    params.not_after = params.not_before + DEVELOPMENT_VALIDITY;
    Ok(params)
}

/// Writes a file that appears whole or not at all, and never over another one.
fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let failed = |source| TlsError::Write {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let draft = PathBuf::from(name);
    let written = write_synced(&draft, content, mode).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(failed)
}

fn write_synced(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    #[test]
    fn a_development_pair_is_made_once_and_can_be_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("certs/gateway.pem");
        let key = folder.path().join("certs/gateway.key");
        assert!(ensure_development_pair(&certificate, &key, &["panel.example"], now()).unwrap());
        let first = fs::read(&key).unwrap();
        assert!(!ensure_development_pair(&certificate, &key, &["panel.example"], now()).unwrap());
        assert_eq!(fs::read(&key).unwrap(), first);
        assert_eq!(
            fs::metadata(&key).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::read_dir(folder.path().join("certs")).unwrap().count(),
            2
        );
        Certificates::load(&certificate, &key)
            .unwrap()
            .server_config()
            .unwrap();
    }

    #[test]
    fn half_a_pair_is_never_completed() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = folder.path().join("gateway.pem");
        let key = folder.path().join("gateway.key");
        fs::write(&certificate, "mine").unwrap();
        let error = ensure_development_pair(&certificate, &key, &[], now()).unwrap_err();
        assert!(error.to_string().contains("gateway.key is not"), "{error}");
        assert!(!key.exists());
    }

    #[test]
    fn a_key_of_another_certificate_is_an_error_that_names_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ensure_development_pair(&path("a.pem"), &path("a.key"), &[], now()).unwrap();
        ensure_development_pair(&path("b.pem"), &path("b.key"), &[], now()).unwrap();
        let error = Certificates::load(&path("a.pem"), &path("b.key")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("a.pem") && text.contains("b.key"), "{text}");
    }

    #[test]
    fn a_broken_pair_does_not_replace_the_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ensure_development_pair(&path("a.pem"), &path("a.key"), &[], now()).unwrap();
        let certificates = Certificates::load(&path("a.pem"), &path("a.key")).unwrap();
        let before = Arc::clone(&certificates.current.read().unwrap());
        fs::write(path("a.key"), "no key at all").unwrap();
        assert!(matches!(certificates.reload(), Err(TlsError::NoKey(_))));
        assert!(Arc::ptr_eq(&before, &certificates.current.read().unwrap()));
    }
}
