//! Panels over TLS: which certificate they may show, and when their answer is whole.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::gateway::{Gateway, RULES};

/// A panel over TLS, which keeps the names that it is asked for.
struct TlsPanel {
    port: u16,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_owned);
        self.names.lock().unwrap().push(name);
        Some(self.key.clone())
    }
}

impl TlsPanel {
    /// Shows the certificate, whether the key is its own or not.
    async fn start(certificate: &CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = any_supported_type(&key).unwrap();
        let key = Arc::new(CertifiedKey::new(vec![certificate.clone()], key));
        let names: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let shown = Arc::new(Shown {
            key,
            names: names.clone(),
        });
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(shown);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream).await;
                    }
                });
            }
        });
        Self { port, names }
    }

    async fn behind(&self, host: &str, lines: &str) -> Gateway {
        let upstream = format!("https://{host}:{}", self.port);
        Gateway::at(&upstream, "", &format!("{lines}\n{RULES}")).await
    }
}

/// Answers one request; whether TLS is closed in good form, and how the answer is framed, is in the
/// path.
async fn answer(mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|part| part == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let framing = match head.split(['/', ' ', '-']).nth(2)? {
        "length" => format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"),
        "old" => "HTTP/1.0 200 OK\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
    };
    let body = vec![b'a'; LENGTH];
    stream.write_all(framing.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()?;
    stream.flush().await.ok()?;
    if head.contains("-clean ") {
        // With close_notify; else TCP ends, and TLS does not.
        stream.shutdown().await.ok()?;
    } else {
        stream.get_mut().0.shutdown().await.ok()?;
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok().map(|_| ())
}

const LENGTH: usize = 50_000;

struct Made {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// A certificate for a name, self-signed.
fn self_signed(name: &str, is_ca: bool) -> Made {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panel.pem");
    fs::write(&file, certificate.pem()).unwrap();
    Made {
        certificate: certificate.der().clone(),
        key,
        file,
        _folder: folder,
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

async fn status(gateway: &Gateway) -> u16 {
    gateway
        .person("ada", "operator")
        .await
        .get("/length-clean")
        .await
        .status
}

#[tokio::test]
async fn a_pinned_certificate_is_trusted_whoever_signed_it_and_no_other_is() {
    let (made, other) = (
        self_signed("elsewhere.example", true),
        self_signed("localhost", false),
    );
    let panel = TlsPanel::start(&made.certificate, &made.key).await;
    let file = format!("upstream_certificate = \"{}\"", made.file.display());
    let digest = fingerprint(&made.certificate);
    let digest = format!("upstream_certificate = \"sha256:{digest}\"");
    for lines in [&file, &digest] {
        let gateway = panel.behind("127.0.0.1", lines).await;
        assert_eq!(status(&gateway).await, 200, "{lines}");
    }
    let named = format!("{file}\nupstream_name = \"asked.example\"");
    assert_eq!(status(&panel.behind("127.0.0.1", &named).await).await, 200);
    let asked = panel.names.lock().unwrap().clone();
    assert!(
        asked.contains(&Some("asked.example".to_owned())),
        "{asked:?}"
    );
    let wrong = format!("upstream_certificate = \"{}\"", other.file.display());
    let gateway = panel.behind("127.0.0.1", &wrong).await;
    assert_eq!(status(&gateway).await, 502);
    assert!(
        gateway.log().contains("another certificate"),
        "{}",
        gateway.log()
    );
    // A certificate is no secret: who shows it without its key is not the panel.
    let impostor = TlsPanel::start(&made.certificate, &other.key).await;
    assert_eq!(
        status(&impostor.behind("127.0.0.1", &file).await).await,
        502
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_its_own_authority_is_explained() {
    let made = self_signed("localhost", true);
    let panel = TlsPanel::start(&made.certificate, &made.key).await;
    let ca = format!("upstream_ca = \"{}\"", made.file.display());
    let gateway = panel.behind("localhost", &ca).await;
    assert_eq!(status(&gateway).await, 502);
    assert!(
        gateway.log().contains("upstream_certificate"),
        "{}",
        gateway.log()
    );
    let check = gateway.command(&["check", "--live"], None);
    let told = String::from_utf8(check.stdout).unwrap() + &String::from_utf8(check.stderr).unwrap();
    assert!(told.contains("upstream_certificate"), "{told}");
    let gateway = panel.behind("localhost", "").await;
    assert_eq!(status(&gateway).await, 502);
    assert!(
        gateway.log().contains("upstream_certificate"),
        "{}",
        gateway.log()
    );
}

#[tokio::test]
async fn a_name_that_differs_from_the_host_is_asked_for_and_looked_for() {
    let authority = CertifiedIssuer::self_signed(
        {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        },
        KeyPair::generate().unwrap(),
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, authority.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["panel.internal".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let panel = TlsPanel::start(certificate.der(), &key).await;
    let ca = format!("upstream_ca = \"{}\"", file.display());
    for (name, expected) in [("Panel.Internal", 200), ("other.internal", 502), ("", 502)] {
        let lines = format!("{ca}\nupstream_name = \"{name}\"");
        let gateway = panel.behind("127.0.0.1", &lines).await;
        assert_eq!(status(&gateway).await, expected, "{name:?}");
        if expected == 502 {
            assert!(gateway.log().contains("upstream_name"), "{}", gateway.log());
        }
    }
    let asked = panel.names.lock().unwrap().clone();
    assert!(
        asked.contains(&Some("panel.internal".to_owned())),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_answer_that_ends_with_the_connection_is_whole_only_with_the_end_of_tls() {
    let made = self_signed("localhost", false);
    let panel = TlsPanel::start(&made.certificate, &made.key).await;
    let ca = format!("upstream_ca = \"{}\"", made.file.display());
    let gateway = panel.behind("localhost", &ca).await;
    let ada = gateway.person("ada", "operator").await;
    for (path, is_whole) in [
        ("/close-clean", true),
        ("/close-torn", false),
        ("/old-clean", true),
        ("/old-torn", false),
        ("/length-clean", true),
        ("/length-torn", true),
    ] {
        let mut wire = ada.connect().await;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
            ada.cookie()
        );
        wire.send(request).await;
        // What breaks off at once may take its head along.
        let Some(head) = wire.try_head().await else {
            assert!(!is_whole, "{path}");
            continue;
        };
        assert_eq!(head.status, 200, "{path}");
        let is_over = |body: &[u8]| match head.header("content-length") {
            Some(length) => body.len() >= length.parse().unwrap(),
            None => body.ends_with(b"0\r\n\r\n"),
        };
        let mut body = Vec::new();
        while !is_over(&body) {
            let more = wire.some().await;
            if more.is_empty() {
                break;
            }
            body.extend(more);
        }
        assert_eq!(is_over(&body), is_whole, "{path}: {} bytes", body.len());
    }
}
