//! Whether the store can be written, found out by writing: a store that only reads is no store to sign in with or to
//! end sessions in.
//!
//! What is written is a row of its own, which is as long as a page leaves room for, so that a disk without room
//! shows. It is written once a second at the most, however many ask.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::statement::sql;
use super::{Store, StoreError, failed};
use crate::secret::random_bytes;

/// How often it is written at the most.
const ONCE: Duration = Duration::from_secs(1);

/// How long that may take. Longer than a change waits for its turn.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the last look came to. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe(Arc<Mutex<Option<Look>>>);

#[derive(Debug)]
struct Look {
    begun: Instant,
    /// `None` when the caller that looked went away before the end.
    found: Option<Result<(), Arc<StoreError>>>,
}

impl Store {
    /// Whether the store can be written, as of the last second.
    ///
    /// # Errors
    /// [`StoreError::Failed`]
    pub async fn takes_writes(&self) -> Result<(), Arc<StoreError>> {
        // A caller that comes in between waits here for the same look.
        let mut last = self.probe.0.lock().await;
        if let Some(look) = &*last {
            let age = look.begun.elapsed();
            match &look.found {
                Some(found) if age < ONCE => return found.clone(),
                Some(_) => {}
                None => sleep(ONCE.saturating_sub(age)).await,
            }
        }
        let look = last.insert(Look {
            begun: Instant::now(),
            found: None,
        });
        let found = self.write_to_see().await.map_err(Arc::new);
        // It counts from its end, or a slow store would be asked all the time.
        look.begun = Instant::now();
        look.found = Some(found.clone());
        found
    }

    async fn write_to_see(&self) -> Result<(), StoreError> {
        let doing = "writing, to see whether it can be written";
        let content = random_bytes::<4096>();
        let writing = sql("UPDATE probe SET content = $1")
            .bind(content.as_slice())
            .run(self.engine.writer());
        let written = timeout(PATIENCE, writing).await.unwrap_or_else(|_| {
            let late = io::Error::new(io::ErrorKind::TimedOut, "it was not done in time");
            Err(sqlx::Error::Io(late))
        });
        written.map(drop).map_err(failed(doing))
    }
}
