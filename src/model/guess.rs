//! What somebody who is not let in may be guessing.

/// Each is counted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guess {
    Password,
    /// A code of the second factor, recovery codes included.
    Code,
}

impl Guess {
    pub const ALL: [Self; 2] = [Self::Password, Self::Code];

    /// The name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "code",
        }
    }
}
