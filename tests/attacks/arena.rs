//! Where attacks take place: one gateway in front of one recording panel.
//!
//! The tests of this binary share it, one after the other, so that what the panel saw belongs to one
//! attack. It lives on a thread of its own and ends with the last test that uses it.

use std::ops::Deref;
use std::sync::{Arc, Mutex as Lock, Weak};
use std::thread;

use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

use crate::support::gateway::{Gateway, RULES};
use crate::support::panel::Panel;
use crate::support::person::Person;

/// Who attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    Operator,
}

/// One gateway, one panel, and who may do what.
pub(crate) struct Arena {
    pub(crate) gateway: Gateway,
    pub(crate) panel: Panel,
    /// Signed in, by the name of olga.
    operator: Person,
    /// A management token with every scope.
    management: String,
    /// What the panel must never get.
    secrets: Lock<Vec<String>>,
    /// Ends the thread of the panel when dropped.
    _stop: oneshot::Sender<()>,
}

/// The arena, for as long as a test has its turn.
pub(crate) struct Turn {
    arena: Arc<Arena>,
    _turn: OwnedMutexGuard<()>,
}

/// The arena while some test holds it, and the queue for it.
struct Stage {
    arena: Weak<Arena>,
    turn: Option<Arc<Mutex<()>>>,
}

static STAGE: Mutex<Stage> = Mutex::const_new(Stage {
    arena: Weak::new(),
    turn: None,
});

impl Turn {
    /// Waits for the arena.
    pub(crate) async fn next() -> Self {
        let mut stage = STAGE.lock().await;
        let arena = match stage.arena.upgrade() {
            Some(arena) => arena,
            None => {
                let arena = Arc::new(Arena::open().await);
                stage.arena = Arc::downgrade(&arena);
                arena
            }
        };
        let turn = Arc::clone(stage.turn.get_or_insert_default());
        drop(stage);
        let turn = turn.lock_owned().await;
        arena.panel.forget();
        Self { arena, _turn: turn }
    }
}

impl Deref for Turn {
    type Target = Arena;

    fn deref(&self) -> &Arena {
        &self.arena
    }
}

impl Arena {
    /// An arena of one test alone, for what ends everybody's sessions.
    pub(crate) async fn open() -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                let _ = tell.send(Panel::start().await);
                // Sent never, dropped at the end.
                let _ = stopped.await;
            });
        });
        let panel = told.await.unwrap();
        let limits = "[session]\nmax_per_user = 50";
        // Without the rule of `/fresh/`: what an odd path may mean would ask for a sign-in of the last second.
        let (rules, _) = RULES.rsplit_once("[[panel.rule]]").unwrap();
        let gateway = Gateway::with(&panel, limits, rules).await;
        let management = gateway.token("revoke,users,read");
        let operator = gateway.person("olga", "operator").await;
        let secrets = vec![management.clone(), operator.token().to_owned()];
        Self {
            gateway,
            panel,
            operator,
            management,
            secrets: Lock::new(secrets),
            _stop: stop,
        }
    }

    pub(crate) fn token(&self, who: Who) -> Option<&str> {
        match who {
            Who::Nobody => None,
            Who::Operator => Some(self.operator.token()),
        }
    }

    pub(crate) fn management(&self) -> &str {
        &self.management
    }

    /// A new user, signed in.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let person = self.gateway.person(name, "operator").await;
        self.must_not_leak(person.token());
        person
    }

    /// From the end of the test on, this text in anything that the panel got is a fault.
    pub(crate) fn must_not_leak(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// The heads that the panel saw since it last forgot.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.panel
            .seen()
            .into_iter()
            .map(|seen| seen.head)
            .collect()
    }
}

impl Drop for Arena {
    /// Promise 5, over everything that was tried.
    fn drop(&mut self) {
        let secrets = std::mem::take(&mut *self.secrets.lock().unwrap());
        for secret in secrets {
            let leaked = self.panel.ever_got(secret.as_bytes());
            assert!(
                !leaked || thread::panicking(),
                "the panel got a secret of the gateway"
            );
        }
    }
}
