//! Which certificate a panel over TLS may show: one of the public authorities, one of an authority of
//! one's own, or exactly one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::UpstreamError;
use crate::config::{Panel, PinnedCertificate};
use crate::tls::pem;

/// Connects to a panel by TLS, as its configuration says.
///
/// # Errors
/// [`UpstreamError::Roots`] when a file of certificates can't be used.
pub(super) fn connector(panel: &Panel) -> Result<TlsConnector, UpstreamError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|fault| UpstreamError::Roots(fault.to_string()))?;
    let builder = match &panel.upstream_certificate {
        Some(pinned) => {
            let digest = digest_of(pinned).map_err(UpstreamError::Roots)?;
            let verifier = Arc::new(ThatOne { digest, provider });
            // Not weaker: the handshake is still to be signed by the key of that certificate.
            builder
                .dangerous()
                .with_custom_certificate_verifier(verifier)
        }
        None => builder.with_root_certificates(roots(panel.upstream_ca.as_deref())?),
    };
    Ok(TlsConnector::from(Arc::new(builder.with_no_client_auth())))
}

/// A fault of a handshake, with what helps where rustls has only a word for it.
pub(super) fn explained(fault: io::Error) -> io::Error {
    let inner = fault.get_ref().and_then(|inner| inner.downcast_ref());
    let help = match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            "its certificate signed itself and is marked as an authority, so it can't stand for the \
             panel by upstream_ca; name the same file as upstream_certificate instead, which trusts \
             that certificate and no other"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        )) => "it showed another certificate than upstream_certificate names",
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "no trusted authority has signed its certificate; name the authority's file as \
             upstream_ca, or the panel's own certificate as upstream_certificate"
        }
        Some(rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        )) => {
            "its certificate is for another name; say that name as upstream_name, or name the \
             certificate itself as upstream_certificate"
        }
        Some(rustls::Error::InvalidMessage(_)) => PLAIN,
        None if fault.kind() == io::ErrorKind::UnexpectedEof => {
            "it closed the connection in the middle of the TLS handshake; if it speaks plain HTTP, write \
             http:// in upstream"
        }
        _ => return fault,
    };
    io::Error::new(fault.kind(), format!("{help} ({fault})"))
}

/// What is no message of TLS, where one was expected, is mostly HTTP.
const PLAIN: &str = "what answers there does not speak TLS: if the panel speaks plain HTTP, write http:// in upstream";

fn roots(ca: Option<&Path>) -> Result<RootCertStore, UpstreamError> {
    match ca {
        Some(path) => roots_in(path).map_err(UpstreamError::Roots),
        None => Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()),
    }
}

fn roots_in(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path).map_err(|fault| fault.to_string())? {
        let place = format!("{}:{}", path.display(), certificate.line);
        let added = roots.add(certificate.der);
        added.map_err(|fault| format!("{place}: this certificate cannot be used: {fault}"))?;
    }
    Ok(roots)
}

fn digest_of(pinned: &PinnedCertificate) -> Result<[u8; 32], String> {
    let path = match pinned {
        PinnedCertificate::Sha256(digest) => return Ok(*digest),
        PinnedCertificate::File(path) => path,
    };
    // A chain may follow: the panel's own certificate comes first (RFC 8446 §4.4.2).
    let certificates = pem::certificates(path).map_err(|fault| fault.to_string())?;
    let first = certificates.first();
    let first =
        first.ok_or_else(|| format!("{}: there is no certificate in it", path.display()))?;
    Ok(sha256(&first.der))
}

fn sha256(der: &CertificateDer<'_>) -> [u8; 32] {
    let digest = digest(&SHA256, der);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// Trusts one certificate, whoever signed it and whatever name and time are in it.
#[derive(Debug)]
struct ThatOne {
    digest: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ThatOne {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if sha256(shown) == self.digest {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, shown, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, shown, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
