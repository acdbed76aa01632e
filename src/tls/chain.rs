//! Whether the certificates of a file follow one another: each is signed in the name of the next, up
//! to one that browsers know. Browsers that are lenient about the order hide a fault that programs
//! meet (RFC 8446 §4.4.2 asks of TLS 1.2 peers for this order).

use std::path::Path;

use webpki::EndEntityCert;

use super::pem::{self, Certificate, Fault, PemError};

/// What there is to say of a chain.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Where it does not go on, with the line; a sentence each.
    pub faults: Vec<String>,
    /// Who issued the last certificate, unless it did so itself.
    pub issued_by: Option<String>,
}

/// Looks at the certificates of a file, of which the first is the gateway's own.
///
/// # Errors
/// [`PemError::At`] for one that can't be read.
pub fn look(path: &Path, certificates: &[Certificate]) -> Result<Chain, PemError> {
    let mut chain = Chain::default();
    // The name of the issuer of the one before, and its line.
    let mut before: Option<(Vec<u8>, usize)> = None;
    let mut seen: Vec<(&Certificate, usize)> = Vec::new();
    for certificate in certificates {
        let line = certificate.line;
        let unreadable = |_| pem::at(path)((line, Fault::NoMeaning("certificate")));
        let parsed = EndEntityCert::try_from(&certificate.der).map_err(unreadable)?;
        let twice = seen.iter().find(|(other, _)| other.der == certificate.der);
        if let Some((_, first)) = twice {
            chain.faults.push(format!(
                "{}:{line}: this is the certificate of line {first} once more; leave one",
                path.display()
            ));
        } else if let Some((issuer, of)) = &before
            && issuer.as_slice() != parsed.subject()
        {
            chain.faults.push(format!(
                "{}:{line}: here should stand the certificate of {}, which issued the one of line {of}, and here stands that of {}; put the chain in order, the gateway's own first",
                path.display(),
                name(issuer),
                name(parsed.subject()),
            ));
        }
        seen.push((certificate, line));
        let is_own = parsed.issuer() == parsed.subject();
        chain.issued_by = (!is_own).then(|| name(parsed.issuer()));
        before = Some((parsed.issuer().to_vec(), line));
    }
    Ok(chain)
}

/// The common name of a distinguished name in DER, or its organization: for people, who know it again.
fn name(distinguished: &[u8]) -> String {
    /// `id-at-commonName` and `id-at-organizationName` (RFC 5280 §4.1.2.4), as they stand in DER.
    const NAMES: [[u8; 5]; 2] = [[6, 3, 0x55, 4, 3], [6, 3, 0x55, 4, 10]];
    let value = |kind: &[u8; 5]| {
        let place = distinguished.windows(5).position(|window| window == kind)?;
        let (_, rest) = distinguished.split_at_checked(place + 5)?;
        let [_tag, length, text @ ..] = rest else {
            return None;
        };
        let text = text.get(..usize::from(*length))?;
        let shown = String::from_utf8_lossy(text);
        let plain = shown.chars().filter(|letter| !letter.is_control());
        Some(format!("\"{}\"", plain.collect::<String>()))
    };
    let found = NAMES.iter().find_map(value);
    found.unwrap_or_else(|| "an issuer without a name".to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn authority(name: &str) -> CertificateParams {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    #[test]
    fn each_is_issued_by_the_next() {
        let key = || KeyPair::generate().unwrap();
        let root = CertifiedIssuer::self_signed(authority("root"), key()).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("middle"), key(), &root).unwrap();
        let leaf = params("panel.example").signed_by(&key(), &middle).unwrap();
        let (leaf, middle, root) = (leaf.der().clone(), middle.der().clone(), root.der().clone());
        let look = |ders: &[&rustls_pki_types::CertificateDer<'static>]| {
            let lines = (1..).step_by(10);
            let certificates = lines.zip(ders).map(|(line, der)| Certificate {
                der: (*der).clone(),
                line,
            });
            look(Path::new("c.pem"), &certificates.collect::<Vec<_>>()).unwrap()
        };
        let whole = look(&[&leaf, &middle, &root]);
        assert_eq!(whole, Chain::default());
        assert_eq!(look(&[&leaf]).issued_by.unwrap(), "\"middle\"");
        assert_eq!(look(&[&leaf, &middle]).issued_by.unwrap(), "\"root\"");
        let mixed = look(&[&leaf, &root, &middle]);
        assert_eq!(mixed.faults.len(), 2, "{mixed:?}");
        assert!(
            mixed.faults[0].starts_with("c.pem:11: ") && mixed.faults[0].contains("\"middle\"")
        );
        let twice = look(&[&leaf, &leaf, &middle]);
        assert!(twice.faults[0].contains("of line 1 once more"), "{twice:?}");
    }
}
