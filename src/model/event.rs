//! What happened, for the audit list: who did what to whom.

use super::{Actor, Credential, UserName};
use crate::secret::sha256;

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
    /// Somebody was not let in: a wrong password or code, or a disabled account.
    SignInFailed,
    /// Somebody is not let in without a look at what is typed: too many failures came before.
    Guessing,
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
    /// What tells the act from others, where it can't be done twice.
    pub asked: Option<Asked>,
}

/// What makes a call the same act as an earlier one, whose caller may not know that it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// SHA-256 of who asks for what.
    pub act: [u8; 32],
    /// SHA-256 of the secret that the act makes, and that its caller is shown.
    pub made: Option<[u8; 32]>,
}

impl Event {
    /// An event about one user.
    pub fn about(actor: Actor, action: Action, subject: &UserName) -> Self {
        Self {
            actor,
            action,
            subject: Some(subject.clone()),
            detail: String::new(),
            asked: None,
        }
    }

    /// An event about nobody in particular.
    pub fn general(actor: Actor, action: Action) -> Self {
        Self {
            actor,
            action,
            subject: None,
            detail: String::new(),
            asked: None,
        }
    }

    /// The same with a sentence for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl Event {
    /// The same for an act that cannot be done twice: a caller that got no answer asks for it
    /// again, by the same words in `content`, and is answered as the first time.
    #[must_use]
    pub fn once(mut self, content: &str, made: Option<[u8; 32]>) -> Self {
        let subject = self.subject.as_ref();
        let act = act(&who(&self.actor), self.action, subject, content);
        self.asked = Some(Asked { act, made });
        self
    }
}

impl Asked {
    /// What the holder of a one-time link does once, by the SHA-256 of its token.
    pub fn by_link(hash: &[u8; 32], action: Action) -> Self {
        Self {
            act: act(&format!("link {hash:?}"), action, None, ""),
            made: None,
        }
    }
}

fn act(who: &str, action: Action, subject: Option<&UserName>, content: &str) -> [u8; 32] {
    let (action, subject) = (action.as_str(), subject.map(UserName::as_str));
    sha256(&format!("{who}\n{action} {subject:?}\n{content}"))
}

/// Who asks, the same in every call: a person by whatever session, a program by its token.
fn who(actor: &Actor) -> String {
    match actor {
        Actor::User {
            name, credential, ..
        } => match credential {
            Credential::Session { .. } => format!("user {name}"),
            Credential::PendingSignIn { cookie } => format!("sign-in {cookie:?}"),
            Credential::Password { user, .. } => format!("password of {}", user.0),
            Credential::SetupLink { hash } => format!("link {hash:?}"),
        },
        Actor::Token { hash, .. } => format!("token {hash:?}"),
        Actor::Operator { uid } => format!("uid {uid}"),
        itself => itself.to_string(),
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
            Self::SignInFailed => "sign-in-failed",
            Self::Guessing => "guessing",
            Self::SetupLinkRefused => "setup-link-refused",
            Self::StoreRestored => "store-restored",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_act_of_the_same_caller_is_known_again() {
        let act = |uid, action, content| {
            let event = Event::general(Actor::Operator { uid }, action);
            event.once(content, None).asked.unwrap().act
        };
        let first = act(0, Action::TokenAdded, "a for read");
        assert_eq!(first, act(0, Action::TokenAdded, "a for read"));
        for other in [
            act(0, Action::TokenAdded, "a for users"),
            act(0, Action::TokenRotated, "a for read"),
            act(1, Action::TokenAdded, "a for read"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_person_is_the_same_in_another_session_and_a_program_not_with_another_token() {
        let by = |actor| {
            Event::general(actor, Action::UserRemoved)
                .once("", None)
                .asked
        };
        let person = |address: &str, token| Actor::User {
            name: UserName::parse("ada").unwrap(),
            address: address.parse().unwrap(),
            credential: Credential::Session {
                token: crate::model::TokenHash([token; 32]),
                last_seen: crate::clock::Timestamp::from_millis(0),
            },
        };
        assert_eq!(by(person("192.0.2.1", 1)), by(person("192.0.2.2", 2)));
        let program = |hash| Actor::Token {
            name: "t".to_owned(),
            hash: [hash; 32],
            scope: crate::model::Scope::Users,
        };
        assert_ne!(by(program(1)), by(program(2)));
    }
}
