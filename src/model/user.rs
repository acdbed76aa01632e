//! A person with an account in the gateway.

use std::fmt;
use std::str::FromStr;

use super::Generation;

/// The store's key of a user. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub i64);

/// A user's name in its one spelling: 1 to 64 of `a-z 0-9 . _ @ + -`; a new one begins with a letter, a
/// digit, `_`, `@` or `+`.
///
/// Letters are lowered when it is read, and everything outside ASCII is refused, so that no two
/// names look alike or are counted apart (CVE-2025-24806, CVE-2019-19844).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

/// Why a text is no user name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUserName {
    #[error("a user name has 1 to 64 characters, this one has {0}")]
    Length(usize),
    #[error("a user name can't contain {0:?}: letters a to z, digits and . _ @ + - are possible")]
    Character(char),
    #[error(
        "a user name can't begin with {0:?}: commands would take it for an option, or addresses for another path"
    )]
    First(char),
}

/// What a user may do in the gateway; panels' rules name roles too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Manages users.
    Administrator,
    Manager,
    Operator,
}

/// No role has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no role {0:?}; the roles are administrator, manager and operator")]
pub struct UnknownRole(pub String);

/// A user without the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub name: UserName,
    pub role: Role,
    pub email: Option<String>,
    pub disabled: bool,
    pub generation: Generation,
}

impl UserName {
    /// The longest name, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Reads the name of a new account. A name that begins with `-` is an option to every command that
    /// it is an argument of, and `.` and `..` are removed from a path before it is sent (RFC 3986
    /// §5.2.4): `/v1/users/../sessions` names the sessions of all users.
    ///
    /// # Errors
    /// [`BadUserName`], also for what [`Self::parse`] takes as the name of an older account.
    pub fn parse_new(text: &str) -> Result<Self, BadUserName> {
        match text.chars().next() {
            Some(first @ ('-' | '.')) => Err(BadUserName::First(first)),
            _ => Self::parse(text),
        }
    }

    /// Reads the name of an account as typed.
    ///
    /// # Errors
    /// [`BadUserName`] names the length or the first character that is not possible.
    pub fn parse(text: &str) -> Result<Self, BadUserName> {
        let length = text.chars().count();
        if length == 0 || length > Self::MAX_LENGTH {
            return Err(BadUserName::Length(length));
        }
        let possible = |c: char| c.is_ascii_alphanumeric() || "._@+-".contains(c);
        match text.chars().find(|&c| !possible(c)) {
            Some(character) => Err(BadUserName::Character(character)),
            None => Ok(Self(text.to_ascii_lowercase())),
        }
    }

    /// Reads a name as a person types or pastes it: blanks around it are not part of it, nor are signs that
    /// can't be seen.
    ///
    /// # Errors
    /// [`BadUserName`]
    pub fn typed(text: &str) -> Result<Self, BadUserName> {
        let unseen = |c: char| c.is_whitespace() || is_unseen(c);
        Self::parse(text.trim_matches(unseen))
    }

    /// The one spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Signs without a width of their own, and marks of direction.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = BadUserName;

    fn from_str(text: &str) -> Result<Self, BadUserName> {
        Self::parse(text)
    }
}

impl Role {
    /// Every role, most powerful first.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Manager, Self::Operator];

    /// The name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Manager => "manager",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(
            UserName::parse("Ada.L@x-1").map(|n| n.to_string()),
            Ok("ada.l@x-1".to_owned())
        );
    }

    #[test]
    fn names_that_could_be_taken_for_others_are_refused() {
        for (text, fault) in [
            ("", BadUserName::Length(0)),
            (&"a".repeat(65), BadUserName::Length(65)),
            ("ada ", BadUserName::Character(' ')),
            ("\u{430}da", BadUserName::Character('\u{430}')),
            ("ada\u{200b}", BadUserName::Character('\u{200b}')),
            ("a/b", BadUserName::Character('/')),
        ] {
            assert_eq!(UserName::parse(text), Err(fault.clone()), "{text:?}");
            assert_eq!(UserName::parse_new(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn a_new_name_is_neither_an_option_nor_a_step_in_a_path() {
        for text in [".", "..", "...", ".ada", "-", "--yes", "-ada"] {
            let first = text.chars().next().unwrap();
            assert_eq!(
                UserName::parse_new(text),
                Err(BadUserName::First(first)),
                "{text}"
            );
            // Accounts that have one can still be named, to be removed.
            assert!(UserName::parse(text).is_ok(), "{text}");
        }
        for text in ["_svc", "@ada", "+49", "a..b", "a.", "a-"] {
            assert!(UserName::parse_new(text).is_ok(), "{text}");
        }
    }
}
