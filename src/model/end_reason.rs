//! Why a session has ended, for the audit list and for the browser that had it.

use super::Action;
use crate::clock::Timestamp;

/// Why a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// There were more of the user than are allowed.
    TooMany,
    /// The same user signed in again in the same browser.
    Replaced,
    /// Another user signed in in the same browser.
    OtherUser,
    Idle,
    Lifetime,
    /// The configuration lets sessions live for a shorter time than before.
    ShorterLimits,
    /// The configuration asks for a second factor, which was not shown.
    SecondFactor,
    /// It began in the future, by the clock of this start.
    Clock,
    /// The store may not know any more what was ended.
    Restored,
    /// Somebody ended this one session.
    One,
    /// Somebody ended every session of the user, or of everybody.
    Every,
    /// The password was set or changed, and every session ended with that.
    Password,
    /// Role, address, second factors or state of the account were changed, or it was removed.
    Account,
}

/// A session that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSession {
    pub reason: EndReason,
    pub at: Timestamp,
}

impl EndReason {
    /// Every reason there is.
    pub const ALL: [Self; 13] = [
        Self::TooMany,
        Self::Replaced,
        Self::OtherUser,
        Self::Idle,
        Self::Lifetime,
        Self::ShorterLimits,
        Self::SecondFactor,
        Self::Clock,
        Self::Restored,
        Self::One,
        Self::Every,
        Self::Password,
        Self::Account,
    ];

    /// The word in the store and in problem documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooMany => "too-many",
            Self::Replaced => "replaced",
            Self::OtherUser => "other-user",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::ShorterLimits => "shorter-limits",
            Self::SecondFactor => "second-factor",
            Self::Clock => "clock",
            Self::Restored => "restored",
            Self::One => "ended",
            Self::Every => "every-session",
            Self::Password => "password",
            Self::Account => "account",
        }
    }

    /// The reason of this word; `None` for one that a newer gateway wrote.
    pub fn from_stored(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// Why sessions end with an act of this kind.
    pub const fn of_act(action: Action) -> Self {
        match action {
            Action::PasswordSet | Action::PasswordChangedElsewhere => Self::Password,
            Action::UserEnabled
            | Action::UserDisabled
            | Action::RoleChanged
            | Action::EmailChanged
            | Action::UserRemoved
            | Action::SecondFactorReset => Self::Account,
            Action::StoreRestored => Self::Restored,
            Action::SessionEnded => Self::One,
            _ => Self::Every,
        }
    }

    /// What comes after "because", for the user of the session and for readers of the audit list.
    pub const fn clause(self) -> &'static str {
        match self {
            Self::TooMany => {
                "there were more sessions than one user may have, and this was the oldest"
            }
            Self::Replaced => "a later sign-in in the same browser took its place",
            Self::OtherUser => "another user signed in in the same browser",
            Self::Idle => "it was not used for too long",
            Self::Lifetime => "it had reached the greatest age that a session may have",
            Self::ShorterLimits => "sessions may no longer last as long as before",
            Self::SecondFactor => "a second factor is needed now",
            Self::Clock => "the clock of the gateway was set back behind its beginning",
            Self::Restored => {
                "the data of the gateway was restored or has moved, and every session ended with that"
            }
            Self::One => "its user, an administrator or a program ended it",
            Self::Every => "its user, an administrator or a program ended all sessions",
            Self::Password => "the password was changed",
            Self::Account => "the account was changed",
        }
    }
}

impl EndedSession {
    /// The sentence for the user of the session.
    pub fn sentence(self) -> String {
        let at = self.at.rfc3339();
        let (day, time) = at.split_once('T').unwrap_or((&at, ""));
        let time = time.get(..5).unwrap_or(time);
        format!(
            "This session ended because {}, on {day} at {time} UTC.",
            self.reason.clause()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_word_of_its_own_and_is_read_back() {
        for reason in EndReason::ALL {
            assert_eq!(EndReason::from_stored(reason.as_str()), Some(reason));
            assert!(!reason.clause().ends_with('.'), "{reason:?}");
        }
        assert_eq!(EndReason::from_stored("of-a-newer-gateway"), None);
    }

    #[test]
    fn the_sentence_says_why_and_when() {
        let ended = EndedSession {
            reason: EndReason::Idle,
            at: Timestamp::from_millis(1_700_000_000_123),
        };
        assert_eq!(
            ended.sentence(),
            "This session ended because it was not used for too long, on 2023-11-14 at 22:13 UTC."
        );
    }
}
