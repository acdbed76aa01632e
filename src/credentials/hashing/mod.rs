//! The threads on which passwords are hashed, and the two lines that wait for them.
//!
//! Sign-ins wait in one line and new passwords in the other, and the threads take from both in turn: a new
//! password is held against ten former ones and ends sessions, so it must not wait behind everybody who
//! signs in; and a user who sets one password after the other takes half of the threads at most.
//!
//! The threads have a share of the processors that is small but their own. A request that is forwarded is
//! an affair of microseconds and goes first; but under a load that never ends, a sign-in and the change of
//! a stolen password have to get on, too.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::Block;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::password::PasswordError;

/// For what a password is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody signs in, or proves with the password to be there.
    SignIn,
    /// A password is set; sessions end when it is.
    NewPassword,
}

/// How much lower than the rest of the gateway the threads stand, in steps of niceness (sched(7)). Beside
/// one thread that never rests, five steps are a quarter of its processor. The measurements are in
/// `benches/compare`.
const NICENESS: i32 = 5;

/// How many sign-ins may wait; the next one gets the answer that the gateway is busy.
const MOST_SIGN_INS: usize = 64;

/// How many hashes of new passwords may wait: each change of a password needs a dozen.
const MOST_NEW: usize = 768;

/// How long one may wait for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Threads that hash, as many as there are processors. They end with this.
#[derive(Debug)]
pub(super) struct Hall(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    lines: Mutex<Lines>,
    come: Condvar,
    begun: AtomicU64,
    running: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lines {
    sign_ins: VecDeque<Job>,
    new_passwords: VecDeque<Job>,
    /// From which line one was taken last.
    last: Option<Purpose>,
    is_closed: bool,
}

/// One hash that waits for its turn.
struct Job {
    /// Signals its caller that the hash begins; a hash whose caller has gone is not begun.
    turn: oneshot::Sender<()>,
    work: Work,
}

/// One hash, in memory that has held another.
type Work = Box<dyn FnOnce(&mut Vec<Block>) + Send>;

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job(…)")
    }
}

impl Hall {
    /// Starts `threads` threads, each of which keeps memory for a hash of `blocks` blocks.
    ///
    /// # Errors
    /// What the system says when a thread can't be started.
    pub(super) fn open(threads: usize, blocks: usize) -> std::io::Result<Self> {
        let hall = Self(Arc::new(Shared {
            lines: Mutex::default(),
            come: Condvar::new(),
            begun: AtomicU64::new(0),
            running: AtomicUsize::new(0),
        }));
        let (ready, stood_back) = std::sync::mpsc::channel();
        for _ in 0..threads {
            let (shared, ready) = (hall.0.clone(), ready.clone());
            let thread = thread::Builder::new().name("passwords".to_owned());
            thread.spawn(move || {
                let _ = ready.send(rustix::process::nice(NICENESS));
                drop(ready);
                hash_by_turns(&shared, blocks);
            })?;
        }
        drop(ready);
        // No hash begins before its thread stands back.
        if let Some(fault) = stood_back.iter().find_map(Result::err) {
            tracing::warn!(
                %fault,
                "the system does not let the threads that hash passwords stand back: many sign-ins at once \
                 may slow other requests down"
            );
        }
        Ok(hall)
    }

    /// How many are being hashed or wait for it.
    pub(super) fn queue(&self) -> usize {
        let lines = self.0.lines();
        let waiting = lines.sign_ins.len() + lines.new_passwords.len();
        waiting + self.0.running.load(Ordering::Relaxed)
    }

    /// How many hashes were begun since the start.
    pub(super) fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Lets one hash wait for its turn, from this call on and not from when the answer is waited for, so
    /// that several wait together. Without anybody who waits it is not begun; once it is, it is brought
    /// to its end.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] when too many wait, or this one has waited too long.
    pub(super) fn in_turn<T, W>(
        &self,
        purpose: Purpose,
        work: W,
    ) -> impl Future<Output = Result<T, PasswordError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&mut Vec<Block>) -> Result<T, PasswordError> + Send + 'static,
    {
        let (turn, its_turn) = oneshot::channel();
        let (done, outcome) = oneshot::channel();
        let work: Work = Box::new(move |memory| {
            // The caller may have gone.
            let _ = done.send(work(memory));
        });
        let is_in_line = self.0.join(purpose, Job { turn, work });
        let its_turn = is_in_line.then(|| timeout(PATIENCE, its_turn));
        async move {
            let its_turn = its_turn.ok_or(PasswordError::Busy)?;
            its_turn
                .await
                .map_err(|_| PasswordError::Busy)?
                .map_err(|_| PasswordError::Failed)?;
            outcome.await.unwrap_or(Err(PasswordError::Failed))
        }
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.0.lines().is_closed = true;
        self.0.come.notify_all();
    }
}

impl Shared {
    fn join(&self, purpose: Purpose, job: Job) -> bool {
        let mut lines = self.lines();
        let (line, most) = match purpose {
            Purpose::SignIn => (&mut lines.sign_ins, MOST_SIGN_INS),
            Purpose::NewPassword => (&mut lines.new_passwords, MOST_NEW),
        };
        if line.len() >= most {
            line.retain(|job| !job.turn.is_closed());
        }
        let has_room = line.len() < most;
        if has_room {
            line.push_back(job);
        }
        drop(lines);
        self.come.notify_one();
        has_room
    }

    /// The next that somebody waits for; `None` when the threads are to end.
    fn next(&self) -> Option<Work> {
        let mut lines = self.lines();
        loop {
            while let Some(Job { turn, work }) = lines.take() {
                if turn.send(()).is_ok() {
                    self.begun.fetch_add(1, Ordering::Relaxed);
                    self.running.fetch_add(1, Ordering::Relaxed);
                    return Some(work);
                }
            }
            if lines.is_closed {
                return None;
            }
            let woken = self.come.wait(lines);
            lines = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing panics while it holds the lock.
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// From the line that it was not last, where one waits in it.
    fn take(&mut self) -> Option<Job> {
        let mut from = |purpose| {
            let line = match purpose {
                Purpose::SignIn => &mut self.sign_ins,
                Purpose::NewPassword => &mut self.new_passwords,
            };
            line.pop_front().map(|job| (purpose, job))
        };
        let (purpose, job) = match self.last {
            Some(Purpose::NewPassword) => {
                from(Purpose::SignIn).or_else(|| from(Purpose::NewPassword))
            }
            Some(Purpose::SignIn) | None => {
                from(Purpose::NewPassword).or_else(|| from(Purpose::SignIn))
            }
        }?;
        self.last = Some(purpose);
        Some(job)
    }
}

fn hash_by_turns(shared: &Shared, blocks: usize) {
    let mut memory = Vec::new();
    while let Some(work) = shared.next() {
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut memory)));
        shared.running.fetch_sub(1, Ordering::Relaxed);
        // A stored hash may have asked for more than a new one would.
        if worked.is_err() || memory.len() > blocks {
            memory = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests;
