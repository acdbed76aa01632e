//! What is open, so that it can be judged again when the rules change.
//!
//! A permit is a judgement of the moment. Every exchange is listed with its permit until it is over. A
//! changed configuration is put in force first and holds what is listed against its rules then; an
//! exchange is listed first and asks then whether the rules are still those that judged it. So
//! none is missed between the two.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::strangers::{Seat, Strangers};
use crate::cancel::Cancel;
use crate::clock::Timestamp;
use crate::gate::Permit;
use crate::model::ClientAddress;
use crate::session::{CutReason, Guard};

/// How long a cut exchange may take to end in good form before what carries it is dropped: a client that
/// does not read must not keep it open. With it, everything is closed within a second.
const GRACE: Duration = Duration::from_millis(400);

/// How often it is looked at whether they have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Free places that are kept; after a larger crowd nothing of its size is.
const KEPT: usize = 1024;

/// What is open at all workers. Cheap to clone; clones see the same.
#[derive(Debug, Clone)]
pub struct Open {
    workers: Arc<Mutex<Vec<OpenHere>>>,
    strangers: Strangers,
}

/// What is open at one worker.
#[derive(Debug, Clone)]
pub struct OpenHere {
    list: Arc<Mutex<List>>,
    strangers: Strangers,
}

#[derive(Debug, Default)]
struct List {
    /// `None` where a place is free.
    places: Vec<Option<Arc<Admitted>>>,
    free: Vec<usize>,
}

/// What was let pass: by which permit and when, and how it is ended.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) permit: Permit,
    pub(super) begun: Timestamp,
    pub(super) guard: Guard,
    /// Drops what carries it: its stream over HTTP/2, else its connection.
    pub(super) closer: Cancel,
    /// It would go on until somebody breaks it off.
    pub(super) is_endless: AtomicBool,
    /// The place of a stranger.
    pub(super) _seat: Option<Seat>,
}

/// An exchange in the list, until it is dropped.
#[derive(Debug)]
pub(super) struct Listed {
    here: OpenHere,
    place: usize,
    admitted: Arc<Admitted>,
}

/// Which exchanges end with the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// WebSockets, streams of events, uploads behind their answers: they are asked to come back.
    Endless,
    /// What has not come to its end in the time that it had.
    All,
}

impl Open {
    /// Nothing is open. `most`: exchanges that strangers of one network may have at a time.
    pub fn new(of_strangers: usize) -> Self {
        Self {
            workers: Arc::default(),
            strangers: Strangers::new(of_strangers),
        }
    }

    /// The list of one more worker.
    pub fn of_worker(&self) -> OpenHere {
        let here = OpenHere {
            list: Arc::default(),
            strangers: self.strangers.clone(),
        };
        lock(&self.workers).push(here.clone());
        here
    }

    /// Judges everything that is open again, and cuts what fails; how many exchanges that were. Takes
    /// half a second at the most, and locks no list while it judges.
    pub async fn judge_again(
        &self,
        still_allows: impl Fn(&Permit, Timestamp) -> Result<(), CutReason>,
    ) -> usize {
        self.cut(|open| still_allows(&open.permit, open.begun).err())
            .await
    }

    /// Cuts what is open as the gateway ends; how many exchanges that were. Takes half a second at the
    /// most.
    pub async fn end(&self, which: Ending) -> usize {
        let ends =
            |open: &Admitted| which == Ending::All || open.is_endless.load(Ordering::Acquire);
        self.cut(|open| ends(open).then_some(CutReason::GatewayEnds))
            .await
    }

    async fn cut(&self, why: impl Fn(&Admitted) -> Option<CutReason>) -> usize {
        let lists = lock(&self.workers).clone();
        let mut fallen = Vec::new();
        for admitted in lists.iter().flat_map(OpenHere::all) {
            if let Some(reason) = why(&admitted) {
                admitted.guard.cut(reason);
                fallen.push(Arc::downgrade(&admitted));
            }
        }
        let begun = Instant::now();
        // No owner holds what has ended.
        while fallen.iter().any(|one| one.strong_count() > 0) && begun.elapsed() < GRACE {
            sleep(LOOK).await;
        }
        for stuck in fallen.iter().filter_map(Weak::upgrade) {
            stuck.closer.cancel();
        }
        fallen.len()
    }
}

impl OpenHere {
    /// A place for an exchange of a stranger.
    pub(super) fn seat(&self, client: ClientAddress) -> Option<Seat> {
        self.strangers.enter(client)
    }

    /// Lists an exchange that begins, and then judges it once more.
    ///
    /// # Errors
    /// Why it may not begin under the rules of this moment.
    pub(super) fn enter(
        &self,
        admitted: Arc<Admitted>,
        still_allows: impl FnOnce(&Permit, Timestamp) -> Result<(), CutReason>,
    ) -> Result<Listed, CutReason> {
        let listed = self.list(admitted.clone());
        still_allows(&admitted.permit, admitted.begun)?;
        Ok(listed)
    }

    fn list(&self, admitted: Arc<Admitted>) -> Listed {
        let mut list = lock(&self.list);
        let free = list.free.pop();
        let place = free.unwrap_or(list.places.len());
        match list.places.get_mut(place) {
            Some(free) => *free = Some(admitted.clone()),
            None => list.places.push(Some(admitted.clone())),
        }
        drop(list);
        Listed {
            here: self.clone(),
            place,
            admitted,
        }
    }

    fn all(&self) -> Vec<Arc<Admitted>> {
        lock(&self.list).places.iter().flatten().cloned().collect()
    }
}

impl Listed {
    /// It would go on until somebody breaks it off: it does not hold up the end of the gateway.
    pub(super) fn is_endless(&self) {
        self.admitted.is_endless.store(true, Ordering::Release);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut list = lock(&self.here.list);
        let left = list.places.get_mut(self.place).and_then(Option::take);
        list.free.push(self.place);
        if list.free.len() == list.places.len() && list.free.len() > KEPT {
            *list = List::default();
        }
        drop(list);
        drop(left);
    }
}

/// A panic while holding the lock leaves a list whole, so poisoning tells nothing.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::config::{Config, ExternalUrl, SessionLimits};
    use crate::gate::{Asked, Gate, Verdict};
    use crate::model::ClientAddress;
    use crate::session::{Exchange, Sessions};

    /// Something that was let pass, with what ends it.
    fn admitted() -> (Arc<Admitted>, Exchange) {
        let text = "[[panel]]\nupstream = \"http://127.0.0.1:1\"\n[[panel.rule]]\npath = \"/\"\nallow = \"anyone\"";
        let config = Config::parse(text, "p.toml".as_ref()).unwrap();
        let (clock, _) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let limits: SessionLimits = config.session;
        let sessions = Sessions::new(limits, clock.clone());
        let external = ExternalUrl::of("https://a.example");
        let gate = Gate::new(external, config.panels.clone(), sessions);
        let request = http::Request::get("/").header("host", "a.example");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let client = ClientAddress::Known([192, 0, 2, 1].into());
        let Verdict::Pass(permit) = gate.decide(&parts, client, clock.now(), Asked::Nothing) else {
            panic!("it is open to anyone");
        };
        let exchange = Exchange::of_nobody();
        let admitted = Admitted {
            permit,
            begun: clock.now(),
            guard: exchange.guard().clone(),
            closer: Cancel::new(),
            is_endless: AtomicBool::new(false),
            _seat: None,
        };
        (Arc::new(admitted), exchange)
    }

    #[tokio::test]
    async fn whoever_begins_is_listed_before_it_asks_for_the_rules() {
        let open = Open::new(10);
        let here = open.of_worker();
        let (admitted, exchange) = admitted();
        // At this moment the rules change: either they see it, or it sees them.
        let listed = here.enter(admitted, |_, _| {
            assert_eq!(here.all().len(), 1);
            Err(CutReason::NotAllowed)
        });
        assert_eq!(listed.map(drop), Err(CutReason::NotAllowed));
        assert!(here.all().is_empty());
        drop(exchange);
    }

    #[tokio::test]
    async fn what_fails_is_cut_and_what_stays_then_is_dropped() {
        let open = Open::new(10);
        let workers = [open.of_worker(), open.of_worker()];
        let entered = workers.each_ref().map(|here| {
            let (admitted, exchange) = admitted();
            let listed = here.enter(admitted.clone(), |_, _| Ok(())).unwrap();
            (admitted, listed, exchange)
        });
        assert_eq!(open.judge_again(|_, _| Ok(())).await, 0);
        let [(first, listed, exchange), (stuck, _listed, _exchange)] = entered;
        let closer = first.closer.clone();
        drop(first);
        // Neither is endless.
        assert_eq!(open.end(Ending::Endless).await, 0);
        let leaving = async move {
            let reason = exchange.guard().is_cut().await;
            drop(listed);
            reason
        };
        let judging = open.judge_again(|_, _| Err(CutReason::PanelMoved));
        let (count, reason) = tokio::join!(judging, leaving);
        assert_eq!((count, reason), (2, CutReason::PanelMoved));
        assert_eq!(stuck.guard.why_cut(), Some(CutReason::PanelMoved));
        assert!(stuck.closer.is_cancelled() && !closer.is_cancelled());
    }

    #[test]
    fn places_are_used_again() {
        let here = Open::new(10).of_worker();
        for _ in 0..3 {
            let (one, another) = (admitted().0, admitted().0);
            let one = here.list(one);
            let another = here.list(another);
            drop(one);
            assert_eq!(here.all().len(), 1);
            drop(another);
        }
        assert_eq!(lock(&here.list).places.len(), 2);
    }
}
