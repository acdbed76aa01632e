//! E2 to E4: ended means ended, for whatever is open and whoever races.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::arena::{Arena, Turn};
use crate::ask::send;
use crate::class_e::{forgets_the_browser, shown};
use crate::open::{self, Events, KINDS, Open};
use crate::support::gateway::CUT;
use crate::support::http1::Answer;
use crate::support::http2::Http2;
use crate::support::person::{PASSWORD, Person};

/// A way to end the sessions of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    PasswordChanged,
    DeleteSessions,
    PutPassword,
    Everyone,
    CommandLogout,
    CommandPassword,
    PageLogoutAll,
    PagePassword,
    PageLogout,
}

impl Way {
    /// Carries it out, and returns when it is answered with success.
    async fn take(self, arena: &Arena, person: &mut Person) {
        let name = person.name.clone();
        match self {
            Self::PasswordChanged | Self::DeleteSessions | Self::PutPassword | Self::Everyone => {
                self.call(arena, &name).await;
            }
            Self::CommandLogout => {
                arena.gateway.operator(&["user", "logout", &name]);
            }
            Self::CommandPassword => {
                let arguments = ["user", "password", &name, "--password-stdin"];
                let done = arena.gateway.command(&arguments, Some(PASSWORD));
                assert!(done.status.success(), "{done:?}");
            }
            Self::PageLogoutAll | Self::PagePassword | Self::PageLogout => {
                let answer = self.submit(person).await;
                assert_eq!(answer.status, 303, "{}", answer.text());
                forgets_the_browser(&answer);
            }
        }
    }

    async fn call(self, arena: &Arena, name: &str) {
        let user = format!("/v1/users/{name}");
        let set = format!("{{\"password\": \"{PASSWORD}\"}}");
        let (method, path, body) = match self {
            Self::PasswordChanged => ("POST", format!("{user}/password-changed"), "{}"),
            Self::DeleteSessions => ("DELETE", format!("{user}/sessions"), ""),
            Self::PutPassword => ("PUT", format!("{user}/password"), &*set),
            _ => ("DELETE", "/v1/sessions".to_owned(), ""),
        };
        let answer = arena
            .gateway
            .call(arena.management(), method, &path, body)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told = answer.json();
        assert_eq!(told["durable"], true);
        if self != Self::Everyone {
            assert_eq!(told["user"], name);
            assert_eq!(told["sessions_ended"], 1);
            assert_eq!(told["connections_closed"], KINDS);
        }
    }

    async fn submit(self, person: &mut Person) -> Answer {
        let password = [
            ("current_password", PASSWORD),
            ("new_password", "another plum tractor"),
            ("new_password_again", "another plum tractor"),
        ];
        let (action, fields) = match self {
            Self::PageLogoutAll => ("/.portcullis/account/logout-all", &[][..]),
            Self::PagePassword => ("/.portcullis/account/password", &password[..]),
            _ => ("/.portcullis/logout", &[][..]),
        };
        person.submit("/.portcullis/account", action, fields).await
    }
}

/// Opens one of everything, takes the way, and looks whether all of it ended in time.
async fn ends_everything(arena: &Arena, way: Way, name: &str) {
    let mut person = arena.person(name).await;
    let session = person.token().to_owned();
    let open = open::one_of_each(arena, &session).await;
    assert_eq!(open.len() as u64, KINDS);
    way.take(arena, &mut person).await;
    let answered = Instant::now();
    let endings: Vec<_> = open
        .into_iter()
        .map(|open| tokio::spawn(ending(open, answered)))
        .collect();
    is_refused(arena, &session).await;
    let mut faults = Vec::new();
    for ending in endings {
        faults.extend(ending.await.unwrap().err());
    }
    assert!(faults.is_empty(), "{way:?}: {faults:#?}");
}

async fn ending(open: Open, answered: Instant) -> Result<(), String> {
    match timeout(CUT * 5, open.ended).await {
        Err(_) => Err(format!("{} does not end", open.what)),
        Ok(Err(fault)) => Err(format!("{}: {fault}", open.what)),
        Ok(Ok(())) if answered.elapsed() > CUT => {
            Err(format!("{} took {:?}", open.what, answered.elapsed()))
        }
        Ok(Ok(())) => Ok(()),
    }
}

/// Over both protocols, the first request after the end is sent to sign in.
async fn is_refused(arena: &Arena, session: &str) {
    arena.panel.forget();
    let http2 = Http2::connect(arena.gateway.port).await;
    for answer in [
        shown(arena, session).await,
        send(&http2, open::request("/page", session), b"")
            .await
            .unwrap(),
    ] {
        assert_eq!(answer.status, 401);
        forgets_the_browser(&answer);
    }
    assert_eq!(arena.heads(), Vec::<String>::new());
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
    let other = arena.person("ida").await;
    let elsewhere = open::events(&arena, other.token()).await;
    ends_everything(&arena, Way::Everyone, "ivo").await;
    assert_eq!(ending(elsewhere, Instant::now()).await, Ok(()));
    is_refused(&arena, other.token()).await;
}

#[tokio::test]
async fn e2_what_belongs_to_others_goes_on() {
    let arena = Turn::next().await;
    let (jan, jens) = (arena.person("jan").await, arena.person("jens").await);
    // Both on one connection, as behind a proxy that shares it.
    let http2 = Http2::connect(arena.gateway.port).await;
    let doomed = Events::open(&http2, jan.token()).await;
    let mut others = Events::open(&http2, jens.token()).await;
    let path = "/v1/users/jan/password-changed";
    let answer = arena
        .gateway
        .call(arena.management(), "POST", path, "{}")
        .await;
    assert_eq!(answer.status, 200);
    let cut = timeout(CUT, doomed.broken_off()).await;
    assert_eq!(cut.expect("in time"), Ok(()));
    for _ in 0..20 {
        others.next().await.expect("the other stream goes on");
    }
}

#[tokio::test]
async fn e2_a_sign_in_under_way_yields_no_live_session() {
    let arena = Turn::next().await;
    let mut kai = arena.person("kai").await;
    for round in 0..8 {
        kai.cookies.clear();
        let answer = kai.give_password().await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let code = kai.recovery_codes.pop().unwrap();
        let step = answer.header("location").unwrap().to_owned();
        let fields = [("code", code.as_str())];
        let coding = kai.submit(&step, &step, &fields);
        let revoking = async {
            tokio::time::sleep(Duration::from_micros(round * 500)).await;
            let path = "/v1/users/kai/sessions";
            arena
                .gateway
                .call(arena.management(), "DELETE", path, "")
                .await
        };
        let (_, revoked) = tokio::join!(coding, revoking);
        assert_eq!(revoked.status, 200);
        // Made before, it was ended; asked for with what was checked before, it was not made.
        if kai.is_signed_in() {
            assert_eq!(
                shown(&arena, kai.token()).await.status,
                401,
                "round {round}"
            );
        }
    }
}

/// One hammering client: asks as fast as it can, until a request that began after the end of the
/// session is refused. Says how many were let pass before.
async fn hammer(arena: Arc<Turn>, session: String, ended: Arc<AtomicBool>) -> u64 {
    let mut passed = 0;
    let mut wire = arena.gateway.connect().await;
    loop {
        let is_after = ended.load(Ordering::SeqCst);
        let sent = wire
            .try_send(open::head("GET", "/page", &session) + "\r\n")
            .await;
        let answer = match sent {
            Ok(()) => wire.try_answer(false).await,
            Err(_) => None,
        };
        match answer.map(|answer| answer.status) {
            Some(200) => {
                assert!(!is_after, "a request that began after the end was let pass");
                passed += 1;
            }
            Some(401) if is_after => return passed,
            Some(401) => {}
            Some(status) => panic!("answered {status}"),
            None => wire = arena.gateway.connect().await,
        }
    }
}

#[tokio::test]
async fn e3_requests_in_flight_do_not_revive_a_session() {
    const ROUNDS: usize = 8;
    const CLIENTS: usize = 16;
    let arena = Arc::new(Turn::next().await);
    let mut lea = arena.person("lea").await;
    let passed = AtomicU64::new(0);
    for round in 0..ROUNDS {
        let session = lea.token().to_owned();
        let ended = Arc::new(AtomicBool::new(false));
        let hammers: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(hammer(Arc::clone(&arena), session.clone(), ended.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = lea
            .submit("/.portcullis/account", "/.portcullis/logout", &[])
            .await;
        assert_eq!(answer.status, 303, "round {round}");
        ended.store(true, Ordering::SeqCst);
        for hammer in hammers {
            passed.fetch_add(hammer.await.unwrap(), Ordering::Relaxed);
        }
        is_refused(&arena, &session).await;
        lea.sign_in().await;
        arena.must_not_leak(lea.token());
    }
    assert!(passed.into_inner() > 0, "nothing was hammered");
}

#[tokio::test]
async fn e3_what_ended_stays_ended_over_a_crash() {
    let mut arena = Arena::open().await;
    let ended = arena.person("max").await;
    let mut left = arena.person("mia").await;
    let gone = left.token().to_owned();
    let kept = arena.person("mo").await;
    let path = "/v1/users/max/password-changed";
    let answer = arena
        .gateway
        .call(arena.management(), "POST", path, "{}")
        .await;
    assert_eq!(answer.status, 200);
    left.submit("/.portcullis/account", "/.portcullis/logout", &[])
        .await;
    arena.gateway.kill();
    arena.gateway.start().await;
    is_refused(&arena, ended.token()).await;
    is_refused(&arena, &gone).await;
    assert_eq!(shown(&arena, kept.token()).await.status, 200);
}

#[tokio::test]
async fn e4_a_handshake_that_races_the_end_leaves_no_tunnel() {
    const ROUNDS: u64 = 9;
    let arena = Turn::next().await;
    let mut opened = 0;
    for name in ["nina", "nele"] {
        let mut person = arena.person(name).await;
        for round in 0..ROUNDS {
            let session = person.token().to_owned();
            let mut wire = arena.gateway.connect().await;
            let shaking = async {
                let _ = wire.try_send(open::handshake(&session)).await;
                wire.try_head().await.map(|answer| answer.status)
            };
            let revoking = async {
                tokio::time::sleep(Duration::from_micros(round * 200)).await;
                let path = format!("/v1/users/{name}/sessions");
                arena
                    .gateway
                    .call(arena.management(), "DELETE", &path, "")
                    .await
            };
            let (shaken, revoked) = tokio::join!(shaking, revoking);
            assert_eq!(revoked.status, 200);
            match shaken {
                Some(101) => {
                    opened += 1;
                    wire.closed_within(CUT).await;
                }
                Some(status) => assert_eq!(status, 401, "round {round}"),
                None => {}
            }
            person.sign_in().await;
            arena.must_not_leak(person.token());
        }
    }
    assert!(opened > 0, "no handshake came before the end");
}
