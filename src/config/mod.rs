//! What the operator wants.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::model::Role;

/// What sessions are held to.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// A session that is not used for so long ends.
    pub idle_timeout: Duration,
    /// The greatest age of a session, used or not.
    pub lifetime: Duration,
    /// With more than these the oldest of a user end.
    pub max_per_user: usize,
}

/// The protected web application.
#[derive(Debug, Clone)]
pub struct Panel {
    pub name: String,
    pub host: PanelHost,
    pub upstream: Upstream,
    pub upstream_ca: Option<PathBuf>,
    pub identity: IdentityHeaders,
    pub rules: Vec<Rule>,
}

/// Under which host a panel is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PanelHost {
    External,
    Any,
    Named(String),
}

/// Where a panel listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    Http { host: String, port: u16 },
    Https { host: String, port: u16 },
    Unix(PathBuf),
}

/// The header fields that tell a panel who is signed in.
#[derive(Debug, Clone)]
pub struct IdentityHeaders {
    pub user: Option<HeaderName>,
    pub role: Option<HeaderName>,
    pub email: Option<HeaderName>,
}

/// One rule of a panel.
#[derive(Debug, Clone)]
pub struct Rule {
    pub path: String,
    pub methods: Option<Vec<Method>>,
    pub allow: Allow,
    pub reauthenticate: Option<Duration>,
}

/// Whom a rule lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allow {
    Anyone,
    SignedIn,
    Roles(Vec<Role>),
}
