//! What is asked of the follower: sessions that the table does not know. Bounded, so that whoever
//! makes cookies up finds a queue that is full, and not a store that is down.

use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::store::Wanted;

/// How many may wait. At 500 in one statement that is a matter of 20 statements.
const MOST: usize = 10_000;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// Somebody who asks for sessions.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) wanted: Wanted,
    pub(super) reply: Reply,
}

/// Told when the sessions are in the table, or that they can't be brought.
pub(super) type Reply = oneshot::Sender<Result<(), Unreached>>;

/// The two ends of the queue.
#[derive(Debug)]
pub(super) struct Questions {
    asked: mpsc::Sender<Question>,
    /// The follower's end.
    pub(super) queue: Mutex<mpsc::Receiver<Question>>,
}

/// Why it can't be told whether there is such a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreached {
    #[error("the store can't be reached")]
    Store,
    #[error("too much is asked of the store at this moment")]
    Busy,
}

impl Default for Questions {
    fn default() -> Self {
        let (asked, queue) = mpsc::channel(MOST);
        Self {
            asked,
            queue: Mutex::new(queue),
        }
    }
}

impl Questions {
    pub(super) async fn ask(&self, wanted: Wanted) -> Result<(), Unreached> {
        let (reply, answered) = oneshot::channel();
        let question = Question { wanted, reply };
        self.asked.try_send(question).map_err(|_| Unreached::Busy)?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Unreached::Store),
        }
    }
}
