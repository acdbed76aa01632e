//! The words of the contract as types, without I/O.
//!
//! One file per word. Text becomes one of these types once, at the door, and only the types travel
//! inside the house.

mod actor;
mod client;
mod device_id;
mod end_reason;
mod event;
mod factor;
mod generation;
mod guess;
mod log_format;
mod outcome;
mod scope;
mod session;
mod user;

pub use actor::{Actor, Credential};
pub use client::ClientAddress;
pub use device_id::DeviceId;
pub use end_reason::{EndReason, EndedSession};
pub use event::{Action, Asked, Event};
pub use factor::FactorKind;
pub use generation::Generation;
pub use guess::Guess;
pub use log_format::LogFormat;
pub use outcome::Outcome;
pub use scope::{Scope, UnknownScope};
pub use session::{SessionId, SessionRecord, TokenHash};
pub use user::{BadUserName, Role, UnknownRole, User, UserId, UserName};
