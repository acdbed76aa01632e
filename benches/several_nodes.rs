//! What several gateways ask of one PostgreSQL: the figures that docs/several-nodes.md calculates with.
//! `cargo bench --bench several_nodes`; it starts a server of its own, with fsync on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement that can't go on should say where"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use portcullis::clock::Timestamp;
use portcullis::cluster::Cluster;
use portcullis::config::{KeySource, Place, Server, SessionLimits, Storage};
use portcullis::model::{
    Action, Actor, Event, Generation, Role, SessionId, SessionRecord, TokenHash, User, UserName,
};
use portcullis::revoke::{Report, Revocation, Revoker};
use portcullis::secret::{Secret, random_bytes};
use portcullis::session::Sessions;
use portcullis::shutdown::Shutdown;
use portcullis::store::change::{AddUser, StartSession, WayIn};
use portcullis::store::{Store, Wanted};

use support::cluster::Keys;
use support::postgres::Postgres;

const STALENESS: Duration = Duration::from_secs(5);
const USERS: usize = 200;

/// One node of several, in this process.
struct Node {
    store: Store,
    cluster: Cluster,
    revoker: Revoker,
    _folder: tempfile::TempDir,
}

#[tokio::main]
async fn main() {
    let (mut postgres, keys) = (Postgres::laid_out(&[]), Keys::new());
    postgres.set("max_connections", "500");
    postgres.run();
    postgres.furnish();
    let storage = Storage {
        place: Place::Shared(Server::parse(&postgres.url()).unwrap()),
        max_staleness: STALENESS,
        master_key: KeySource::File(keys.path()),
        url_file: None,
    };
    let first = Node::join(&storage).await;
    let users = people(&first.store).await;
    changes(&first, &users, &postgres).await;
    rows(&first.store, &users, &postgres).await;
    let mut nodes = vec![first];
    for count in [1, 3, 10, 30] {
        while nodes.len() < count {
            nodes.push(Node::join(&storage).await);
        }
        idle(&nodes, &postgres).await;
        revocations(&nodes, &users).await;
    }
    for node in nodes {
        node.cluster.leave().await;
    }
}

impl Node {
    async fn join(storage: &Storage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_at(storage, folder.path()).await.unwrap();
        let limits = SessionLimits {
            idle_timeout: Duration::from_secs(1800),
            lifetime: Duration::from_secs(43_200),
            max_per_user: 1_000_000,
        };
        let sessions = Sessions::shared(limits, store.clock().clone());
        let cluster = Cluster::join(&store, &sessions, STALENESS, folder.path());
        let cluster = cluster.await.unwrap();
        let revoker = Revoker::new(
            store.clone(),
            sessions.clone(),
            cluster.clone(),
            Shutdown::new(),
        );
        Self {
            store,
            cluster,
            revoker,
            _folder: folder,
        }
    }
}

fn event() -> Event {
    Event::general(Actor::Operator { uid: 0 }, Action::SessionsEnded)
}

async fn people(store: &Store) -> Vec<User> {
    let mut users = Vec::new();
    for number in 0..USERS {
        let add = AddUser {
            name: UserName::parse(&format!("user{number}")).unwrap(),
            role: Role::Operator,
            email: None,
            way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
        };
        users.push(store.commit(add, event()).await.unwrap().into_outcome());
    }
    users
}

fn sign_in(user: &User, now: Timestamp) -> StartSession {
    StartSession {
        record: SessionRecord {
            token: TokenHash(random_bytes()),
            id: SessionId::random(),
            user: user.id,
            generation: user.generation,
            created: now,
            last_seen: now,
            address: "192.0.2.1".parse().unwrap(),
            device: "Firefox on Linux".to_owned(),
            second_factor: None,
            good_until: None,
        },
        max_per_user: 1_000_000,
        replaces: None,
        sign_in: None,
        proof: None,
    }
}

/// Changes one after the other, and sixteen at a time.
async fn changes(node: &Node, users: &[User], postgres: &Postgres) {
    const COUNT: usize = 2000;
    let before = written(postgres);
    let begun = Instant::now();
    for number in 0..COUNT {
        let user = &users[number % users.len()];
        let change = sign_in(user, node.store.clock().now());
        node.store.commit(change, event()).await.unwrap();
    }
    let alone = begun.elapsed() / COUNT as u32;
    let bytes = (written(postgres) - before) / COUNT as i64;
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for user in users.iter().take(16) {
        let (store, user) = (node.store.clone(), user.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..COUNT / 16 {
                let change = sign_in(&user, store.clock().now());
                store.commit(change, event()).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let together = COUNT as f64 / begun.elapsed().as_secs_f64();
    println!(
        "a sign-in is kept in {alone:?}, {bytes} bytes of log; sixteen at a time: {together:.0} a second"
    );
}

/// What reading and writing behind cost.
async fn rows(store: &Store, users: &[User], postgres: &Postgres) {
    const COUNT: i64 = 200_000;
    postgres.ask(&format!(
        "insert into sessions select sha256(n::text::bytea), \
         translate(rtrim(encode(substr(sha256(('i' || n)::bytea), 1, 16), 'base64'), '='), '+/', '-_'), \
         {}, 1, 0, 0, '192.0.2.1', \
         'Firefox on Linux', 'totp' from generate_series(1, {COUNT}) as n",
        users[0].id.0
    ));
    postgres.ask("vacuum analyze sessions");
    let bytes: i64 = postgres
        .ask("select pg_total_relation_size('sessions') / (select count(*) from sessions)")
        .parse()
        .unwrap();
    let token = |number: i64| TokenHash(portcullis::secret::sha256(&number.to_string()));
    let mut line = store.line().await.unwrap().unwrap();
    let begun = Instant::now();
    for part in 0..100 {
        let tokens = (0..500)
            .map(|number| token(1 + part * 500 + number))
            .collect();
        assert_eq!(
            line.sessions(&Wanted::Tokens(tokens)).await.unwrap().len(),
            500
        );
    }
    let loaded = begun.elapsed() / 100;
    let begun = Instant::now();
    for part in 0..100_i64 {
        let seen: Vec<_> = (0..500)
            .map(|number| {
                let at = Timestamp::from_millis(1 + part);
                (
                    token(1 + part * 500 + number),
                    Generation::from_stored(1),
                    at,
                )
            })
            .collect();
        store.note_seen(&seen).await.unwrap();
    }
    let tidied = begun.elapsed() / 100;
    println!(
        "a session takes {bytes} bytes with its indexes; 500 are brought in {loaded:?}, seen in {tidied:?}"
    );
    postgres.ask("delete from sessions where created = 0");
    line.close().await;
}

/// What nodes ask while nothing happens.
async fn idle(nodes: &[Node], postgres: &Postgres) {
    const SPAN: Duration = Duration::from_secs(5);
    // The server counts what a connection did when that has been idle for ten seconds.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let before = (transactions(postgres), written(postgres));
    tokio::time::sleep(SPAN).await;
    let after = (transactions(postgres), written(postgres));
    println!(
        "{} idle nodes: {:.1} transactions and {:.0} bytes of log a second for each",
        nodes.len(),
        (after.0 - before.0) as f64 / SPAN.as_secs_f64() / nodes.len() as f64,
        (after.1 - before.1) as f64 / SPAN.as_secs_f64() / nodes.len() as f64,
    );
}

/// How long a revocation takes until it is in force on every node.
async fn revocations(nodes: &[Node], users: &[User]) {
    const COUNT: usize = 300;
    let mut took = Vec::new();
    for number in 0..COUNT {
        let node = &nodes[number % nodes.len()];
        let begun = Instant::now();
        let outcome = node
            .revoker
            .end_user(&users[number % users.len()], event())
            .await;
        let outcome = done(outcome);
        assert_eq!((outcome.nodes, outcome.nodes_unreached), (nodes.len(), 0));
        took.push(begun.elapsed());
    }
    took.sort();
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for task in 0..16 {
        let node = &nodes[task % nodes.len()];
        let (revoker, user) = (node.revoker.clone(), users[task].clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..COUNT / 16 {
                let outcome = done(revoker.end_user(&user, event()).await);
                assert_eq!(outcome.nodes_unreached, 0);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let together = (COUNT / 16 * 16) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "{} nodes: a revocation is in force on all of them after {:?} (median), {:?} (99 of 100), {:?} \
         (the longest of {COUNT}); sixteen at a time: {together:.0} a second",
        nodes.len(),
        took[COUNT / 2],
        took[COUNT * 99 / 100],
        took[COUNT - 1],
    );
}

fn transactions(postgres: &Postgres) -> i64 {
    let count = "select pg_stat_force_next_flush(); select xact_commit from pg_stat_database where datname = 'portcullis'";
    postgres.ask(count).lines().last().unwrap().parse().unwrap()
}

fn written(postgres: &Postgres) -> i64 {
    postgres
        .ask("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
        .parse()
        .unwrap()
}

/// What a revocation came to, which must be done.
fn done(revocation: Revocation) -> Report {
    revocation.tell(
        |report| report,
        |why| panic!("not done: {why}"),
        |doubt| panic!("not certain: {doubt}"),
    )
}
