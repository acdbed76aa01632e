//! What has just happened, told on the next page: a word in the address, never a text from it.

/// Something that a page was left with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    PasswordSet,
    LoggedOut,
    LoggedOutEverywhere,
    PasswordChanged,
    SessionEnded,
    UserRemoved,
    /// A one-time link that has set a password, while its user may not have seen the answer.
    LinkUsed,
    /// A sign-in took too long, was given too many wrong codes, or ended with an answer that was lost.
    StartAgain,
    /// A second factor was not enrolled in time, or by another browser.
    EnrolmentOver,
}

impl Done {
    const ALL: [Self; 9] = [
        Self::PasswordSet,
        Self::LoggedOut,
        Self::LoggedOutEverywhere,
        Self::PasswordChanged,
        Self::SessionEnded,
        Self::UserRemoved,
        Self::LinkUsed,
        Self::StartAgain,
        Self::EnrolmentOver,
    ];

    /// The word for the address.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::PasswordSet => "password-set",
            Self::LoggedOut => "logged-out",
            Self::LoggedOutEverywhere => "logged-out-everywhere",
            Self::PasswordChanged => "password-changed",
            Self::SessionEnded => "session-ended",
            Self::UserRemoved => "user-removed",
            Self::LinkUsed => "link-used",
            Self::StartAgain => "start-again",
            Self::EnrolmentOver => "enrolment-over",
        }
    }

    /// The sentence on the page.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::PasswordSet => "Your password is set. Sign in with it.",
            Self::LoggedOut => "You are logged out.",
            Self::LoggedOutEverywhere => {
                "You are logged out of all devices. Everything that was open is cut."
            }
            Self::PasswordChanged => {
                "Your password is changed, and you are logged out of all devices. Sign in with the \
                 new password."
            }
            Self::SessionEnded => "The session is ended. What it had open is cut.",
            Self::UserRemoved => "The user is removed, and every session with them.",
            Self::LinkUsed => {
                "This link has set a password already. Sign in with the password that was chosen."
            }
            Self::StartAgain => {
                "This sign-in is over: it took too long, had too many wrong codes, or was finished and \
                 its answer was lost. Please begin again, with a new code."
            }
            Self::EnrolmentOver => {
                "The set-up of your second factor is over: its 30 minutes have passed, the account was \
                 changed, or it was finished, here or in another browser. Sign in again. If you are shown a \
                 new secret then, first remove the entry that your app has from before: its codes do not \
                 work. If you are asked for a code and have set up no app yourself, someone else knows your \
                 password: tell an administrator at once."
            }
        }
    }

    /// Reads a word; anything else says nothing.
    pub(super) fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|done| done.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_the_address_says_nothing() {
        for done in Done::ALL {
            assert_eq!(Done::read(done.word()), Some(done));
        }
        assert_eq!(Done::read("Call 555-0100 to unlock your account"), None);
    }
}
