//! The number of a request: in its line of the access log, and the reference on the page of its error.

use std::fmt;
use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::futures::TaskLocalFuture;

use crate::secret::random_bytes;

/// Forty bits, no two requests of a process alike for a year at thirty thousand a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

/// Without i, l, o and u: eight letters and digits that are not mistaken for each other on the phone.
const SYMBOLS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Added for each request. Odd, so that all forty bits are gone through; large, so that two requests
/// after one another look nothing like it. Not secret: it opens nothing.
const STRIDE: u64 = 0x9e_3779_b97f;

static LAST: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(u64::from_le_bytes(random_bytes::<8>())));

tokio::task_local! {
    static CURRENT: RequestId;
}

impl RequestId {
    /// The number of one more request.
    pub fn next() -> Self {
        Self(LAST.fetch_add(STRIDE, Ordering::Relaxed))
    }

    /// The number of the request that the running task answers; a fresh one elsewhere.
    pub fn current() -> Self {
        Self::current_if_any().unwrap_or_else(Self::next)
    }

    /// The number of the request that the running task answers.
    pub fn current_if_any() -> Option<Self> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// `work` as a part of the request that is answered here, to be run by another task.
    pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
        let id = Self::current_if_any();
        async move {
            match id {
                Some(id) => id.of(work).await,
                None => work.await,
            }
        }
    }

    /// Lets `work` be of this request.
    pub fn of<F: Future>(self, work: F) -> TaskLocalFuture<Self, F> {
        CURRENT.scope(self, work)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..8).rev() {
            let bits = usize::try_from((self.0 >> (5 * place)) & 31).unwrap_or(0);
            let symbol = SYMBOLS.get(bits).copied().unwrap_or(b'0');
            fmt::Write::write_char(f, char::from(symbol))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_are_alike() {
        let all: HashSet<String> = (0..100_000)
            .map(|_| RequestId::next().to_string())
            .collect();
        assert_eq!(all.len(), 100_000);
        assert!(all.iter().all(|id| id.len() == 8));
    }

    #[tokio::test]
    async fn a_task_knows_its_own() {
        let id = RequestId::next();
        assert_eq!(id.of(async { RequestId::current() }).await, id);
        assert_ne!(RequestId::current(), RequestId::current());
        assert_eq!(RequestId::current_if_any(), None);
        let carried = CURRENT.sync_scope(id, || RequestId::carried(async { RequestId::current() }));
        assert_eq!(carried.await, id);
    }
}
