//! The store against a real database in a folder of its own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::change::{
    AddSetupLink, AddUser, EndSession, Proof, RaiseEveryGeneration, RaiseGeneration, SetPassword,
    StartSession, WayIn,
};
use super::seal::Seal;
use super::statement::sql;
use super::{Failures, GuessKey, Store, StoreError};
use crate::clock::{Clock, Timestamp};
use crate::model::{
    Action, Actor, Credential, Event, Generation, Guess, Role, SessionId, SessionRecord, TokenHash,
    UserId, UserName,
};
use crate::secret::{Secret, random_bytes};

pub(super) fn event() -> Event {
    Event::general(Actor::Gateway, Action::UserAdded)
}

pub(super) fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

pub(super) async fn with_ada() -> (tempfile::TempDir, Store, UserId) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Clock::system()).await.unwrap();
    let ada = AddUser {
        name: name("ada"),
        role: Role::Operator,
        email: None,
        way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
    };
    let id = store.commit(ada, event()).await.unwrap().into_outcome().id;
    (folder, store, id)
}

pub(super) fn session(user: UserId, generation: i64, token: u8) -> StartSession {
    let at = Timestamp::from_millis(1_700_000_000_000 + i64::from(token));
    StartSession {
        record: SessionRecord {
            token: TokenHash([token; 32]),
            id: SessionId::random(),
            user,
            generation: Generation::from_stored(generation),
            created: at,
            last_seen: at,
            address: "192.0.2.1".parse().unwrap(),
            device: "Firefox on Linux".to_owned(),
            second_factor: None,
            good_until: None,
        },
        max_per_user: 3,
        replaces: None,
        sign_in: None,
        proof: None,
    }
}

#[tokio::test]
async fn a_name_is_given_once() {
    let (_folder, store, _) = with_ada().await;
    let again = AddUser {
        name: name("ADA"),
        role: Role::Manager,
        email: None,
        way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
    };
    assert!(matches!(
        store.commit(again, event()).await,
        Err(StoreError::NameTaken)
    ));
    assert_eq!(
        store.audit(0, 10).await.unwrap().len(),
        1,
        "nothing is told of what was not done"
    );
}

#[tokio::test]
async fn a_session_of_an_older_generation_is_not_kept() {
    let (_folder, store, ada) = with_ada().await;
    store.commit(session(ada, 1, 1), event()).await.unwrap();
    let raised = store
        .commit(RaiseGeneration { user: ada }, event())
        .await
        .unwrap()
        .into_outcome();
    assert_eq!(raised.users, [(ada, Generation::from_stored(2))]);
    assert_eq!(kept_sessions(&store).await, 0);
    assert!(matches!(
        store.commit(session(ada, 1, 2), event()).await,
        Err(StoreError::Stale)
    ));
    store.commit(session(ada, 2, 3), event()).await.unwrap();
    assert_eq!(kept_sessions(&store).await, 1);
}

#[tokio::test]
async fn the_oldest_session_over_the_limit_ends() {
    let (_folder, store, ada) = with_ada().await;
    for token in 1..=3 {
        let admitted = store.commit(session(ada, 1, token), event()).await.unwrap();
        assert!(admitted.outcome().ended.is_empty());
    }
    let fourth = store.commit(session(ada, 1, 4), event()).await.unwrap();
    assert_eq!(fourth.outcome().ended, [TokenHash([1; 32])]);
    let mut fifth = session(ada, 1, 5);
    fifth.replaces = Some(TokenHash([3; 32]));
    let fifth = store.commit(fifth, event()).await.unwrap();
    assert!(fifth.outcome().ended.is_empty());
    let until = fifth.outcome().replaced.first().map(|(token, _)| *token);
    assert_eq!(until, Some(TokenHash([3; 32])));
    // What was replaced takes nobody's place.
    assert_eq!(kept_sessions(&store).await, 4);
}

#[tokio::test]
async fn a_session_ends_with_those_that_it_has_replaced() {
    let (_folder, store, ada) = with_ada().await;
    let replacing = |token: u8, old: u8| StartSession {
        replaces: Some(TokenHash([old; 32])),
        ..session(ada, 1, token)
    };
    // 4 <- 3 <- 2 <- 1 in one browser, and 9 in another.
    store.commit(session(ada, 1, 1), event()).await.unwrap();
    store.commit(session(ada, 1, 9), event()).await.unwrap();
    let mut first = None;
    for (token, old) in [(2, 1), (3, 2), (4, 3)] {
        let begun = store.commit(replacing(token, old), event()).await.unwrap();
        let mut replaced = begun.outcome().replaced.clone();
        replaced.sort_by_key(|(token, _)| token.0);
        assert_eq!(replaced.len(), usize::from(token - 1));
        // Signing in once more makes nothing good for longer.
        let until = *first.get_or_insert(replaced[0].1);
        assert_eq!(replaced[0].1, until);
    }
    for (ended, all) in [(9, 1), (2, 4)] {
        let token = TokenHash([ended; 32]);
        let gone = store.commit(EndSession { token }, event()).await.unwrap();
        assert_eq!(gone.outcome().len(), all, "{ended}");
    }
    assert_eq!(kept_sessions(&store).await, 0);
}

#[tokio::test]
async fn another_user_in_the_same_browser_ends_the_session_at_once() {
    let (_folder, store, ada) = with_ada().await;
    let bob = AddUser {
        name: name("bob"),
        role: Role::Operator,
        email: None,
        way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
    };
    let bob = store.commit(bob, event()).await.unwrap().into_outcome().id;
    store.commit(session(ada, 1, 1), event()).await.unwrap();
    let mut his = session(bob, 1, 2);
    his.replaces = Some(TokenHash([1; 32]));
    let begun = store.commit(his, event()).await.unwrap();
    assert_eq!(begun.outcome().ended, [TokenHash([1; 32])]);
    assert!(begun.outcome().replaced.is_empty());
}

#[tokio::test]
async fn a_replaced_session_acts_no_longer_than_it_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let start = Timestamp::from_millis(1_700_000_000_000);
    let (clock, hand) = Clock::manual(start);
    let store = Store::open(folder.path(), clock).await.unwrap();
    let ada = AddUser {
        name: name("ada"),
        role: Role::Administrator,
        email: None,
        way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
    };
    let ada = store.commit(ada, event()).await.unwrap().into_outcome().id;
    store.commit(session(ada, 1, 1), event()).await.unwrap();
    let mut second = session(ada, 1, 2);
    second.replaces = Some(TokenHash([1; 32]));
    store.commit(second, event()).await.unwrap();
    let mut restored = Vec::new();
    let take = |record: SessionRecord, _| restored.push((record.token, record.good_until));
    store.each_session(take).await.unwrap();
    restored.sort_by_key(|(token, _)| token.0);
    let until = start.plus(super::change::GRACE);
    assert_eq!(
        restored,
        [
            (TokenHash([1; 32]), Some(until)),
            (TokenHash([2; 32]), None)
        ]
    );
    let link = |number: u8| AddSetupLink {
        user: ada,
        hash: [number; 32],
        expires: start,
    };
    let by_the_first = || {
        let actor = Actor::User {
            name: name("ada"),
            address: "192.0.2.1".parse().unwrap(),
            credential: Credential::Session {
                token: TokenHash([1; 32]),
                last_seen: start,
            },
        };
        Event::general(actor, Action::SetupLinkMade)
    };
    store.commit(link(1), by_the_first()).await.unwrap();
    hand.advance(super::change::GRACE);
    let late = store.commit(link(2), by_the_first()).await;
    assert!(matches!(late, Err(StoreError::ActorEnded)));
}

#[tokio::test]
async fn last_seen_never_revives_an_ended_session() {
    let (_folder, store, ada) = with_ada().await;
    let start = session(ada, 1, 1);
    let (token, generation) = (start.record.token, start.record.generation);
    store.commit(start, event()).await.unwrap();
    store.commit(EndSession { token }, event()).await.unwrap();
    let seen = [(token, generation, Timestamp::from_millis(1_800_000_000_000))];
    store.note_seen(&seen).await.unwrap();
    assert_eq!(kept_sessions(&store).await, 0);
}

/// Begins a session with a second factor; both or neither are in the store afterwards.
async fn prove(
    store: &Store,
    user: UserId,
    generation: i64,
    proof: Proof,
) -> Result<(), StoreError> {
    let before = kept_sessions(store).await;
    let audited = store.audit(0, 100).await.unwrap().len();
    let mut start = session(user, generation, random_bytes::<1>()[0]);
    start.record.token = TokenHash(random_bytes());
    start.max_per_user = 100;
    start.proof = Some((proof, event()));
    let done = store.commit(start, event()).await.map(drop);
    let is_done = usize::from(done.is_ok());
    assert_eq!(kept_sessions(store).await, before + is_done);
    let written = store.audit(0, 100).await.unwrap().len();
    assert_eq!(written, audited + 2 * is_done);
    done
}

#[tokio::test]
async fn a_step_and_every_earlier_one_count_once() {
    let (_folder, store, ada) = with_ada().await;
    let enrol = || Proof::Enrolment {
        secret: Secret::new(b"12345678901234567890".to_vec()),
        step: 100,
        recovery_codes: vec![[7; 32]],
    };
    let stale = prove(&store, ada, 9, enrol()).await;
    assert!(matches!(stale, Err(StoreError::Stale)));
    prove(&store, ada, 1, enrol()).await.unwrap();
    let second = prove(&store, ada, 1, enrol()).await;
    assert!(matches!(second, Err(StoreError::FactorExists)));
    for (step, fresh) in [(100, false), (102, true), (101, false), (102, false)] {
        let spent = prove(&store, ada, 1, Proof::TotpStep(step)).await;
        assert_eq!(spent.is_ok(), fresh, "step {step}");
    }
    let facts = store.sign_in_facts(&name("ada")).await.unwrap().unwrap();
    assert_eq!(facts.totp.unwrap().secret.expose(), b"12345678901234567890");
    for fresh in [true, false] {
        let spent = prove(&store, ada, 1, Proof::RecoveryCode([7; 32])).await;
        assert_eq!(spent.is_ok(), fresh);
    }
}

#[tokio::test]
async fn a_code_is_not_spent_for_a_sign_in_that_comes_too_late() {
    let (_folder, store, ada) = with_ada().await;
    let enrol = Proof::Enrolment {
        secret: Secret::new(b"12345678901234567890".to_vec()),
        step: 100,
        recovery_codes: vec![[7; 32]],
    };
    prove(&store, ada, 1, enrol).await.unwrap();
    let raise = RaiseGeneration { user: ada };
    store.commit(raise, event()).await.unwrap();
    for proof in [Proof::TotpStep(101), Proof::RecoveryCode([7; 32])] {
        let late = prove(&store, ada, 1, proof).await;
        assert!(matches!(late, Err(StoreError::Stale)));
    }
    for proof in [Proof::TotpStep(101), Proof::RecoveryCode([7; 32])] {
        prove(&store, ada, 2, proof).await.unwrap();
    }
}

#[tokio::test]
async fn who_is_locked_is_told_once_and_let_in_by_a_whole_sign_in_a_link_or_a_password() {
    let (_folder, store, ada) = with_ada().await;
    let locked = Failures {
        key: GuessKey::Name(store.name_tag("ada")),
        failed: 3,
        window_ends: Timestamp::from_millis(1_700_000_900_000),
        in_a_row: 100,
        locked: true,
    };
    let is_locked = async || store.person(&name("ada")).await.unwrap().unwrap().locked;
    let told = async || {
        let audit = store.audit(0, 100).await.unwrap();
        audit
            .iter()
            .filter(|entry| entry.action == "user-locked")
            .count()
    };
    for _ in 0..2 {
        store
            .keep_failures(std::slice::from_ref(&locked))
            .await
            .unwrap();
        assert_eq!(
            store.failures().await.unwrap(),
            std::slice::from_ref(&locked)
        );
        assert!(is_locked().await);
        assert_eq!(told().await, 1);
    }
    let link = AddSetupLink {
        user: ada,
        hash: [1; 32],
        expires: Timestamp::from_millis(1_800_000_000_000),
    };
    store.commit(link, event()).await.unwrap();
    assert_eq!(store.failures().await.unwrap(), []);
    store
        .keep_failures(std::slice::from_ref(&locked))
        .await
        .unwrap();
    assert_eq!(told().await, 2);
    store.commit(session(ada, 1, 1), event()).await.unwrap();
    assert!(!is_locked().await);
    // Of a user who was removed nothing is kept; of names that no user has, as of others.
    let removed = Failures {
        key: GuessKey::User(UserId(999), Guess::Code),
        ..locked.clone()
    };
    let nobody = Failures {
        key: GuessKey::Name(store.name_tag("nobody")),
        ..locked
    };
    store.keep_failures(&[removed, nobody]).await.unwrap();
    assert_eq!(store.failures().await.unwrap().len(), 2);
    assert_eq!(told().await, 2);
}

#[tokio::test]
async fn a_set_up_link_sets_one_password() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let store = Store::open(folder.path(), clock.clone()).await.unwrap();
    let ada = AddUser {
        name: name("ada"),
        role: Role::Operator,
        email: None,
        way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
    };
    let ada = store.commit(ada, event()).await.unwrap().into_outcome().id;
    let link = |hash| AddSetupLink {
        user: ada,
        hash,
        expires: clock.now().plus(Duration::from_secs(60)),
    };
    let set = |hash| SetPassword {
        user: ada,
        remembered: Some(9),
        phc: Secret::new("$argon2id$".to_owned()),
        link: Some(hash),
        as_of: None,
    };
    store.commit(link([1; 32]), event()).await.unwrap();
    store.commit(link([2; 32]), event()).await.unwrap();
    let replaced = store.commit(set([1; 32]), event()).await;
    assert!(matches!(replaced, Err(StoreError::LinkSpent)));
    store.commit(set([2; 32]), event()).await.unwrap();
    let twice = store.commit(set([2; 32]), event()).await;
    assert!(matches!(twice, Err(StoreError::LinkSpent)));
    store.commit(link([3; 32]), event()).await.unwrap();
    hand.advance(Duration::from_secs(61));
    assert!(store.setup_link(&[3; 32]).await.unwrap().is_none());
    let late = store.commit(set([3; 32]), event()).await;
    assert!(matches!(late, Err(StoreError::LinkSpent)));
}

#[tokio::test]
async fn everybody_is_ended_at_once() {
    let (_folder, store, ada) = with_ada().await;
    store.commit(session(ada, 1, 1), event()).await.unwrap();
    let raised = store.commit(RaiseEveryGeneration, event()).await.unwrap();
    assert_eq!(raised.outcome().users, [(ada, Generation::from_stored(2))]);
    assert_eq!(kept_sessions(&store).await, 0);
}

#[tokio::test]
async fn what_is_broken_is_refused_and_never_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let close = |name: &str, content: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    };
    close("portcullis.db", "this is no database, but long enough");
    close("master.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let broken = Store::open(folder.path(), Clock::system()).await;
    assert!(matches!(broken, Err(StoreError::Open { .. })), "{broken:?}");

    let (folder, store, _) = with_ada().await;
    store.close().await;
    let key = folder.path().join("master.key");
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let other = Store::open(folder.path(), Clock::system()).await;
    assert!(matches!(other, Err(StoreError::Key(_))), "{other:?}");
    std::fs::remove_file(&key).unwrap();
    let missing = Store::open(folder.path(), Clock::system()).await;
    assert!(matches!(missing, Err(StoreError::Key(_))), "{missing:?}");
}

async fn kept_sessions(store: &Store) -> usize {
    let mut count = 0;
    store.each_session(|_, _| count += 1).await.unwrap();
    count
}

#[tokio::test]
async fn counts_by_user_are_brought_over_to_the_name() {
    let (folder, store, ada) = with_ada().await;
    for statement in [
        "UPDATE users SET guess_key = NULL",
        "INSERT INTO failures (user_id, guess, failed, window_ends, in_a_row, locked)
         SELECT id, 'password', 3, 1, 100, TRUE FROM users",
        "INSERT INTO failures (user_id, guess, failed, window_ends, in_a_row, locked)
         SELECT id, 'code', 2, 1, 2, FALSE FROM users",
    ] {
        sql(statement).run(store.engine.writer()).await.unwrap();
    }
    store.close().await;
    let (clock, _) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let store = Store::open(folder.path(), clock).await.unwrap();
    let kept = store.failures().await.unwrap();
    let keys: Vec<_> = kept.iter().map(|one| (&one.key, one.in_a_row)).collect();
    let by_name = GuessKey::Name(store.name_tag("ada"));
    let code = GuessKey::User(ada, Guess::Code);
    assert_eq!(keys, [(&code, 2), (&by_name, 100)]);
    assert!(store.person(&name("ada")).await.unwrap().unwrap().locked);
}

#[tokio::test]
async fn what_was_sealed_before_is_sealed_anew_with_the_next_code() {
    let (_folder, store, ada) = with_ada().await;
    let enrol = Proof::Enrolment {
        secret: Secret::new(b"12345678901234567890".to_vec()),
        step: 1,
        recovery_codes: Vec::new(),
    };
    prove(&store, ada, 1, enrol).await.unwrap();
    let sealed = async || {
        let row = sql("SELECT secret FROM totp_factors").one(&store.engine);
        let (sealed,): (Vec<u8>,) = row.await.unwrap();
        sealed
    };
    let place = super::change::totp_place(ada);
    let former = store.seal.as_before(&place, b"12345678901234567890");
    sql("UPDATE totp_factors SET secret = $1")
        .bind(former.clone())
        .run(store.engine.writer())
        .await
        .unwrap();
    let opens = async || {
        let facts = store.sign_in_facts(&name("ada")).await.unwrap().unwrap();
        facts.totp.unwrap().secret.expose().clone()
    };
    assert_eq!(opens().await, b"12345678901234567890");
    assert_eq!(sealed().await, former, "reading changes nothing");
    prove(&store, ada, 1, Proof::TotpStep(2)).await.unwrap();
    assert!(!Seal::is_former(&sealed().await));
    assert_eq!(opens().await, b"12345678901234567890");
}
