//! TLS: the certificate pair, and the development pair that is made where none is.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
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
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;

use crate::clock::Timestamp;
use crate::secret_file::Own;
use crate::tls::chain::{self, Chain};
use crate::tls::pem::{self, PemError};

/// The name of HTTP/2 in ALPN.
pub(super) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How long a development certificate is valid: the longest that all browsers accept.
const DEVELOPMENT_VALIDITY: Duration = Duration::from_secs(397 * 24 * 60 * 60);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or is not what it should be.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A missing certificate, where none is made.
    #[error(
        "there is no certificate: {0} does not exist; [tls] certificate and key say where the pair is, \
         and with development = true a missing one is made, for trying things out"
    )]
    Missing(PathBuf),
    /// The same, where only the management listener needs it.
    #[error(
        "there is no certificate: {path} does not exist, and the management API at {listen} speaks HTTPS; \
         name a pair in [tls], or say [management] listen = \"\" to have the socket alone"
    )]
    MissingForPrograms {
        /// The file.
        path: PathBuf,
        /// Where the API listens.
        listen: SocketAddr,
    },
    /// A private key that cannot be used.
    #[error("the private key in {path} cannot be used: {source}")]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// Two files that do not belong together.
    #[error(
        "the private key in {key} is not the one of the certificate in {certificate}; name the two files that were made together"
    )]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate of the key does not come first.
    #[error(
        "{certificate}:{line}: this is the certificate of the key, and it must stand first in the file; the one that issued it comes after it"
    )]
    Order {
        /// The certificate's file.
        certificate: PathBuf,
        /// Where the certificate of the key stands.
        line: usize,
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
    /// The authorities of programs cannot be read.
    #[error("[management] client_ca: {0}")]
    AuthoritiesFile(PemError),
    /// Authorities that no certificate can be checked with.
    #[error("[management] client_ca: the authorities in {path} cannot be used: {source}")]
    Authorities {
        /// Their file.
        path: PathBuf,
        /// What rustls says.
        source: VerifierBuilderError,
    },
    /// An authority that cannot be used.
    #[error("[management] client_ca: {path}:{line}: this certificate cannot be used: {source}")]
    Authority {
        /// Its file.
        path: PathBuf,
        /// Where it stands.
        line: usize,
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
    current: RwLock<Arc<Pair>>,
}

/// A certificate with its key, and what there is to say of the two files.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) chain: Chain,
    /// What keeps neither file from use, a sentence each.
    pub(super) remarks: Vec<String>,
    /// The last moment of the certificate; `None` where it can't be told.
    pub(super) until: Option<Timestamp>,
}

impl Certificates {
    /// Loads the pair and checks that it fits together.
    ///
    /// # Errors
    /// When a file cannot be read, or key and certificate are not a pair.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = load_pair(certificate, key, Own::Mend)?;
        current.warn();
        let current = RwLock::new(Arc::new(current));
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
        let pair = Arc::new(load_pair(&self.certificate, &self.key, Own::Mend)?);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_another = current.key.cert != pair.key.cert;
        if is_another {
            pair.warn();
        }
        *current = pair;
        Ok(is_another)
    }

    /// The last moment of the certificate in use; `None` where it can't be told.
    pub fn until(&self) -> Option<Timestamp> {
        self.now().until
    }

    fn now(&self) -> Arc<Pair> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
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
        for certificate in pem::certificates(authorities).map_err(TlsError::AuthoritiesFile)? {
            let added = roots.add(certificate.der);
            added.map_err(|source| TlsError::Authority {
                path: path(),
                line: certificate.line,
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
        Some(Arc::clone(&self.now().key))
    }
}

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Loads the two files, as far as they belong together.
pub(super) fn load_pair(certificate: &Path, key: &Path, own: Own) -> Result<Pair, TlsError> {
    if let Some(missing) = [certificate, key].into_iter().find(|path| is_missing(path)) {
        return Err(TlsError::Missing(missing.to_owned()));
    }
    let found = pem::certificates(certificate)?;
    let chain = chain::look(certificate, &found)?;
    let (private, remark) = pem::private_key(key, own)?;
    let private = provider().key_provider.load_private_key(private);
    let private = private.map_err(|source| TlsError::Key {
        path: key.to_owned(),
        source,
    })?;
    let fits = |der: &CertificateDer<'static>| {
        CertifiedKey::new(vec![der.clone()], Arc::clone(&private)).keys_match()
    };
    let mismatch = Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch));
    let place = found.iter().position(|one| fits(&one.der) != mismatch);
    match (place, place.and_then(|place| found.get(place))) {
        (Some(0), _) => {}
        (_, Some(certified)) => {
            return Err(TlsError::Order {
                certificate: certificate.to_owned(),
                line: certified.line,
            });
        }
        (_, None) => {
            return Err(TlsError::Pair {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
            });
        }
    }
    let ders: Vec<_> = found.into_iter().map(|one| one.der).collect();
    Ok(Pair {
        until: super::certificate::last_moment(&ders),
        key: Arc::new(CertifiedKey::new(ders, private)),
        remarks: chain.faults.iter().cloned().chain(remark).collect(),
        chain,
    })
}

/// What can't be looked at says so when it is read.
fn is_missing(path: &Path) -> bool {
    fs::metadata(path).is_err_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}

impl Pair {
    /// The rule of secret files has written its own warning.
    fn warn(&self) {
        for fault in &self.chain.faults {
            tracing::warn!("{fault}");
        }
    }
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
        let both = [path("b.pem"), path("a.pem")].map(|path| fs::read_to_string(path).unwrap());
        fs::write(path("both.pem"), both.concat()).unwrap();
        let error = Certificates::load(&path("both.pem"), &path("a.key")).unwrap_err();
        let line = 1 + both[0].lines().count();
        let place = format!("both.pem:{line}: ");
        assert!(error.to_string().contains(&place), "{error}");
        let error = Certificates::load(&path("none.pem"), &path("a.key")).unwrap_err();
        assert!(
            error.to_string().contains("none.pem does not exist"),
            "{error}"
        );
    }

    #[test]
    fn a_broken_pair_does_not_replace_the_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        ensure_development_pair(&path("a.pem"), &path("a.key"), &[], now()).unwrap();
        let certificates = Certificates::load(&path("a.pem"), &path("a.key")).unwrap();
        let before = certificates.now();
        fs::write(path("a.key"), "no key at all").unwrap();
        let fault = certificates.reload().unwrap_err().to_string();
        assert!(fault.contains("a.key holds no private key"), "{fault}");
        assert!(Arc::ptr_eq(&before, &certificates.now()));
    }
}
