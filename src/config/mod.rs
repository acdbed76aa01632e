//! What the operator wants, as written and as meant.
//!
//! The file is read into tables that know where everything stands; each section is then understood
//! into a struct without `Option`s for what has a default. Every fault is collected, so that one look
//! shows all of them. What comes out is valid and never changes.

mod administration;
mod bounds;
mod fault;
mod gateway;
mod host;
mod live;
mod log;
mod management;
mod panel;
mod proxies;
mod risk;
mod rule;
mod schema;
mod session;
mod sign_in;
mod storage;
mod throttle;
mod value;
mod written;

use std::path::Path;
use std::sync::Arc;

use toml::de::DeTable;

pub use administration::Administration;
pub use bounds::{Bounds, Health};
pub use fault::{Fault, Faults};
pub use gateway::{Drain, Gateway, PlainListener, Tls};
pub use host::{ExternalUrl, PanelHost, PinnedCertificate, Upstream};
pub use live::Live;
pub use log::Log;
pub use management::Management;
pub use panel::{IdentityHeaders, Panel, PathReading};
pub use proxies::{ProxyProtocol, TrustedProxies, network as parse_network};
pub use risk::Risk;
pub use rule::{Allow, Rule};
pub use schema::schema;
pub use session::SessionLimits;
pub use sign_in::{PasswordPolicy, SecondFactor};
pub use storage::{KeySource, Place, Server, Storage};
pub use throttle::{Rate, Throttle};
pub use value::duration as parse_duration;

use crate::model::Role;
use crate::secret_file::{self, Own};
use fault::Report;
use written::Section;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub gateway: Gateway,
    pub tls: Tls,
    pub storage: Storage,
    pub session: SessionLimits,
    pub second_factor: SecondFactor,
    pub password: PasswordPolicy,
    pub throttle: Throttle,
    pub management: Management,
    pub log: Log,
    /// At least one, each for hosts of its own.
    pub panels: Vec<Arc<Panel>>,
    /// What is legal but unsafe.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Every fault, each with its place; one without a place when the file can't be read.
    pub fn load(path: &Path) -> Result<Self, Faults> {
        let bytes = std::fs::read(path).map_err(|cause| {
            Faults::of_file(path, format!("the configuration can't be read: {cause}"))
        })?;
        let text = String::from_utf8(bytes).map_err(|cause| {
            let good = cause.utf8_error().valid_up_to();
            Faults::of_file(
                path,
                format!("byte {} is not UTF-8; save the file as UTF-8", good + 1),
            )
        })?;
        let mut config = Self::parse(&text, path)?;
        // A password in it is as well kept as the file.
        let is_kept = matches!(secret_file::examine(path, Own::Report), Ok(None));
        let is_password = |warning: &Fault| warning.risk == Some(Risk::ReadablePassword);
        config
            .warnings
            .retain(|warning| !(is_kept && is_password(warning)));
        Ok(config)
    }

    /// Reads the text of a file. `path` stands in the faults and is not opened.
    ///
    /// # Errors
    /// Every fault, each with its place. Faults of syntax come alone, as what follows one of them is
    /// guesswork.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Faults> {
        let mut report = Report::new(path, text);
        let (file, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or_default();
            report.fault(
                &span,
                format!("this is no TOML: {}", syntax(error.message())),
            );
        }
        let config = if errors.is_empty() {
            Self::understand(Section::whole(&file), &mut report)
        } else {
            None
        };
        let warnings = report.finish()?;
        // `None` goes with a fault, so that `finish` has left already.
        let config =
            config.ok_or_else(|| Faults::of_file(path, "the configuration has no meaning"))?;
        Ok(Self { warnings, ..config })
    }

    /// This configuration as far as it can follow `old` while the gateway runs, and the sections whose
    /// changes wait for a restart: listeners, folders and logs are opened once.
    pub fn that_can_follow(self, old: &Self) -> (Self, Vec<&'static str>) {
        let follower = Self {
            gateway: old.gateway.clone(),
            tls: old.tls.clone(),
            storage: old.storage.clone(),
            management: old.management.clone(),
            log: old.log,
            // Who has which host was judged with the new address of the gateway.
            panels: match self.gateway.portal_url() == old.gateway.portal_url()
                && self.gateway.external_url == old.gateway.external_url
            {
                true => self.panels.clone(),
                false => old.panels.clone(),
            },
            ..self.clone()
        };
        let waiting = self.differences(&follower);
        (follower, waiting)
    }

    /// The sections in which two configurations differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let sections = [
            ("gateway", self.gateway != other.gateway),
            ("tls", self.tls != other.tls),
            ("storage", self.storage != other.storage),
            ("session", self.session != other.session),
            ("second_factor", self.second_factor != other.second_factor),
            ("password", self.password != other.password),
            ("throttle", self.throttle != other.throttle),
            ("management", self.management != other.management),
            ("log", self.log != other.log),
            ("panel", self.panels != other.panels),
        ];
        let differing = sections.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(section, _)| section).collect()
    }

    /// The least number of characters of a password for people with this role: more where the password
    /// stands alone.
    pub fn min_password_length(&self, role: Role) -> usize {
        if self.second_factor.required_for(role) {
            self.password.min_length
        } else {
            self.password.min_length.max(sign_in::MIN_ALONE)
        }
    }

    fn understand(mut file: Section<'_>, report: &mut Report<'_>) -> Option<Self> {
        let gateway = Gateway::understand(file.section("gateway", report), report);
        let external = &gateway.external_url;
        let tls = Tls::understand(file.section("tls", report), external, report);
        let storage = Storage::understand(file.section("storage", report), report);
        let session = SessionLimits::understand(file.section("session", report), report);
        let second_factor = SecondFactor::understand(file.section("second_factor", report), report);
        let password = PasswordPolicy::understand(file.section("password", report), report);
        let throttle = Throttle::understand(file.section("throttle", report), report);
        let log = Log::understand(file.section("log", report), report);
        let management = file.section("management", report);
        let management = Management::understand(management, &gateway, report);
        let mut own: Vec<_> = gateway.addresses().collect();
        own.extend(management.listen);
        let panels = Panel::understand_all(&mut file, &gateway, &own, report);
        file.finish(report);
        Some(Self {
            gateway,
            tls,
            storage,
            session,
            second_factor,
            password,
            throttle,
            management,
            log,
            panels: panels?,
            warnings: Vec::new(),
        })
    }
}

/// The parser's own words, with what would be right where they only say what is wrong.
fn syntax(message: &str) -> String {
    match message {
        "duplicate key" => "this key stands here for the second time; leave one".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests;
