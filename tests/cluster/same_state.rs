//! The same changes, in any order, come to the same in both engines: what is answered, and what is
//! there afterwards.

use portcullis::clock::{Clock, Timestamp};
use portcullis::config::{KeySource, Place, Server, Storage};
use portcullis::model::{
    Action, Actor, Event, Generation, Role, Scope, SessionId, SessionRecord, TokenHash, User,
    UserName,
};
use portcullis::secret::{Secret, sha256};
use portcullis::store::change::{
    AddSetupLink, AddToken, AddUser, BeginAgain, EditUser, EndSession, Proof, RaiseEveryGeneration,
    RaiseGeneration, RehashPassword, RemoveToken, RemoveUser, ResetSecondFactor, SetPassword,
    StartSession, WayIn,
};
use portcullis::store::{Committed, SignIn, Store, StoreError};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::cluster::{Keys, local};
use crate::support::postgres::Postgres;

/// How many sequences are tried, and how long the longest is.
const SEQUENCES: u32 = 24;
const LONGEST: usize = 60;

const NAMES: [&str; 3] = ["ada", "bob", "cyd"];

/// A change, with small numbers in the place of what it is about.
#[derive(Debug, Clone)]
enum Step {
    Add(usize, bool, bool),
    Link(usize, u8),
    Password(usize, Option<u8>, bool),
    Raise(usize),
    RaiseAll,
    Rehash(usize),
    Edit(usize, Option<bool>, Option<bool>),
    ResetFactor(usize),
    Remove(usize),
    Start(usize, u8, Option<u8>, Option<Shown>),
    End(u8),
    AddToken(u8),
    RemoveToken(u8),
    BeginAgain,
    SignIn(usize, u8),
    TrySignIn(u8),
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    Enrolment,
    Totp(i64),
    Recovery(u8),
    HalfSignIn(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..NAMES.len();
    let shown = prop_oneof![
        Just(Shown::Enrolment),
        (1_i64..8).prop_map(Shown::Totp),
        (0_u8..3).prop_map(Shown::Recovery),
        (0_u8..4).prop_map(Shown::HalfSignIn),
    ];
    prop_oneof![
        3 => (user.clone(), any::<bool>(), any::<bool>()).prop_map(|(user, boss, link)| Step::Add(user, boss, link)),
        1 => (user.clone(), 0_u8..4).prop_map(|(user, link)| Step::Link(user, link)),
        3 => (user.clone(), prop::option::of(0_u8..4), any::<bool>()).prop_map(|(user, link, stale)| Step::Password(user, link, stale)),
        2 => user.clone().prop_map(Step::Raise),
        1 => Just(Step::RaiseAll),
        1 => user.clone().prop_map(Step::Rehash),
        2 => (user.clone(), any::<Option<bool>>(), any::<Option<bool>>()).prop_map(|(user, boss, off)| Step::Edit(user, boss, off)),
        1 => user.clone().prop_map(Step::ResetFactor),
        1 => user.clone().prop_map(Step::Remove),
        6 => (user.clone(), 0_u8..6, prop::option::of(0_u8..6), prop::option::of(shown)).prop_map(|(user, token, old, shown)| Step::Start(user, token, old, shown)),
        2 => (0_u8..6).prop_map(Step::End),
        1 => (0_u8..3).prop_map(Step::AddToken),
        1 => (0_u8..3).prop_map(Step::RemoveToken),
        1 => Just(Step::BeginAgain),
        2 => (user, 0_u8..4).prop_map(|(user, cookie)| Step::SignIn(user, cookie)),
        2 => (0_u8..4).prop_map(Step::TrySignIn),
    ]
}

fn name(user: usize) -> UserName {
    UserName::parse(NAMES[user]).unwrap()
}

fn hash(kind: &str, number: u8) -> [u8; 32] {
    sha256(&format!("{kind} {number}"))
}

/// One store, and the steps on it.
struct Taken {
    store: Store,
}

impl Taken {
    /// The user of the name; one that was removed or never was has a number that nobody has.
    async fn user(&self, user: usize) -> User {
        let found = self.store.user(&name(user)).await.unwrap();
        found.unwrap_or_else(|| User {
            id: portcullis::model::UserId(i64::MAX),
            name: name(user),
            role: Role::Operator,
            email: None,
            disabled: false,
            generation: Generation::from_stored(1),
        })
    }

    /// Carries it out; what came of it, in words that both engines have to agree on.
    async fn take(&self, step: &Step) -> String {
        match step {
            Step::Add(user, boss, link) => self.add(*user, *boss, *link).await,
            Step::Link(user, link) => {
                let change = AddSetupLink {
                    user: self.user(*user).await.id,
                    hash: hash("link", *link),
                    expires: Timestamp::from_millis(i64::MAX),
                };
                self.told(change, |()| String::new()).await
            }
            Step::Password(user, link, stale) => self.set_password(*user, *link, *stale).await,
            Step::Raise(user) => {
                let user = self.user(*user).await.id;
                let raised = |raised: &portcullis::store::change::Raised| {
                    format!(
                        "{:?} {}",
                        raised.users.first().map(|one| one.1),
                        raised.sessions
                    )
                };
                self.told(RaiseGeneration { user }, raised).await
            }
            Step::RaiseAll => {
                let raised = |raised: &portcullis::store::change::Raised| {
                    format!("{} {}", raised.users.len(), raised.sessions)
                };
                self.told(RaiseEveryGeneration, raised).await
            }
            Step::Rehash(user) => {
                let user = self.user(*user).await;
                let change = RehashPassword {
                    user: user.id,
                    generation: user.generation,
                    phc: Secret::new("$again$".to_owned()),
                };
                self.told(change, |()| String::new()).await
            }
            Step::Edit(user, boss, off) => self.edit(*user, *boss, *off).await,
            Step::ResetFactor(user) => {
                let user = self.user(*user).await.id;
                self.told(ResetSecondFactor { user }, |raised| {
                    raised.sessions.to_string()
                })
                .await
            }
            Step::Remove(user) => {
                let user = self.user(*user).await.id;
                self.told(RemoveUser { user }, |raised| raised.sessions.to_string())
                    .await
            }
            step => self.take_another(step).await,
        }
    }

    /// Those that are not about users alone.
    async fn take_another(&self, step: &Step) -> String {
        match step {
            Step::Start(user, token, old, shown) => self.start(*user, *token, *old, *shown).await,
            Step::End(token) => {
                let token = TokenHash(hash("token", *token));
                let ended = |ended: &Vec<TokenHash>| ended.len().to_string();
                self.told(EndSession { token }, ended).await
            }
            Step::AddToken(number) => {
                let change = AddToken {
                    name: format!("t{number}"),
                    hash: hash("management", *number),
                    scopes: vec![Scope::Revoke, Scope::Read],
                    expires: None,
                    networks: Vec::new(),
                    replaces: None,
                };
                self.told(change, |()| String::new()).await
            }
            Step::RemoveToken(number) => {
                let name = format!("t{number}");
                self.told(RemoveToken { name }, |()| String::new()).await
            }
            Step::BeginAgain => self.told(BeginAgain, |()| String::new()).await,
            Step::SignIn(user, cookie) => {
                let sign_in = SignIn {
                    cookie: hash("cookie", *cookie),
                    user: self.user(*user).await,
                    secret: None,
                    ends: self
                        .store
                        .clock()
                        .now()
                        .plus(std::time::Duration::from_secs(300)),
                    network: String::new(),
                };
                match self.store.keep_sign_in(&sign_in, 2, 3).await {
                    Ok(kept) => kept.to_string(),
                    // The same cookie twice: a matter of 256 random bits, and of no meaning.
                    Err(_) => "not kept".to_owned(),
                }
            }
            Step::TrySignIn(cookie) => {
                let tried = self
                    .store
                    .try_sign_in(&hash("cookie", *cookie), 2)
                    .await
                    .unwrap();
                let found = self.store.sign_in(&hash("cookie", *cookie)).await.unwrap();
                format!(
                    "{tried} {:?}",
                    found.map(|found| found.user.name.to_string())
                )
            }
            step => unreachable!("{step:?}"),
        }
    }

    async fn add(&self, user: usize, boss: bool, link: bool) -> String {
        let change = AddUser {
            name: name(user),
            role: if boss {
                Role::Administrator
            } else {
                Role::Operator
            },
            email: boss.then(|| "a@b.example".to_owned()),
            way_in: match link {
                true => WayIn::Link {
                    hash: hash("first link", u8::try_from(user).unwrap()),
                    expires: Timestamp::from_millis(i64::MAX),
                },
                false => WayIn::Password(Secret::new("$argon2id$".to_owned())),
            },
        };
        self.told(change, |user| user.name.to_string()).await
    }

    async fn set_password(&self, user: usize, link: Option<u8>, stale: bool) -> String {
        let user = self.user(user).await;
        let change = SetPassword {
            user: user.id,
            remembered: Some(2),
            phc: Secret::new(format!("$argon2id$ of {:?}", user.generation)),
            link: link.map(|link| hash("link", link)),
            as_of: stale.then_some(user.generation),
        };
        self.told(change, |raised| raised.sessions.to_string())
            .await
    }

    async fn edit(&self, user: usize, boss: Option<bool>, off: Option<bool>) -> String {
        let role = |boss| {
            if boss {
                Role::Administrator
            } else {
                Role::Manager
            }
        };
        let change = EditUser {
            user: self.user(user).await.id,
            role: boss.map(role),
            email: off.map(|off| (!off).then(|| "c@d.example".to_owned())),
            disabled: off,
        };
        self.told(change, |raised| raised.sessions.to_string())
            .await
    }

    async fn start(&self, user: usize, token: u8, old: Option<u8>, shown: Option<Shown>) -> String {
        let user = self.user(user).await;
        // Sessions begin one after the other.
        let at = Timestamp::from_millis(self.store.audit(0, 10_000).await.unwrap().len() as i64);
        let proof = match shown {
            None | Some(Shown::HalfSignIn(_)) => None,
            Some(Shown::Enrolment) => Some(Proof::Enrolment {
                secret: Secret::new(vec![7; 20]),
                step: 2,
                recovery_codes: (0..3).map(|code| hash("code", code)).collect(),
            }),
            Some(Shown::Totp(step)) => Some(Proof::TotpStep(step)),
            Some(Shown::Recovery(code)) => Some(Proof::RecoveryCode(hash("code", code))),
        };
        let change = StartSession {
            record: SessionRecord {
                token: TokenHash(hash("token", token)),
                id: SessionId::random(),
                user: user.id,
                generation: user.generation,
                created: at,
                last_seen: at,
                address: "192.0.2.1".parse().unwrap(),
                device: "Firefox on Linux".to_owned(),
                second_factor: None,
                good_until: None,
            },
            max_per_user: 2,
            replaces: old.map(|old| TokenHash(hash("token", old))),
            sign_in: match shown {
                Some(Shown::HalfSignIn(cookie)) => Some(hash("cookie", cookie)),
                _ => None,
            },
            proof: proof.map(|proof| (proof, event())),
        };
        let ended = |admitted: &portcullis::store::change::Admitted| {
            let mut ended: Vec<_> = admitted.ended.iter().map(|token| token.0).collect();
            ended.sort_unstable();
            let mut replaced: Vec<_> = admitted.replaced.iter().map(|(token, _)| token.0).collect();
            replaced.sort_unstable();
            format!("{ended:?} {replaced:?}")
        };
        self.told(change, ended).await
    }

    async fn told<C>(&self, change: C, tell: impl Fn(&C::Outcome) -> String) -> String
    where
        C: portcullis::store::change::Change,
    {
        let committed: Result<Committed<_>, _> = self.store.commit(change, event()).await;
        match committed {
            Ok(committed) => format!("done: {}", tell(committed.outcome())),
            // A row that is there already, or a user that is not: each engine has its own words.
            Err(StoreError::Failed { doing, .. }) => format!("failed while {doing}"),
            Err(fault) => format!("refused: {fault}"),
        }
    }

    /// All that can be read, but for times and numbers that nobody sees.
    async fn state(&self) -> String {
        let mut told = Vec::new();
        for person in self.store.people().await.unwrap() {
            let facts = self
                .store
                .sign_in_facts(&person.user.name)
                .await
                .unwrap()
                .unwrap();
            let past = self.store.past_passwords(person.user.id).await.unwrap();
            let past: Vec<_> = past.iter().map(|phc| phc.expose().clone()).collect();
            told.push(format!(
                "{} {:?} {:?} {} {:?} password {:?} factors {:?} step {:?} codes {} sessions {} locked {} past {past:?}",
                person.user.name, person.user.role, person.user.email, person.user.disabled,
                person.user.generation, facts.password.map(|phc| phc.expose().clone()),
                person.second_factors, facts.totp.map(|factor| factor.last_step),
                person.recovery_codes, person.sessions, person.locked,
            ));
        }
        for token in self.store.tokens().await.unwrap() {
            told.push(format!("{} {:?}", token.name, token.scopes));
        }
        for number in 0..4 {
            let link = self.store.setup_link(&hash("link", number)).await.unwrap();
            told.push(format!(
                "link {:?}",
                link.map(|link| link.user.name.to_string())
            ));
            let half = self.store.sign_in(&hash("cookie", number)).await.unwrap();
            told.push(format!(
                "sign-in {:?}",
                half.map(|half| half.user.name.to_string())
            ));
        }
        for entry in self.store.audit(0, 10_000).await.unwrap() {
            told.push(format!(
                "{} {} {:?} {}",
                entry.actor, entry.action, entry.subject, entry.detail
            ));
        }
        told.join("\n")
    }
}

fn event() -> Event {
    Event::general(Actor::Operator { uid: 0 }, Action::SessionsEnded).detail("a step")
}

#[test]
fn the_same_changes_come_to_the_same_in_both_engines() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (postgres, keys) = (Postgres::start(), Keys::new());
    let config = ProptestConfig {
        cases: SEQUENCES,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let number = std::cell::Cell::new(0);
    let steps = prop::collection::vec(step(), 1..LONGEST);
    let run = |steps: Vec<Step>| {
        number.set(number.get() + 1);
        let database = format!("same_{}", number.get());
        postgres.ask(&format!("create database {database}"));
        let address = format!("postgres://postgres@{}/{database}", local(postgres.port));
        runtime.block_on(compare(&address, &keys, &steps))
    };
    TestRunner::new(config).run(&steps, run).unwrap();
}

async fn compare(address: &str, keys: &Keys, steps: &[Step]) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage {
        place: Place::Shared(Server::parse(address).unwrap()),
        max_staleness: std::time::Duration::from_secs(5),
        master_key: KeySource::File(keys.path()),
        url_file: None,
    };
    let shared = Store::open_at(&storage, folder.path()).await.unwrap();
    let embedded = Store::open(folder.path(), Clock::system()).await.unwrap();
    let (shared, embedded) = (Taken { store: shared }, Taken { store: embedded });
    for step in steps {
        let (there, here) = (shared.take(step).await, embedded.take(step).await);
        prop_assert_eq!(there, here, "{:?}", step);
    }
    prop_assert_eq!(shared.state().await, embedded.state().await);
    shared.store.close().await;
    embedded.store.close().await;
    Ok(())
}
