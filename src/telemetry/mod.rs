//! What the gateway tells those who watch it: a line for each exchange, and numbers.
//!
//! Two logs leave the process. What happens (starts, faults, warnings) goes to the standard error;
//! one line for each exchange, and for each call of the management API, goes to the standard output,
//! once it is over. Neither ever holds a
//! token, a password, a code, a query or a control character. An exchange has a number that is also
//! the reference on the page of its error.

mod access;
mod called;
mod end;
mod entry;
mod events;
mod line;
mod metrics;
mod refused_head;

pub use self::access::AccessLog;
pub use self::called::Called;
pub use self::end::End;
pub use self::entry::Entry;
pub use self::events::{begin, count_panics};
pub use self::line::Line;
pub use self::metrics::{Answers, Call, Metrics, SignIn, Step};
