//! An answer that the gateway breaks off on purpose.
//!
//! Over HTTP/1.1 the connection is reset before the end of the answer. Over HTTP/2 the stream is reset with
//! `CANCEL`, so that a client can tell it from a fault, which is an `INTERNAL_ERROR`. `NO_ERROR` would
//! say that the answer is whole (RFC 9113 §8.1), and `REFUSED_STREAM` that nothing was done (§8.7).

use std::error::Error;
use std::fmt;
use std::io;

/// Why an answer ends early, with the code for its stream where hyper looks for it.
#[derive(Debug)]
struct Withdrawn {
    why: Box<dyn Error + Send + Sync>,
    code: h2::Error,
}

/// The error of a body that is broken off for this reason.
pub fn withdrawn(why: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(Withdrawn {
        why: Box::new(why),
        code: h2::Reason::CANCEL.into(),
    })
}

impl fmt::Display for Withdrawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl Error for Withdrawn {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.code)
    }
}
