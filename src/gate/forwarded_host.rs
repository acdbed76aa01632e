//! The host that a proxy says was asked for, where the proxy has put its own in the place of it.
//!
//! `Host` wins where it names anything here: a field that a client may have added chooses no other panel.
//! What is put in its place is judged as if it had been asked for.

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Uri};

use super::Gate;
use super::target::{Host, host_of};

/// Another host for a request.
#[derive(Debug)]
pub struct Readdressed {
    host: HeaderValue,
    /// The target, where it names a host too.
    uri: Option<Uri>,
}

impl Gate {
    /// With `said` in the place of a host that is of nothing here, where it is of something itself.
    pub fn readdressed(&self, parts: &Parts, said: &str) -> Option<Readdressed> {
        let is_same = |host: &HeaderValue| host == said;
        if parts.headers.get(HOST).is_some_and(is_same) {
            return None;
        }
        let (asked, meant) = (host_of(parts).ok()?, Host::parse(said)?);
        if self.serves(asked.canonical()) || !self.serves(meant.canonical()) {
            return None;
        }
        let uri = match parts.uri.authority() {
            Some(_) => Some(moved(&parts.uri, said)?),
            None => None,
        };
        let host = HeaderValue::from_str(said).ok()?;
        Some(Readdressed { host, uri })
    }
}

impl Readdressed {
    /// Puts it into the request.
    pub fn apply(self, parts: &mut Parts) {
        parts.headers.insert(HOST, self.host);
        if let Some(uri) = self.uri {
            parts.uri = uri;
        }
    }
}

fn moved(uri: &Uri, host: &str) -> Option<Uri> {
    let mut parts = uri.clone().into_parts();
    parts.authority = Some(Authority::try_from(host).ok()?);
    Uri::from_parts(parts).ok()
}
