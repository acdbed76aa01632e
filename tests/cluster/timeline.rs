//! The store goes on in another history of it: a replica takes over, a server is set back, a former
//! primary returns. What was acknowledged last may be missing there, and no node that follows it can tell.
//! So nothing that was open before opens anything after, on any node.

use std::time::Duration;

use portcullis::config::{KeySource, Place, Server, Storage};
use portcullis::model::{Action, Actor, Event};
use portcullis::secret::Secret;
use portcullis::store::change::{AddUser, BeginAnew, Change, RaiseEveryGeneration, WayIn};
use portcullis::store::{FeedNumber, Store, StoreError};
use rustix::process::Signal;

use crate::support::cluster::{Cluster, Ended, Keys, status};
use crate::support::eventually;
use crate::support::gateway::Gateway;
use crate::support::network::Way;
use crate::support::person::with_the_password_alone as alone;
use crate::support::postgres::Postgres;

use super::trial::{PLAIN, Trial};
use super::watch::Clients;

/// It takes part in everything until it dies with the primary.
const A: usize = 0;
/// It is cut off, and goes on with whatever takes over.
const B: usize = 1;

/// What node B does while another server takes over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BeingB {
    Running,
    StandingStill,
    Restarted,
}

impl Trial {
    async fn of_a_and_b() -> Self {
        Self::of(Cluster::with(2, PLAIN).await).await
    }

    /// Ends hers where neither the replica nor B hears of it. It is told as done, and it is: it is on the
    /// primary's disk, and B serves nobody. Then both are lost that know of it.
    async fn loses_what_it_acknowledged(&mut self, replica: &mut Postgres) -> Ended {
        replica.stop();
        self.cluster.roads[B].close(Way::Both);
        let ended = self.ends_hers(A).await;
        self.cluster.nodes[A].kill();
        self.cluster.postgres.kill();
        ended
    }

    /// B finds the other server where the former one was.
    fn b_comes_to(&self, postgres: &Postgres) {
        self.cluster.roads[B].lead_to(postgres.port);
        self.cluster.roads[B].open();
    }

    async fn b_never_hears(
        &mut self,
        what: &str,
        b: BeingB,
        takes_over: impl FnOnce(&mut Postgres),
    ) {
        let mut replica = self.cluster.postgres.replica(false);
        let hers = Clients::of(&self.cluster, &self.ada);
        if b == BeingB::StandingStill {
            self.cluster.nodes[B].signal(Signal::STOP);
        }
        let ended = self.loses_what_it_acknowledged(&mut replica).await;
        if b == BeingB::Restarted {
            self.cluster.nodes[B].kill();
        }
        takes_over(&mut replica);
        self.b_comes_to(&replica);
        match b {
            BeingB::Running => {}
            BeingB::StandingStill => self.cluster.nodes[B].signal(Signal::CONT),
            BeingB::Restarted => self.cluster.nodes[B].start().await,
        }
        self.everybody_is_out(&[B]).await;
        self.nothing_got_through(what, hers, &ended).await;
        is_told_loudly(&self.cluster.nodes[B]);
    }
}

fn is_promoted(replica: &mut Postgres) {
    replica.run();
    replica.promote();
}

/// The reason, and what is to be done, in the log and in the audit list.
fn is_told_loudly(node: &Gateway) {
    let log = node.log();
    let next_step = "what was done after the last entry of the audit list";
    let mut errors = log.lines().filter(|line| line.contains("ERROR"));
    let is_said = errors.any(|line| line.contains("every session") && line.contains(next_step));
    assert!(is_said, "{log}");
    let audit = node.audit();
    let told = audit
        .iter()
        .filter(|entry| entry["action"] == "store-restored");
    assert!(told.count() > 0, "{audit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_that_never_heard_of_a_revocation_ends_everything() {
    let mut trial = Trial::of_a_and_b().await;
    trial
        .b_never_hears("a survivor", BeingB::Running, is_promoted)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_that_stood_still_while_another_server_took_over_ends_everything() {
    let mut trial = Trial::of_a_and_b().await;
    trial
        .b_never_hears("a stopped survivor", BeingB::StandingStill, is_promoted)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_that_was_restarted_meanwhile_ends_everything() {
    let mut trial = Trial::of_a_and_b().await;
    trial
        .b_never_hears("a restarted survivor", BeingB::Restarted, is_promoted)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_to_a_point_in_time_ends_everything() {
    for b in [BeingB::Running, BeingB::Restarted] {
        let mut trial = Trial::of_a_and_b().await;
        let recovers = Postgres::recovers_to_where_it_is;
        trial.b_never_hears("a point in time", b, recovers).await;
    }
}

/// Codes, links and half sign-ins are as dead as sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_people_hold_opens_anything_on_a_server_that_took_over() {
    let mut cluster = Cluster::of(2).await;
    let mut ada = cluster.nodes[A].person("ada", "operator").await;
    let added = cluster.nodes[A].operator(&["user", "add", "carl", "--role", "operator"]);
    let url = added["setup_url"].as_str().unwrap();
    let link = &url[url.find("/.portcullis").unwrap()..];
    let bearer = cluster.nodes[A].token("revoke,read");
    let mut half = ada.elsewhere();
    half.through(&cluster.nodes[B]).give_password().await;
    let recovery_code = ada.recovery_codes.pop().unwrap();
    eventually("B to know her", async || {
        (status(cluster.nodes[B].port, ada.token()).await? == 200).then_some(())
    })
    .await;
    let mut replica = cluster.postgres.replica(false);
    replica.stop();
    cluster.roads[B].close(Way::Both);
    for (method, path) in [
        ("POST", "/v1/users/ada/password-changed"),
        ("POST", "/v1/users/carl/password-changed"),
    ] {
        let ended = cluster.nodes[A].call(&bearer, method, path, "").await;
        assert_eq!(ended.status, 200, "{}", ended.text());
        assert_eq!(ended.json()["durable"], true, "{}", ended.text());
    }
    cluster.nodes[A].kill();
    cluster.postgres.kill();
    is_promoted(&mut replica);
    cluster.roads[B].lead_to(replica.port);
    cluster.roads[B].open();
    let node = &cluster.nodes[B];
    eventually("her session to be over", async || {
        (status(node.port, ada.token()).await? == 401).then_some(())
    })
    .await;
    let page = half.get("/.portcullis/second-factor").await;
    assert_eq!(page.status, 303, "{}", page.text());
    let location = page.header("location").unwrap();
    assert!(location.starts_with("/.portcullis/login"), "{location}");
    let mut carl = ada.elsewhere();
    let opened = carl.through(node).get(link).await;
    assert!(opened.status >= 400, "{} {}", opened.status, opened.text());
    let mut again = ada.elsewhere();
    let refused = again.through(node).sign_in_with(&recovery_code).await;
    assert_ne!(
        refused.status, 303,
        "a recovery code that may have been used"
    );
    is_told_loudly(node);
    // The program's token stays: by it sessions are ended.
    let path = "/v1/users/ada/sessions";
    let ended = node.call(&bearer, "DELETE", path, "").await;
    assert_eq!(ended.status, 200, "{}", ended.text());
}

/// Two replicas of one primary, which both become the second timeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_that_takes_over_in_the_same_timeline_ends_everything_again() {
    let mut trial = Trial::of_a_and_b().await;
    let first = trial.cluster.postgres.replica(false);
    let second = trial.cluster.postgres.replica(false);
    trial.cluster.postgres.kill();
    let mut former = Vec::new();
    for server in [&first, &second] {
        server.promote();
        let timeline = "select substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
        assert_eq!(server.ask(timeline), "00000002");
        let hers = Clients::of(&trial.cluster, &trial.ada);
        trial.leads_to(server.port);
        trial.everybody_is_out(&[A, B]).await;
        former.extend([trial.ada.clone(), trial.bob.clone()]);
        for node in &trial.cluster.nodes {
            for token in &former {
                assert_eq!(status(node.port, token).await, Some(401));
            }
        }
        trial.bob = alone(trial.cluster.nodes[B].port, "bob").await.unwrap();
        trial.she_comes_back().await;
        let ended = trial.ends_hers(A).await;
        trial.is_over().await;
        trial
            .nothing_got_through("the same timeline", hers, &ended)
            .await;
        trial.she_comes_back().await;
    }
}

/// What the former primary holds was ended in the one that took over, and it goes on where it was: the same
/// server in the same timeline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_primary_that_returns_ends_everything() {
    for b in [BeingB::Running, BeingB::Restarted] {
        let mut trial = Trial::of_a_and_b().await;
        let replica = trial.cluster.postgres.replica(false);
        let (ada, bob) = (trial.ada.clone(), trial.bob.clone());
        replica.promote();
        trial.leads_to(replica.port);
        trial.everybody_is_out(&[A, B]).await;
        trial.bob = alone(trial.cluster.nodes[B].port, "bob").await.unwrap();
        trial.she_comes_back().await;
        // Something went on there as well, so that it has heard of as many things.
        let goes_on = "insert into feed (seq, tag, at, token) select seq + 1, 7, 0, '\\x00' from head; \
                       update head set seq = seq + 1";
        for _ in 0..3 {
            trial.cluster.postgres.ask(goes_on);
        }
        if b == BeingB::Restarted {
            trial.cluster.nodes.iter_mut().for_each(Gateway::kill);
        }
        trial.leads_to(trial.cluster.postgres.port);
        if b == BeingB::Restarted {
            for node in &mut trial.cluster.nodes {
                node.start().await;
            }
        }
        trial.everybody_is_out(&[A, B]).await;
        for node in &trial.cluster.nodes {
            for token in [&ada, &bob] {
                assert_eq!(status(node.port, token).await, Some(401));
            }
        }
        is_told_loudly(&trial.cluster.nodes[A]);
    }
}

/// The same server in the same timeline, which has forgotten. Only the nodes remember.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_put_back_end_everything() {
    for b in [BeingB::Running, BeingB::Restarted] {
        let mut trial = Trial::of_a_and_b().await;
        let files = trial.cluster.postgres.copy_of_files();
        trial.recovers().await;
        let hers = Clients::of(&trial.cluster, &trial.ada);
        let ended = trial.ends_hers(A).await;
        if b == BeingB::Restarted {
            trial.cluster.nodes.iter_mut().for_each(Gateway::kill);
        }
        trial.cluster.postgres.goes_back_to(&files);
        if b == BeingB::Restarted {
            for node in [B, A] {
                trial.cluster.nodes[node].start().await;
            }
        }
        trial.everybody_is_out(&[A, B]).await;
        trial
            .nothing_got_through("files put back", hers, &ended)
            .await;
        is_told_loudly(&trial.cluster.nodes[B]);
    }
}

/// The same timeline and the same numbers, on a server that `initdb` made at another time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_with_the_same_content_ends_everything() {
    let mut trial = Trial::of_a_and_b().await;
    let backup = trial.cluster.postgres.backup();
    let other = Postgres::start();
    other.restore(&backup);
    trial.cluster.postgres.kill();
    trial.leads_to(other.port);
    trial.everybody_is_out(&[A, B]).await;
    is_told_loudly(&trial.cluster.nodes[A]);
    is_told_loudly(&trial.cluster.nodes[B]);
}

/// A change by a connection that comes to the other server before the one does that follows the feed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_changed_in_another_store_before_everything_in_it_has_ended() {
    let (postgres, keys) = (Postgres::start(), Keys::new());
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&postgres, &keys);
    let store = Store::open_at(&storage, folder.path()).await.unwrap();
    let mut line = store.line().await.unwrap().unwrap();
    added(&store, "of-nobody-yet").await.unwrap();
    for (number, begun) in ["7/16384/16402 00000001", "gibberish"]
        .into_iter()
        .enumerate()
    {
        postgres.ask(&format!("update head set origin = '{begun}'"));
        let name = format!("user-{number}");
        let refused = added(&store, &name).await;
        assert!(matches!(refused, Err(StoreError::Elsewhere)), "{refused:?}");
        let (home, head, _) = line.home(FeedNumber::NONE).await.unwrap();
        assert!(!home.is_its_own(), "{home:?}");
        let begin = |home, head| BeginAnew {
            ends_everything: true,
            home,
            head,
            after: FeedNumber::NONE,
        };
        done(&store, begin(home.clone(), head)).await.unwrap();
        // Another node has seen the same, and is slower: it ends nothing a second time.
        let again = done(&store, begin(home, head)).await;
        assert!(matches!(again, Err(StoreError::Stale)), "{again:?}");
        assert!(line.home(FeedNumber::NONE).await.unwrap().0.is_its_own());
        added(&store, &name).await.unwrap();
    }
    assert_eq!(postgres.ask("select seq from head"), "2");
}

/// A revocation that waits for the nodes after a commit, and finds a server without that commit, learns nothing from
/// the nodes that stand there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nodes_of_a_store_that_has_lost_a_revocation_tell_nothing_about_it() {
    let (postgres, keys) = (Postgres::start(), Keys::new());
    let folder = tempfile::tempdir().unwrap();
    let storage = storage(&postgres, &keys);
    let store = Store::open_at(&storage, folder.path()).await.unwrap();
    let event = Event::general(Actor::Gateway, Action::SessionsEnded);
    let ended = store.commit(RaiseEveryGeneration, event).await.unwrap();
    let told = ended.told().unwrap();
    assert_eq!(store.last_told().await.unwrap(), Some(told));
    let nodes = async || {
        store
            .nodes_after(told)
            .await
            .unwrap()
            .map(|nodes| nodes.len())
    };
    assert_eq!(nodes().await, Some(0));
    postgres.ask("insert into nodes values ('a', 'a', '1', 0, 0, 1, 0, 5000)");
    assert_eq!(nodes().await, Some(1));
    for lost in [
        "update feed set tag = tag + 1",
        "update feed set seq = seq + 1, tag = tag - 1",
        "delete from feed",
    ] {
        postgres.ask(lost);
        assert_eq!(nodes().await, None, "{lost}");
    }
}

/// As it stands in a gateway's configuration.
fn storage(postgres: &Postgres, keys: &Keys) -> Storage {
    Storage {
        place: Place::Shared(Server::parse(&postgres.url()).unwrap()),
        max_staleness: Duration::from_secs(5),
        master_key: KeySource::File(keys.path()),
        url_file: None,
    }
}

async fn added(store: &Store, name: &str) -> Result<(), StoreError> {
    let change = AddUser {
        name: name.parse().unwrap(),
        role: "operator".parse().unwrap(),
        email: None,
        way_in: WayIn::Password(Secret::new("phc".to_owned())),
    };
    done(store, change).await
}

async fn done(store: &Store, change: impl Change) -> Result<(), StoreError> {
    let event = Event::general(Actor::Gateway, Action::StoreRestored);
    store.commit(change, event).await.map(drop)
}
