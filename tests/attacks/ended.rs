//! E2 to E4: ended means ended, for whatever is open and whoever races.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::arena::{Arena, PASSWORD, Turn};
use crate::browser::Browser;
use crate::class_e::forgets_the_browser;
use crate::http1::Client;
use crate::http2;
use crate::open::{self, Events, KINDS, Open};

/// Promise 2: how long an open connection may outlive the answer of a revocation.
const LIMIT: Duration = Duration::from_secs(1);

/// A way to end the sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    PasswordChanged,
    DeleteSessions,
    PutPassword,
    CommandLogout,
    CommandPassword,
    PageLogoutAll,
    PagePassword,
    PageLogout,
    Everyone,
}

impl Way {
    /// Carries it out and returns when it is answered with success.
    async fn take(self, arena: &Arena, browser: &mut Browser, name: &str) {
        let account = "/.portcullis/account";
        let user = format!("/v1/users/{name}");
        match self {
            Self::PasswordChanged => {
                let path = format!("{user}/password-changed");
                let (status, told) = arena.call("POST", &path, "{}").await;
                assert_eq!(status, 200, "{told}");
                assert_eq!(told["user"], name);
                assert_eq!(told["sessions_ended"], 1);
                assert_eq!(told["connections_closed"], KINDS);
                assert_eq!(told["durable"], true);
            }
            Self::DeleteSessions => {
                let path = format!("{user}/sessions");
                assert_eq!(arena.call("DELETE", &path, "").await.0, 200);
            }
            Self::PutPassword => {
                let body = format!("{{\"password\": \"{PASSWORD}\"}}");
                let path = format!("{user}/password");
                assert_eq!(arena.call("PUT", &path, &body).await.0, 200);
            }
            Self::CommandLogout => drop(arena.command(&["user", "logout", name], "").unwrap()),
            Self::CommandPassword => {
                let arguments = ["user", "password", name, "--password-stdin"];
                arena.command(&arguments, PASSWORD).unwrap();
            }
            Self::PageLogoutAll => {
                let action = "/.portcullis/account/logout-all";
                leaves(browser.submit(arena, account, action, &[]).await);
            }
            Self::PagePassword => {
                let fields = [
                    ("current_password", PASSWORD),
                    ("new_password", "another plum tractor"),
                    ("new_password_again", "another plum tractor"),
                ];
                let action = "/.portcullis/account/password";
                leaves(browser.submit(arena, account, action, &fields).await);
            }
            Self::PageLogout => {
                leaves(
                    browser
                        .submit(arena, account, "/.portcullis/logout", &[])
                        .await,
                );
            }
            Self::Everyone => assert_eq!(arena.call("DELETE", "/v1/sessions", "").await.0, 200),
        }
    }
}

fn leaves(answer: crate::http1::Answer) {
    assert_eq!(answer.status, 303, "{}", answer.text());
    forgets_the_browser(&answer);
}

/// Opens one of everything, takes the way, and looks whether all of it ended in time.
async fn ends_everything(arena: &Arena, way: Way, name: &str) {
    let mut browser = arena.sign_in(name).await;
    let session = browser.session();
    let open = open::one_of_each(arena, &session).await;
    assert_eq!(open.len() as u64, KINDS);
    way.take(arena, &mut browser, name).await;
    let answered = Instant::now();
    let endings = open
        .into_iter()
        .map(|open| arena.tasks().spawn(ending(open, answered)));
    let endings: Vec<_> = endings.collect();
    refused(arena, &session).await;
    let mut faults = Vec::new();
    for ending in endings {
        faults.extend(ending.await.unwrap().err());
    }
    assert!(
        faults.is_empty(),
        "{way:?}: {faults:#?}\n{}",
        arena.last_words()
    );
}

async fn ending(open: Open, answered: Instant) -> Result<(), String> {
    match timeout(LIMIT * 5, open.ended).await {
        Err(_) => Err(format!("{} does not end", open.what)),
        Ok(Err(fault)) => Err(format!("{}: {fault}", open.what)),
        Ok(Ok(())) if answered.elapsed() > LIMIT => {
            Err(format!("{} took {:?}", open.what, answered.elapsed()))
        }
        Ok(Ok(())) => Ok(()),
    }
}

/// Over both protocols, the first request after it is sent to sign in.
async fn refused(arena: &Arena, session: &str) {
    arena.panel().forget();
    let mut client = Client::connect(arena).await;
    client
        .send((open::head(arena, "GET", "/page", session) + "\r\n").as_bytes())
        .await;
    let answer = client.answer_to("GET").await.unwrap();
    assert_eq!(answer.status, 401);
    forgets_the_browser(&answer);
    let mut client = http2::Client::connect(arena).await;
    let answer = client
        .send(open::request(arena, "/page", session), b"")
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
    forgets_the_browser(&answer);
    assert_eq!(arena.panel().heads(), Vec::<String>::new());
}

#[tokio::test]
async fn e2_calls_end_everything_that_is_open() {
    let arena = Turn::next().await;
    for (way, name) in [
        (Way::PasswordChanged, "fay"),
        (Way::DeleteSessions, "flo"),
        (Way::PutPassword, "fred"),
    ] {
        ends_everything(&arena, way, name).await;
    }
}

#[tokio::test]
async fn e2_commands_end_everything_that_is_open() {
    let arena = Turn::next().await;
    ends_everything(&arena, Way::CommandLogout, "gil").await;
    ends_everything(&arena, Way::CommandPassword, "gus").await;
}

#[tokio::test]
async fn e2_pages_end_everything_that_is_open() {
    let arena = Turn::next().await;
    for (way, name) in [
        (Way::PageLogoutAll, "hal"),
        (Way::PagePassword, "hugo"),
        (Way::PageLogout, "hans"),
    ] {
        ends_everything(&arena, way, name).await;
    }
}

#[tokio::test]
async fn e2_everybody_means_everybody() {
    let arena = Arena::open().await;
    let other = arena.sign_in("ida").await.session();
    let elsewhere = open::events(&arena, &other).await;
    ends_everything(&arena, Way::Everyone, "ivo").await;
    assert_eq!(ending(elsewhere, Instant::now()).await, Ok(()));
    refused(&arena, &other).await;
}

#[tokio::test]
async fn e2_what_belongs_to_others_goes_on() {
    let arena = Turn::next().await;
    let (mine, other) = (arena.sign_in("jan").await, arena.sign_in("jens").await);
    // Both on one connection, as behind a proxy that shares it.
    let client = http2::Client::connect(&arena).await;
    let doomed = Events::open(&client, &arena, &mine.session()).await;
    let mut theirs = Events::open(&client, &arena, &other.session()).await;
    let (status, _) = arena
        .call("POST", "/v1/users/jan/password-changed", "{}")
        .await;
    assert_eq!(status, 200);
    let cut = timeout(LIMIT, doomed.broken_off()).await;
    assert_eq!(cut.expect("in time"), Ok(()));
    for _ in 0..20 {
        theirs.next().await.expect("the other stream goes on");
    }
}

#[tokio::test]
async fn e2_an_old_password_under_way_yields_no_session() {
    let arena = Turn::next().await;
    arena.sign_in("kai").await;
    for _ in 0..10 {
        let mut browser = Browser::default();
        let signing_in = browser.log_in(&arena, "kai", PASSWORD);
        let revoking = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            arena
                .call("POST", "/v1/users/kai/password-changed", "{}")
                .await
        };
        let (_, (status, told)) = tokio::join!(signing_in, revoking);
        assert_eq!(status, 200, "{told}");
        // Where the session was made first it was ended; where it came second it was not made.
        if !browser.session().is_empty() {
            let generation_after = told["generation"].as_u64();
            let mut client = Client::connect(&arena).await;
            let request = open::head(&arena, "GET", "/page", &browser.session()) + "\r\n";
            client.send(request.as_bytes()).await;
            let answer = client.answer_to("GET").await.unwrap();
            assert_eq!(answer.status, 401, "generation {generation_after:?}");
        }
    }
}

/// One hammering client: asks as fast as it can, and fails when a request that began after the end
/// of the session was let pass.
async fn hammer(arena: Arc<Turn>, session: String, ended: Arc<Flag>, passed: Arc<AtomicU64>) {
    let mut client = Client::connect(&arena).await;
    for number in 0.. {
        let after_the_end = ended.is_set();
        let request = open::head(&arena, "GET", &format!("/page/{number}"), &session) + "\r\n";
        client.send(request.as_bytes()).await;
        let status = match client.answer_to("GET").await {
            Ok(answer) => answer.status,
            Err(_) => {
                client = Client::connect(&arena).await;
                continue;
            }
        };
        if status == 200 {
            assert!(!after_the_end, "let pass after the end");
            passed.fetch_add(1, Ordering::Relaxed);
        }
        if after_the_end && status == 401 {
            return;
        }
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn e3_requests_in_flight_do_not_revive_a_session() {
    const ROUNDS: usize = 10;
    const CLIENTS: usize = 16;
    let arena = Arc::new(Turn::next().await);
    let passed = Arc::new(AtomicU64::new(0));
    for round in 0..ROUNDS {
        let mut browser = arena.sign_in("lea").await;
        let session = browser.session();
        let ended = Arc::new(Flag::default());
        let hammers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (arena, ended) = (Arc::clone(&arena), Arc::clone(&ended));
                let task = hammer(Arc::clone(&arena), session.clone(), ended, passed.clone());
                arena.tasks().spawn(task)
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let action = "/.portcullis/logout";
        let answer = browser
            .submit(&arena, "/.portcullis/account", action, &[])
            .await;
        assert_eq!(answer.status, 303, "round {round}");
        ended.set();
        for hammer in hammers {
            hammer.await.unwrap();
        }
        refused(&arena, &session).await;
    }
    assert!(passed.load(Ordering::Relaxed) > 0, "nothing was hammered");
}

#[tokio::test]
async fn e3_what_ended_stays_ended_over_a_crash() {
    let mut arena = Arena::open().await;
    let ended = arena.sign_in("max").await.session();
    let mut left = arena.sign_in("mia").await;
    let gone = left.session();
    let kept = arena.sign_in("mo").await.session();
    let (status, _) = arena
        .call("POST", "/v1/users/max/password-changed", "{}")
        .await;
    assert_eq!(status, 200);
    let action = "/.portcullis/logout";
    left.submit(&arena, "/.portcullis/account", action, &[])
        .await;
    arena.kill_and_restart().await;
    refused(&arena, &ended).await;
    refused(&arena, &gone).await;
    let mut client = http2::Client::connect(&arena).await;
    let answer = client
        .send(open::request(&arena, "/page", &kept), b"")
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn e4_a_handshake_that_races_the_end_leaves_no_tunnel() {
    const ROUNDS: u64 = 25;
    let arena = Turn::next().await;
    let mut opened = 0;
    for round in 0..ROUNDS {
        let session = arena.sign_in("nina").await.session();
        let mut client = Client::connect(&arena).await;
        let shaking = async {
            client
                .send(open::handshake(&arena, &session).as_bytes())
                .await;
            client.head().await.map(|answer| answer.status)
        };
        let revoking = async {
            tokio::time::sleep(Duration::from_micros(round * 150)).await;
            arena.call("DELETE", "/v1/users/nina/sessions", "").await.0
        };
        let (shaken, revoked) = tokio::join!(shaking, revoking);
        assert_eq!(revoked, 200);
        match shaken {
            Ok(101) => {
                opened += 1;
                assert!(
                    client.ends_within(LIMIT).await,
                    "round {round}: the tunnel stays open"
                );
            }
            Ok(status) => assert_eq!(status, 401, "round {round}"),
            Err(_) => {}
        }
    }
    assert!(opened < ROUNDS, "the race was never lost");
}
