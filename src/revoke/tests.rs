//! Revocations over a real store.

use std::path::Path;
use std::task::Poll;
use std::time::Duration;

use super::Revoker;
use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::{Config, SessionLimits};
use crate::model::{
    Action, Actor, Event, Generation, Role, SessionId, SessionRecord, User, UserName,
};
use crate::secret::Secret;
use crate::session::{Exchange, Sessions, Token, restore};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::store::change::{AddUser, SetPassword, StartSession, WayIn};

const LIMITS: SessionLimits = SessionLimits {
    idle_timeout: Duration::from_secs(60),
    lifetime: Duration::from_secs(300),
    max_per_user: 10,
};

struct House {
    _folder: tempfile::TempDir,
    store: Store,
    sessions: Sessions,
    revoker: Revoker,
    clock: Clock,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let store = Store::open(folder.path(), clock.clone()).await.unwrap();
        let sessions = Sessions::new(LIMITS, clock.clone());
        let revoker = Revoker::new(
            store.clone(),
            sessions.clone(),
            Cluster::alone(),
            Shutdown::new(),
        );
        Self {
            _folder: folder,
            store,
            sessions,
            revoker,
            clock,
        }
    }

    async fn user(&self, name: &str) -> User {
        let name = UserName::parse(name).unwrap();
        let add = AddUser {
            name: name.clone(),
            role: Role::Operator,
            email: None,
            way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
        };
        self.store.commit(add, event()).await.unwrap();
        self.store.user(&name).await.unwrap().unwrap()
    }

    async fn sign_in(&self, user: &User) -> std::sync::Arc<crate::session::Session> {
        let record = SessionRecord {
            token: Token::random().hash(),
            id: SessionId::random(),
            user: user.id,
            generation: user.generation,
            created: self.clock.now(),
            last_seen: self.clock.now(),
            address: "192.0.2.1".parse().unwrap(),
            device: "curl".to_owned(),
            second_factor: None,
            good_until: None,
        };
        let start = StartSession {
            sign_in: None,
            record: record.clone(),
            max_per_user: LIMITS.max_per_user,
            replaces: None,
            proof: None,
        };
        self.store.commit(start, event()).await.unwrap();
        self.sessions.admit(&record, user.clone()).unwrap()
    }
}

fn event() -> Event {
    Event::general(Actor::Operator { uid: 0 }, Action::SessionsEnded)
}

#[tokio::test]
async fn a_user_is_ended_in_memory_and_on_disk_and_others_are_not() {
    let house = House::new().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let (hers, _his) = (house.sign_in(&ada).await, house.sign_in(&bob).await);
    let exchange = Exchange::of(hers.clone(), Cancel::new()).unwrap();
    let leaves = async move {
        exchange.guard().is_cut().await;
        drop(exchange);
    };
    let (outcome, ()) = tokio::join!(house.revoker.end_user(&ada, event()), leaves);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.generation, Some(Generation::from_stored(2)));
    assert_eq!((outcome.sessions_ended, outcome.connections_closed), (1, 1));
    let again = Sessions::new(LIMITS, house.clock.clone());
    let config = Config::parse(
        "[second_factor]\nrequired = false\n[[panel]]\nupstream = \"http://127.0.0.1:1\"",
        Path::new("test.toml"),
    );
    let second_factor = config.unwrap().second_factor;
    let now = house.clock.now();
    let restored = restore(&again, &house.store, &second_factor, now).await;
    assert_eq!(restored.unwrap(), 1, "bob's");
    let twice = house.revoker.end_user(&ada, event()).await.unwrap();
    assert_eq!((twice.sessions_ended, twice.connections_closed), (0, 0));
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_a_finished_revocation() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    let hers = house.sign_in(&ada).await;
    {
        let call = house.revoker.end_user(&ada, event());
        let mut call = std::pin::pin!(call);
        // Polled once, then dropped: as hyper does when the client goes.
        let polled = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
        assert!(polled.await);
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while hers.check(house.clock.now(), &LIMITS).is_ok() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_password_ends_every_session() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    let hers = house.sign_in(&ada).await;
    let change = SetPassword {
        user: ada.id,
        remembered: Some(9),
        phc: Secret::new("$argon2id$".to_owned()),
        link: None,
        as_of: None,
    };
    let outcome = house.revoker.set_password(change, event()).await.unwrap();
    assert_eq!(outcome.sessions_ended, 1);
    assert!(hers.check(house.clock.now(), &LIMITS).is_err());
}

#[tokio::test]
async fn one_session_and_everybody() {
    let house = House::new().await;
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let (first, second) = (house.sign_in(&ada).await, house.sign_in(&ada).await);
    house.sign_in(&bob).await;
    let one = house.revoker.end_session(&first, event()).await.unwrap();
    assert_eq!((one.sessions_ended, one.generation), (1, None));
    assert!(second.check(house.clock.now(), &LIMITS).is_ok());
    let all = house.revoker.end_everyone(event()).await.unwrap();
    assert_eq!(all.sessions_ended, 2);
    assert_eq!(house.sessions.count(), 0);
}

#[tokio::test]
async fn a_session_from_the_future_or_without_its_factor_is_not_brought_back() {
    let house = House::new().await;
    let ada = house.user("ada").await;
    house.sign_in(&ada).await;
    let config = |required: bool| {
        let text = format!(
            "[second_factor]\nrequired = {required}\n[[panel]]\nupstream = \"http://127.0.0.1:1\""
        );
        Config::parse(&text, Path::new("test.toml"))
            .unwrap()
            .second_factor
    };
    let now = house.clock.now();
    let day = Duration::from_secs(86_400);
    let earlier = crate::clock::Timestamp::from_millis(now.millis() - 86_400_000);
    for (required, at, count) in [
        (false, now, 1),
        (false, now.plus(day), 1),
        (false, earlier, 0),
        (true, now, 0),
    ] {
        let table = Sessions::new(LIMITS, house.clock.clone());
        let restored = restore(&table, &house.store, &config(required), at).await;
        assert_eq!(restored.unwrap(), count, "{required} {at:?}");
    }
}
