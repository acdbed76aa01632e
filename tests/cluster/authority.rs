//! Rules 1 and 2 of the design, in both engines: an act is admitted by its credential in the
//! transaction, and whatever can open something hangs on the generation.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis::clock::{Clock, Timestamp};
use portcullis::config::{KeySource, Place, Server, Storage};
use portcullis::model::{
    Action, Actor, Credential, Event, FactorKind, Generation, Role, Scope, SessionId,
    SessionRecord, TokenHash, User, UserName,
};
use portcullis::secret::{Secret, sha256};
use portcullis::store::change::{
    AddSetupLink, AddToken, AddUser, BeginAgain, Change, EditUser, EndSession, Noted, Proof,
    RaiseEveryGeneration, RaiseGeneration, Raised, RemoveToken, ResetSecondFactor, SetPassword,
    StartSession, WayIn,
};
use portcullis::store::{SignIn, Store, StoreError};
use sqlx::Connection;

use crate::support::cluster::{Keys, local};
use crate::support::postgres::Postgres;

use super::openers::{HANG_ON_THE_GENERATION, HANG_WITHOUT_A_TABLE, OPEN_NOTHING};

const TOKEN: TokenHash = TokenHash([1; 32]);
const COOKIE: [u8; 32] = [2; 32];
const LINK: [u8; 32] = [3; 32];
const MANAGEMENT: [u8; 32] = [4; 32];
const RECOVERY: [u8; 32] = [5; 32];

/// A store of each engine, and its tables.
struct Both {
    stores: Vec<(Store, BTreeSet<String>)>,
    _postgres: Postgres,
    _keys: Keys,
    _folders: Vec<tempfile::TempDir>,
}

async fn both() -> Both {
    let (postgres, keys) = (Postgres::start(), Keys::new());
    postgres.ask("create database authority");
    let address = format!("postgres://postgres@{}/authority", local(postgres.port));
    let folders = vec![tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let storage = Storage {
        place: Place::Shared(Server::parse(&address).unwrap()),
        max_staleness: Duration::from_secs(5),
        master_key: KeySource::File(keys.path()),
        url_file: None,
    };
    let shared = Store::open_at(&storage, folders[0].path()).await.unwrap();
    let list = "select string_agg(tablename, ' ') from pg_tables where schemaname = 'public'";
    let there = postgres.query("authority", list).stdout;
    let there = String::from_utf8(there).unwrap();
    let there = there.split_whitespace().map(str::to_owned).collect();
    let embedded = Store::open(folders[1].path(), Clock::system())
        .await
        .unwrap();
    let file = folders[1].path().join("portcullis.db");
    let mut file = sqlx::SqliteConnection::connect(file.to_str().unwrap())
        .await
        .unwrap();
    let here: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut file)
    .await
    .unwrap();
    let here = here.into_iter().map(|(name,)| name).collect();
    Both {
        stores: vec![(shared, there), (embedded, here)],
        _postgres: postgres,
        _keys: keys,
        _folders: folders,
    }
}

fn ada() -> UserName {
    UserName::parse("ada").unwrap()
}

fn event() -> Event {
    Event::general(Actor::Operator { uid: 0 }, Action::SessionsEnded)
}

async fn done<C: Change>(store: &Store, change: C) -> C::Outcome {
    store.commit(change, event()).await.unwrap().into_outcome()
}

fn ago(store: &Store, seconds: u64) -> Timestamp {
    store.clock().now().minus(Duration::from_secs(seconds))
}

fn within(store: &Store, seconds: u64) -> Timestamp {
    store.clock().now().plus(Duration::from_secs(seconds))
}

/// Ada, an operator with a password and an app.
async fn with_ada(store: &Store) -> User {
    let add = AddUser {
        name: ada(),
        role: Role::Operator,
        email: None,
        way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
    };
    done(store, add).await;
    user(store).await
}

async fn user(store: &Store) -> User {
    store.user(&ada()).await.unwrap().unwrap()
}

fn session(user: &User, token: TokenHash, created: Timestamp) -> StartSession {
    StartSession {
        record: SessionRecord {
            token,
            id: SessionId::random(),
            user: user.id,
            generation: user.generation,
            created,
            last_seen: created,
            address: "192.0.2.1".parse().unwrap(),
            device: "curl".to_owned(),
            second_factor: Some(FactorKind::Totp),
            good_until: None,
        },
        max_per_user: 10,
        replaces: None,
        sign_in: None,
        proof: None,
    }
}

async fn begin_session(store: &Store, user: &User, created: Timestamp) {
    done(store, session(user, TOKEN, created)).await;
}

async fn begin_sign_in(store: &Store, user: &User, ends: Timestamp) {
    let sign_in = SignIn {
        cookie: COOKIE,
        user: user.clone(),
        secret: None,
        ends,
        network: String::new(),
    };
    assert!(store.keep_sign_in(&sign_in, 1, 10).await.unwrap());
}

async fn make_link(store: &Store, user: &User, expires: Timestamp) {
    let link = AddSetupLink {
        user: user.id,
        hash: LINK,
        expires,
    };
    done(store, link).await;
}

async fn make_token(store: &Store, expires: Option<Timestamp>) {
    let token = AddToken {
        name: "t".to_owned(),
        hash: MANAGEMENT,
        scopes: vec![Scope::Users],
        expires,
        networks: Vec::new(),
        replaces: None,
    };
    done(store, token).await;
}

/// Everything that ada, or a program, can act by.
fn credentials(user: &User, store: &Store) -> [(&'static str, Actor); 5] {
    let person = |credential| Actor::User {
        name: ada(),
        address: "192.0.2.1".parse().unwrap(),
        credential,
    };
    let session = Credential::Session {
        token: TOKEN,
        last_seen: store.clock().now(),
    };
    let password = Credential::Password {
        user: user.id,
        generation: user.generation,
    };
    let token = Actor::Token {
        name: "t".to_owned(),
        hash: MANAGEMENT,
        scope: Scope::Users,
    };
    [
        ("session", person(session)),
        (
            "sign-in",
            person(Credential::PendingSignIn { cookie: COOKIE }),
        ),
        ("password", person(password)),
        ("link", person(Credential::SetupLink { hash: LINK })),
        ("token", token),
    ]
}

/// By which of the credentials something can be done.
async fn admitted(store: &Store, user: &User) -> Vec<&'static str> {
    let mut admitted = Vec::new();
    for (name, actor) in credentials(user, store) {
        let event = Event::general(actor, Action::SessionsEnded);
        match store.commit(Noted, event).await {
            Ok(_) => admitted.push(name),
            Err(
                StoreError::ActorEnded
                | StoreError::SignInOver
                | StoreError::LinkSpent
                | StoreError::Stale
                | StoreError::TokenEnded,
            ) => {}
            Err(fault) => panic!("{name}: {fault}"),
        }
    }
    admitted
}

/// A way in which everything of a user ends.
async fn raise(store: &Store, user: &User, way: usize) -> Option<Raised> {
    let edit = EditUser {
        user: user.id,
        role: None,
        email: None,
        disabled: None,
    };
    let password = SetPassword {
        user: user.id,
        remembered: Some(0),
        phc: Secret::new("$other$".to_owned()),
        link: None,
        as_of: None,
    };
    Some(match way {
        0 => done(store, RaiseGeneration { user: user.id }).await,
        1 => done(store, RaiseEveryGeneration).await,
        2 => done(store, password).await,
        3 => done(store, ResetSecondFactor { user: user.id }).await,
        4 => {
            let role = Some(Role::Manager);
            done(store, EditUser { role, ..edit }).await
        }
        5 => {
            let disabled = Some(true);
            done(store, EditUser { disabled, ..edit }).await
        }
        _ => return None,
    })
}

/// What a change names is asked, too, and not only the credential of who acts.
async fn opens_nothing_by_name(store: &Store, ada: &User) {
    let set = SetPassword {
        user: ada.id,
        remembered: Some(0),
        phc: Secret::new("$by the link$".to_owned()),
        link: Some(LINK),
        as_of: None,
    };
    let set = store.commit(set, event()).await;
    assert!(matches!(set, Err(StoreError::LinkSpent)), "{set:?}");
    let late = session(ada, TokenHash([9; 32]), store.clock().now());
    let late = StartSession {
        sign_in: Some(COOKIE),
        ..late
    };
    let late = store.commit(late, event()).await;
    assert!(
        matches!(late, Err(StoreError::Stale | StoreError::SignInOver)),
        "{late:?}"
    );
}

#[tokio::test]
async fn what_can_open_something_hangs_on_the_generation() {
    for (store, tables) in &both().await.stores {
        for table in tables {
            let hangs = HANG_ON_THE_GENERATION.contains(&table.as_str());
            let opens_nothing = OPEN_NOTHING.iter().any(|(name, _)| name == table);
            assert!(hangs != opens_nothing, "say of {table} what ends it");
        }
        assert!(
            HANG_ON_THE_GENERATION
                .iter()
                .all(|name| tables.contains(*name))
        );
        let ada = with_ada(store).await;
        make_token(store, None).await;
        let mut way = 0;
        loop {
            let ada = User {
                generation: user(store).await.generation,
                ..ada.clone()
            };
            begin_session(store, &ada, store.clock().now()).await;
            begin_sign_in(store, &ada, within(store, 300)).await;
            make_link(store, &ada, within(store, 300)).await;
            let held = HANG_WITHOUT_A_TABLE.map(|give| give(store, &ada));
            assert!(held.iter().all(|holds| holds(&ada)));
            assert_eq!(admitted(store, &ada).await.len(), 5, "{way}");
            assert!(store.sign_in(&COOKIE).await.unwrap().is_some());
            assert!(store.setup_link(&LINK).await.unwrap().is_some());
            if raise(store, &ada, way).await.is_none() {
                break;
            }
            assert_eq!(admitted(store, &ada).await, ["token"], "{way}");
            assert!(store.sign_in(&COOKIE).await.unwrap().is_none(), "{way}");
            assert!(store.setup_link(&LINK).await.unwrap().is_none(), "{way}");
            let name = portcullis::model::UserName::parse("ada").unwrap();
            if let Some(after) = store.user(&name).await.unwrap() {
                assert!(!held.iter().any(|holds| holds(&after)), "{way}");
            }
            assert_eq!(
                store.person(&name).await.unwrap().unwrap().sessions,
                0,
                "{way}"
            );
            opens_nothing_by_name(store, &ada).await;
            let enabled = EditUser {
                user: ada.id,
                role: Some(Role::Operator),
                email: None,
                disabled: Some(false),
            };
            done(store, enabled).await;
            way += 1;
        }
        assert_eq!(way, 6);
    }
}

#[tokio::test]
async fn an_act_is_admitted_while_its_credential_is_good_and_no_longer() {
    for (store, _) in &both().await.stores {
        let ada = with_ada(store).await;
        let mut expected = vec!["password"];
        assert_eq!(
            admitted(store, &ada).await,
            expected,
            "there is nothing else yet"
        );
        // Each that has run out by the clock, and has not been tidied away.
        begin_session(store, &ada, ago(store, 13 * 3600)).await;
        begin_sign_in(store, &ada, ago(store, 1)).await;
        make_link(store, &ada, ago(store, 1)).await;
        make_token(store, Some(ago(store, 1))).await;
        assert_eq!(admitted(store, &ada).await, expected);
        done(store, EndSession { token: TOKEN }).await;
        done(
            store,
            RemoveToken {
                name: "t".to_owned(),
            },
        )
        .await;
        // Each that is good.
        begin_session(store, &ada, store.clock().now()).await;
        make_link(store, &ada, within(store, 300)).await;
        make_token(store, Some(within(store, 300))).await;
        expected = vec!["session", "password", "link", "token"];
        assert_eq!(admitted(store, &ada).await, expected);
        // And each that was ended alone.
        done(store, EndSession { token: TOKEN }).await;
        done(
            store,
            RemoveToken {
                name: "t".to_owned(),
            },
        )
        .await;
        let newer = AddSetupLink {
            user: ada.id,
            hash: [8; 32],
            expires: within(store, 300),
        };
        done(store, newer).await;
        assert_eq!(admitted(store, &ada).await, ["password"]);
        let wrong = Credential::Password {
            user: ada.id,
            generation: Generation::from_stored(99),
        };
        let wrong = Actor::User {
            name: UserName::parse("ada").unwrap(),
            address: "192.0.2.1".parse().unwrap(),
            credential: wrong,
        };
        let wrong = store
            .commit(Noted, Event::general(wrong, Action::SessionStarted))
            .await;
        assert!(matches!(wrong, Err(StoreError::Stale)));
    }
}

#[tokio::test]
async fn a_token_acts_within_its_scopes_as_they_are_now() {
    for (store, _) in &both().await.stores {
        make_token(store, None).await;
        for (scope, is_held) in [(Scope::Users, true), (Scope::Revoke, false)] {
            let actor = Actor::Token {
                name: "t".to_owned(),
                hash: MANAGEMENT,
                scope,
            };
            let event = Event::general(actor, Action::SessionsEnded);
            let acted = store.commit(Noted, event).await;
            assert_eq!(acted.is_ok(), is_held, "{scope}");
        }
    }
}

#[tokio::test]
async fn a_restored_store_has_spent_what_may_have_been_used_since() {
    for (store, _) in &both().await.stores {
        let ada = with_ada(store).await;
        let step = i64::try_from(store.clock().now().unix_seconds() / 30).unwrap();
        let enrol = StartSession {
            proof: Some((
                Proof::Enrolment {
                    secret: Secret::new(b"12345678901234567890".to_vec()),
                    step: step - 2,
                    recovery_codes: vec![RECOVERY, sha256("another")],
                },
                event(),
            )),
            ..session(&ada, TOKEN, store.clock().now())
        };
        done(store, enrol).await;
        begin_sign_in(store, &ada, within(store, 300)).await;
        make_link(store, &ada, within(store, 300)).await;
        make_token(store, None).await;
        done(store, BeginAgain).await;
        let ada = User {
            generation: user(store).await.generation,
            ..ada
        };
        assert_eq!(admitted(store, &ada).await, ["password"]);
        assert!(store.token(&MANAGEMENT).await.unwrap().is_none());
        let facts = store.sign_in_facts(&UserName::parse("ada").unwrap()).await;
        assert_eq!(facts.unwrap().unwrap().recovery_codes, 0);
        for proof in [Proof::RecoveryCode(RECOVERY), Proof::TotpStep(step - 1)] {
            let start = StartSession {
                proof: Some((proof, event())),
                ..session(&ada, TokenHash([9; 32]), store.clock().now())
            };
            let started = store.commit(start, event()).await;
            assert!(matches!(started, Err(StoreError::CodeSpent)));
        }
    }
}
