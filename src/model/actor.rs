//! Who acts, and by which credential.
//!
//! An act that was begun by a person or a program cannot be written down without the credential that
//! it was begun with: there is no variant without one. The store admits the credential in the
//! transaction of the change; a judgement that was made at the head of a request is a hint.

use std::fmt;
use std::net::IpAddr;

use super::{Generation, Scope, TokenHash, UserId, UserName};
use crate::clock::Timestamp;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person: signed in, or on the way there.
    User {
        name: UserName,
        address: IpAddr,
        credential: Credential,
    },
    /// A program with a management token.
    Token {
        name: String,
        /// SHA-256 of the token.
        hash: [u8; 32],
        /// The scope that the act needs.
        scope: Scope,
    },
    /// The command line, or the owner of the management socket: the user of the operating system at
    /// the other end.
    Operator { uid: u32 },
    /// The gateway itself, where no one asked for it: expiry, limits, the first start.
    Gateway,
}

/// What a person showed. An act holds only while its credential does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A session, and when it was last used as far as this node knows, which may be later than the
    /// store knows.
    Session {
        token: TokenHash,
        last_seen: Timestamp,
    },
    /// A sign-in that waits for its second step, by the SHA-256 of its cookie.
    PendingSignIn { cookie: [u8; 32] },
    /// A right password where no second factor is asked for, and the generation it was checked at.
    Password {
        user: UserId,
        generation: Generation,
    },
    /// A one-time link, by the SHA-256 of its token.
    SetupLink { hash: [u8; 32] },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, address, .. } => write!(f, "user {name} from {address}"),
            Self::Token { name, .. } => write!(f, "token {name}"),
            Self::Operator { .. } => f.write_str("operator"),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}
