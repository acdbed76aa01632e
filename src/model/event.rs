//! What happened, for the audit list: who did what to whom.

use super::{Actor, UserName};

/// What was done. The text form is part of the contract: people filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    UserAdded,
    SetupLinkMade,
    PasswordSet,
    PasswordChangedElsewhere,
    SessionsEnded,
    SessionStarted,
    SessionEnded,
    UserEnabled,
    UserDisabled,
    /// Too many failed sign-ins in a row.
    UserLocked,
    RoleChanged,
    EmailChanged,
    UserRemoved,
    SecondFactorEnrolled,
    SecondFactorReset,
    TotpUsed,
    RecoveryCodeUsed,
    TokenAdded,
    TokenRemoved,
    TokenRotated,
    /// A management token runs out in two weeks.
    TokenEndsSoon,
    /// A wrong management token, or one that may not do what it was used for.
    TokenRefused,
    /// A set-up link that is none, or none any more.
    SetupLinkRefused,
    StoreRestored,
}

/// One entry of the audit list, written in the transaction of the change that it tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub actor: Actor,
    pub action: Action,
    /// Whom it concerned; `None` for everybody or nobody.
    pub subject: Option<UserName>,
    /// A sentence for people, without secrets.
    pub detail: String,
}

impl Event {
    /// An event about one user.
    pub fn about(actor: Actor, action: Action, subject: &UserName) -> Self {
        Self {
            actor,
            action,
            subject: Some(subject.clone()),
            detail: String::new(),
        }
    }

    /// An event about nobody in particular.
    pub fn general(actor: Actor, action: Action) -> Self {
        Self {
            actor,
            action,
            subject: None,
            detail: String::new(),
        }
    }

    /// The same with a sentence for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl Action {
    /// The name in the audit list.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserAdded => "user-added",
            Self::SetupLinkMade => "setup-link-made",
            Self::PasswordSet => "password-set",
            Self::PasswordChangedElsewhere => "password-changed-elsewhere",
            Self::SessionsEnded => "sessions-ended",
            Self::SessionStarted => "session-started",
            Self::SessionEnded => "session-ended",
            Self::SecondFactorEnrolled => "second-factor-enrolled",
            Self::UserEnabled => "user-enabled",
            Self::UserDisabled => "user-disabled",
            Self::UserLocked => "user-locked",
            Self::RoleChanged => "role-changed",
            Self::EmailChanged => "email-changed",
            Self::UserRemoved => "user-removed",
            Self::SecondFactorReset => "second-factor-reset",
            Self::TotpUsed => "totp-used",
            Self::RecoveryCodeUsed => "recovery-code-used",
            Self::TokenAdded => "token-added",
            Self::TokenRemoved => "token-removed",
            Self::TokenRotated => "token-rotated",
            Self::TokenEndsSoon => "token-ends-soon",
            Self::TokenRefused => "token-refused",
            Self::SetupLinkRefused => "setup-link-refused",
            Self::StoreRestored => "store-restored",
        }
    }
}
