//! Certificates and private keys in PEM form (RFC 7468), read so that nothing is passed over.
//!
//! What libraries skip in silence cuts a chain or hides a key: a byte order mark in front of the first
//! block, two blocks on one line, a block without an end. Here each of these is a fault with its line.
//! Text between blocks is allowed, as RFC 7468 §2 has it, as long as it does not look like a boundary.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::secret::Secret;
use crate::secret_file::{self, Own, SecretFileError};

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("can't read {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error(transparent)]
    Secret(#[from] SecretFileError),
    #[error("{}:{line}: {fault}", path.display())]
    At {
        path: PathBuf,
        /// From 1.
        line: usize,
        fault: Fault,
    },
    #[error("{} {}", path.display(), Lacks(wanted, found))]
    Lacks {
        path: PathBuf,
        wanted: &'static str,
        /// What stands there instead, with its line.
        found: Vec<(String, usize)>,
    },
}

/// What is wrong at a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("a byte order mark stands before the first block; save the file as UTF-8 without one")]
    ByteOrderMark,
    #[error("this is UTF-16; save the file as UTF-8 without a byte order mark")]
    Utf16,
    #[error(
        "this is no PEM but its binary form; change it with openssl: \"openssl x509 -inform der -in FILE -out FILE.pem\" for a certificate, \"openssl pkey -inform der …\" for a key, \"openssl pkcs12 …\" for both in one file"
    )]
    Binary,
    #[error("a block begins on the line on which another ends; put a line break between them")]
    Glued,
    #[error(
        "this looks like the boundary of a block and is none; it is written -----BEGIN NAME-----, with five hyphens on both sides and nothing beside them"
    )]
    Boundary,
    #[error("{0} begins here and does not end: its line -----END {0}----- is missing")]
    NoEnd(String),
    #[error("{0} ends here without having begun")]
    NoBegin(String),
    #[error("the block that begins as {begun} ends as {ended}")]
    OtherEnd { begun: String, ended: String },
    #[error("this is no base64; the block was damaged on its way")]
    NoBase64,
    #[error("this block is empty")]
    Empty,
    #[error(
        "the private key is encrypted, and there would be no one to type its password at a start; decrypt it with: openssl pkey -in FILE -out FILE.new, and keep that for the gateway's user alone"
    )]
    Encrypted,
    #[error(
        "{0} is a form of key that TLS does not use; make it one with: ssh-keygen -p -m PEM -f FILE"
    )]
    OpenSsh(String),
    #[error(
        "a second private key; leave the one of the certificate (the first begins on line {first})"
    )]
    SecondKey { first: usize },
    #[error("what this {0} holds can't be read; it was damaged on its way, or is of another form")]
    NoMeaning(&'static str),
}

/// A certificate of a file, with the line on which it begins.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub line: usize,
}

/// One block of a file.
struct Block {
    label: String,
    line: usize,
    der: Secret<Vec<u8>>,
}

/// Every certificate of a file, at least one, in the order of the file.
///
/// # Errors
/// [`PemError`], with the line where there is one.
pub fn certificates(path: &Path) -> Result<Vec<Certificate>, PemError> {
    let bytes = fs::read(path).map_err(|cause| PemError::Read {
        path: path.to_owned(),
        cause,
    })?;
    let blocks = blocks(&bytes).map_err(at(path))?;
    let is_certificate = |block: &&Block| CERTIFICATE.contains(&block.label.as_str());
    let found = blocks
        .iter()
        .filter(is_certificate)
        .map(|block| Certificate {
            der: CertificateDer::from(block.der.expose().clone()),
            line: block.line,
        });
    let found: Vec<_> = found.collect();
    match found.is_empty() {
        true => Err(lacks(path, "certificate", &blocks)),
        false => Ok(found),
    }
}

/// The private key of a file that only the gateway's user can read, with what there is to say of the
/// file.
///
/// # Errors
/// [`PemError`], with the line where there is one; [`SecretFileError`] where others can read it.
pub fn private_key(
    path: &Path,
    own: Own,
) -> Result<(PrivateKeyDer<'static>, Option<String>), PemError> {
    let file = secret_file::read(path, own)?;
    let blocks = blocks(file.content.expose()).map_err(at(path))?;
    let mut keys = blocks
        .iter()
        .filter(|block| KEYS.contains(&block.label.as_str()));
    let Some(first) = keys.next() else {
        return Err(lacks(path, "private key", &blocks));
    };
    if let Some(second) = keys.next() {
        let fault = Fault::SecondKey { first: first.line };
        return Err(at(path)((second.line, fault)));
    }
    let der = first.der.expose().clone();
    let key = match first.label.as_str() {
        "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
        "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
        _ => PrivateKeyDer::Pkcs8(der.into()),
    };
    Ok((key, file.remark))
}

/// The names that certificates have had.
const CERTIFICATE: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];
const KEYS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const HYPHENS: &str = "-----";

/// A fault at a line of a file.
pub fn at(path: &Path) -> impl Fn((usize, Fault)) -> PemError {
    move |(line, fault)| PemError::At {
        path: path.to_owned(),
        line,
        fault,
    }
}

fn lacks(path: &Path, wanted: &'static str, blocks: &[Block]) -> PemError {
    let found = blocks.iter().map(|block| (block.label.clone(), block.line));
    PemError::Lacks {
        path: path.to_owned(),
        wanted,
        found: found.collect(),
    }
}

fn blocks(bytes: &[u8]) -> Result<Vec<Block>, (usize, Fault)> {
    match bytes {
        [0xef, 0xbb, 0xbf, ..] => return Err((1, Fault::ByteOrderMark)),
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => return Err((1, Fault::Utf16)),
        // A sequence of ASN.1 of a length of its own.
        [0x30, 0x80..=0x84, ..] => return Err((1, Fault::Binary)),
        _ => {}
    }
    let mut blocks = Vec::new();
    let mut open: Option<Open> = None;
    for (line, text) in lines(bytes) {
        match (
            boundary(text, open.is_some()).map_err(|fault| (line, fault))?,
            open.take(),
        ) {
            (Line::Text, None) => {}
            (Line::Text, Some(mut block)) => {
                block.take(line, text)?;
                open = Some(block);
            }
            (Line::Begin(label), None) => open = Some(Open::new(label, line)?),
            (Line::Begin(_), Some(block)) => return Err((block.line, Fault::NoEnd(block.label))),
            (Line::End(label), None) => return Err((line, Fault::NoBegin(label.to_owned()))),
            (Line::End(label), Some(block)) => blocks.push(block.close(line, label)?),
        }
    }
    match open {
        Some(block) => Err((block.line, Fault::NoEnd(block.label))),
        None => Ok(blocks),
    }
}

/// The lines of a file with their numbers, whichever way they end.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let lines = bytes.split(|byte| *byte == b'\n');
    // What is no text stands outside of blocks, or is no base64.
    let texts = lines.map(|line| str::from_utf8(line).unwrap_or("\u{fffd}").trim_end());
    (1..).zip(texts)
}

enum Line<'a> {
    Text,
    Begin(&'a str),
    End(&'a str),
}

fn boundary(text: &str, is_inside: bool) -> Result<Line<'_>, Fault> {
    let label = |start: &str| text.strip_prefix(start)?.strip_suffix(HYPHENS);
    if let Some(label) = label(BEGIN).filter(|label| !label.contains('-')) {
        return Ok(Line::Begin(label));
    }
    if let Some(label) = label(END).filter(|label| !label.contains('-')) {
        return Ok(Line::End(label));
    }
    if text.contains(END) && text.contains(BEGIN) {
        return Err(Fault::Glued);
    }
    let upper = text.to_ascii_uppercase();
    let is_like_one = upper.contains("BEGIN ") || upper.contains("END ");
    match is_like_one && text.contains("--") || is_inside && text.contains(HYPHENS) {
        true => Err(Fault::Boundary),
        false => Ok(Line::Text),
    }
}

/// A block whose end is yet to come.
struct Open {
    label: String,
    line: usize,
    base64: Secret<String>,
}

impl Open {
    fn new(label: &str, line: usize) -> Result<Self, (usize, Fault)> {
        match label {
            "ENCRYPTED PRIVATE KEY" => Err((line, Fault::Encrypted)),
            "OPENSSH PRIVATE KEY" => Err((line, Fault::OpenSsh(label.to_owned()))),
            _ => Ok(Self {
                label: label.to_owned(),
                line,
                base64: Secret::default(),
            }),
        }
    }

    fn take(&mut self, line: usize, text: &str) -> Result<(), (usize, Fault)> {
        // A header field of the older form (RFC 1421).
        if text.starts_with("Proc-Type:") && text.contains("ENCRYPTED") {
            return Err((line, Fault::Encrypted));
        }
        let text = text.trim();
        let symbol = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if !text.bytes().all(symbol) {
            return Err((line, Fault::NoBase64));
        }
        self.base64 = Secret::new(format!("{}{text}", self.base64.expose()));
        Ok(())
    }

    fn close(self, line: usize, label: &str) -> Result<Block, (usize, Fault)> {
        if label != self.label {
            let (begun, ended) = (self.label, label.to_owned());
            return Err((line, Fault::OtherEnd { begun, ended }));
        }
        let der = STANDARD.decode(self.base64.expose()).map(Secret::new);
        let der = der.map_err(|_| (self.line, Fault::NoBase64))?;
        match der.expose().is_empty() {
            true => Err((self.line, Fault::Empty)),
            false => Ok(Block {
                label: self.label,
                line: self.line,
                der,
            }),
        }
    }
}

/// What a file lacks, and what stands there instead.
struct Lacks<'a>(&'a str, &'a [(String, usize)]);

impl fmt::Display for Lacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(wanted, found) = self;
        write!(f, "holds no {wanted} in PEM form")?;
        for (number, (label, line)) in found.iter().take(3).enumerate() {
            let joint = if number == 0 {
                "; what stands there is"
            } else {
                ","
            };
            write!(f, "{joint} {label} (line {line})")?;
        }
        match found.is_empty() {
            true => write!(
                f,
                "; it begins with a line like -----BEGIN {}-----",
                wanted.to_uppercase()
            ),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN CERTIFICATE-----\nMAEB\n-----END CERTIFICATE-----\n";

    fn found(text: &[u8]) -> Result<Vec<(String, usize)>, (usize, Fault)> {
        let found = blocks(text)?;
        Ok(found
            .into_iter()
            .map(|block| (block.label, block.line))
            .collect())
    }

    #[test]
    fn blocks_are_read_however_lines_end_and_whatever_stands_between() {
        let text = format!("subject=/CN=a\n{BLOCK}\n issuer: -- b\n{BLOCK}");
        for text in [
            text.clone(),
            text.replace('\n', "\r\n"),
            text.replace("MAEB", " MA\nEB  \n"),
        ] {
            let found = found(text.as_bytes()).unwrap();
            assert_eq!(found.len(), 2, "{text}");
            assert_eq!(found[0], ("CERTIFICATE".to_owned(), 2));
        }
        assert_eq!(found(b"").unwrap(), []);
        assert_eq!(found(b"\xff\x00 junk\n").unwrap(), []);
    }

    #[test]
    fn nothing_is_passed_over() {
        let glued = BLOCK.trim_end().repeat(2);
        for (text, line, fault) in [
            (format!("\u{feff}{BLOCK}"), 1, Fault::ByteOrderMark),
            (glued, 3, Fault::Glued),
            (format!("{}{BLOCK}", BLOCK.trim_end()), 3, Fault::Glued),
            (format!(" {BLOCK}"), 1, Fault::Boundary),
            (format!("> {BLOCK}"), 1, Fault::Boundary),
            (BLOCK.replacen("-----", "----", 1), 1, Fault::Boundary),
            (
                BLOCK.replacen("-----BEGIN", "\u{2013}--BEGIN", 1),
                1,
                Fault::Boundary,
            ),
            (BLOCK.to_lowercase(), 1, Fault::Boundary),
            (
                format!("{BLOCK}-----BEGIN CERTIFICATE-----\nMAEB\n"),
                4,
                Fault::NoEnd("CERTIFICATE".into()),
            ),
            (
                BLOCK.replace("-----END CERTIFICATE-----\n", "").repeat(2),
                1,
                Fault::NoEnd("CERTIFICATE".into()),
            ),
            (
                format!("\n-----END CERTIFICATE-----\n{BLOCK}"),
                2,
                Fault::NoBegin("CERTIFICATE".into()),
            ),
        ] {
            assert_eq!(found(text.as_bytes()), Err((line, fault)), "{text}");
        }
        for binary in [
            [0x30, 0x82, 1, 2],
            [0x30, 0x81, 9, 9],
            [0xff, 0xfe, b'-', 0],
        ] {
            assert!(found(&binary).is_err(), "{binary:x?}");
        }
    }

    #[test]
    fn what_a_block_holds_is_base64_that_is_not_encrypted() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMAEB\n-----END RSA PRIVATE KEY-----\n";
        for (text, line, fault) in [
            (BLOCK.replace("MAEB", "MA!B"), 2, Fault::NoBase64),
            (BLOCK.replace("MAEB", "MAE"), 1, Fault::NoBase64),
            (BLOCK.replace("MAEB\n", ""), 1, Fault::Empty),
            (
                BLOCK.replace("MAEB\n", "MAEB-----END CERTIFICATE-----\n"),
                2,
                Fault::Boundary,
            ),
            (key.to_owned(), 2, Fault::Encrypted),
            (
                BLOCK.replace("CERTIFICATE", "ENCRYPTED PRIVATE KEY"),
                1,
                Fault::Encrypted,
            ),
            (
                BLOCK.replace("CERTIFICATE", "OPENSSH PRIVATE KEY"),
                1,
                Fault::OpenSsh("OPENSSH PRIVATE KEY".into()),
            ),
        ] {
            assert_eq!(found(text.as_bytes()), Err((line, fault)), "{text}");
        }
        let other = BLOCK.replace("END CERTIFICATE", "END CERT");
        assert!(matches!(
            found(other.as_bytes()),
            Err((3, Fault::OtherEnd { .. }))
        ));
    }

    #[test]
    fn a_file_without_what_is_wanted_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pem");
        fs::write(&path, BLOCK.replace("CERTIFICATE", "CERTIFICATE REQUEST")).unwrap();
        let told = certificates(&path).unwrap_err().to_string();
        assert!(
            told.contains("no certificate") && told.contains("CERTIFICATE REQUEST (line 1)"),
            "{told}"
        );
        fs::write(&path, "").unwrap();
        let told = certificates(&path).unwrap_err().to_string();
        assert!(told.contains("-----BEGIN CERTIFICATE-----"), "{told}");
        let key = BLOCK.replace("CERTIFICATE", "PRIVATE KEY");
        fs::write(&path, format!("{key}{key}")).unwrap();
        let told = private_key(&path, Own::Mend).unwrap_err().to_string();
        assert!(told.contains(":4:") && told.contains("line 1"), "{told}");
    }
}
