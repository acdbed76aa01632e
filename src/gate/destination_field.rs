//! Where `MOVE` and `COPY` put what they take (RFC 4918 §10.3): a second target in the same request.
//!
//! It is read like the first one, must lead to the same panel, and is judged by the same rules.

use http::{HeaderMap, HeaderName, StatusCode, Uri};

use super::path::Path;
use super::target::Host;
use crate::wire::Problem;

/// The name of the field.
pub const DESTINATION: HeaderName = HeaderName::from_static("destination");

/// The target that a `Destination` field names.
#[derive(Debug, Clone)]
pub struct DestinationField {
    /// `None` for a path alone, which is on the host that was asked.
    pub(super) host: Option<Host>,
    pub(super) path: Path,
    /// Byte for byte as it came.
    path_and_query: String,
}

impl DestinationField {
    /// Reads the field of a request, where it has one.
    ///
    /// # Errors
    /// The [`Problem`] to answer with, for a field that is twice there or that is no target.
    pub(super) fn read(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut fields = headers.get_all(DESTINATION).iter();
        let Some(field) = fields.next() else {
            return Ok(None);
        };
        if fields.next().is_some() {
            return Err(bad("there is more than one"));
        }
        let text = field.to_str().map_err(|_| bad("it is not text"))?;
        // `Uri` would cut off a fragment without a word.
        let uri = Some(text).filter(|text| !text.contains('#'));
        let uri: Uri = uri
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad("it is no URL"))?;
        let host = match (uri.scheme_str(), uri.authority()) {
            (Some("https"), Some(authority)) => {
                Some(Host::parse(authority.as_str()).ok_or_else(|| bad("its host is no host"))?)
            }
            (None, None) if text.starts_with('/') && !text.starts_with("//") => None,
            (Some(_), Some(_)) => return Err(elsewhere()),
            _ => return Err(bad("it is neither an https URL nor a path")),
        };
        let path = Path::parse(uri.path()).map_err(|fault| bad(&fault.to_string()))?;
        let query = uri.query().map(|query| format!("?{query}"));
        Ok(Some(Self {
            host,
            path_and_query: format!("{}{}", uri.path(), query.unwrap_or_default()),
            path,
        }))
    }

    /// Path and query, as the browser sent them.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

fn bad(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad request")
        .detail(format!("the Destination can't be read: {why}"))
}

/// It leads to another server, or to another panel.
pub(super) fn elsewhere() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "not allowed")
        .detail("the Destination is not at the address of this panel, so nothing can be put there")
}
