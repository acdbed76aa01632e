//! E: sessions and cookies. That everything ends that is open (E2), and stays ended over a crash, is
//! told in `tests/promises`; here are the ways and races that are not told there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Request;

use crate::arena::Who::Operator;
use crate::arena::{Arena, Turn};
use crate::ask::{answered, send};
use crate::attack::{Attack, get, run};
use crate::support::gateway::CUT;
use crate::support::http1::{Answer, navigation};
use crate::support::http2::{self, Http2};
use crate::support::person::{PASSWORD, Person, csrf_of};
use crate::support::websocket::HANDSHAKE;

const SESSION: &str = "__Host-Http-portcullis";
const LOGIN: &str = "/.portcullis/login";
const LOGOUT: &str = "/.portcullis/logout";
const ACCOUNT: &str = "/.portcullis/account";

/// The head of a request with a session, without its empty line.
fn head(method: &str, path: &str, session: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {SESSION}={session}\r\n")
}

/// A request over HTTP/2 with a session.
fn request(path: &str, session: &str) -> Request<()> {
    http2::head("GET", path, &[("cookie", &format!("{SESSION}={session}"))])
}

/// What a page answers to somebody who shows this as the session.
async fn shown(arena: &Arena, session: &str) -> Answer {
    let mut wire = arena.gateway.connect().await;
    wire.send(head("GET", "/page", session) + "\r\n").await;
    answered(&mut wire, false).await.unwrap()
}

/// The answer to a form that is posted as these bytes.
async fn posted(arena: &Arena, session: &str, fields: &str, form: &str) -> Answer {
    let said: Vec<&str> = fields.lines().collect();
    let opened = navigation(LOGOUT, &said);
    let request = format!(
        "{}{opened}{fields}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        head("POST", LOGOUT, session),
        form.len()
    );
    let mut wire = arena.gateway.connect().await;
    wire.send(request).await;
    answered(&mut wire, false).await.unwrap()
}

/// Signs in with this session planted once the form is there: whoever is signed in gets none. The
/// session that came of it.
async fn with_planted(arena: &Arena, person: &mut Person, planted: &str) -> String {
    let form = person.get(LOGIN).await;
    let (csrf, name) = (csrf_of(&form.text()), person.name.clone());
    person
        .cookies
        .insert(SESSION.to_owned(), planted.to_owned());
    let fields = [
        ("csrf", csrf.as_str()),
        ("user", &name),
        ("password", PASSWORD),
    ];
    let answer = person.post(LOGIN, &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let step = answer.header("location").unwrap().to_owned();
    let code = person.recovery_codes.pop().unwrap();
    let form = person.get(&step).await;
    let csrf = csrf_of(&form.text());
    let fields = [("csrf", csrf.as_str()), ("code", &code)];
    let answer = person.post(&step, &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    arena.must_not_leak(person.token());
    person.token().to_owned()
}

#[tokio::test]
async fn e1_a_session_is_never_one_that_the_attacker_chose() {
    let arena = Turn::next().await;
    let mut erna = arena.person("erna").await.elsewhere();
    let planted = "A".repeat(43);
    let session = with_planted(&arena, &mut erna, &planted).await;
    assert_ne!(session, planted);
    assert_eq!(shown(&arena, &planted).await.status, 401);
    assert_eq!(shown(&arena, &session).await.status, 200);
}

#[tokio::test]
async fn e1_whoever_is_signed_in_gets_no_second_session() {
    let arena = Turn::next().await;
    let mut egon = arena.person("egon").await;
    let before = egon.token().to_owned();
    let mut stranger = egon.elsewhere();
    let form = stranger.get(LOGIN).await;
    egon.cookies.extend(stranger.cookies.clone());
    let csrf = csrf_of(&form.text());
    for password in [PASSWORD, "not this one at all"] {
        let fields = [
            ("csrf", csrf.as_str()),
            ("user", "egon"),
            ("password", password),
        ];
        let answer = egon.post(LOGIN, &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        assert_eq!(answer.header("location"), Some("/"));
        assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
        assert_eq!(shown(&arena, &before).await.status, 200);
    }
}

#[tokio::test]
async fn e1_another_users_session_shown_at_a_sign_in_is_dead_at_once() {
    let arena = Turn::next().await;
    let eike = arena.person("eike").await;
    let mut emma = arena.person("emma").await.elsewhere();
    let after = with_planted(&arena, &mut emma, eike.token()).await;
    assert_eq!(shown(&arena, eike.token()).await.status, 401);
    assert_eq!(shown(&arena, &after).await.status, 200);
}

#[tokio::test]
async fn e1_half_a_sign_in_is_no_session() {
    let arena = Turn::next().await;
    let mut edda = arena.person("edda").await.elsewhere();
    let answer = edda.give_password().await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert!(!edda.is_signed_in());
    let half = edda.cookies["__Host-Http-portcullis-signin"].clone();
    arena.must_not_leak(&half);
    assert_eq!(shown(&arena, &half).await.status, 401);
    for path in ["/page", "/users/", ACCOUNT] {
        let answer = edda.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        let location = answer.header("location").unwrap_or_default();
        assert!(location.starts_with(LOGIN), "{path}: {location}");
    }
    assert_eq!(arena.heads(), Vec::<String>::new());
}

/// Over both protocols, the first request after the end is sent to sign in.
async fn is_refused(arena: &Arena, session: &str) {
    // A mark of its own: what was cut a moment ago may still be on its way to the panel's record.
    const AFTER: &str = "/page?after-the-end";
    let http2 = Http2::connect(arena.gateway.port).await;
    let mut wire = arena.gateway.connect().await;
    wire.send(head("GET", AFTER, session) + "\r\n").await;
    for answer in [
        answered(&mut wire, false).await.unwrap(),
        send(&http2, request(AFTER, session), b"").await.unwrap(),
    ] {
        assert_eq!(answer.status, 401);
        assert_eq!(
            answer.header("set-cookie"),
            None,
            "it may have another by now"
        );
    }
    assert!(arena.panel.seen_with(AFTER).is_empty());
}

#[tokio::test]
async fn e2_a_password_set_by_a_call_ends_sessions() {
    let arena = Turn::next().await;
    let fred = arena.person("fred").await;
    let body = "{\"password\": \"garden ladder and moss\"}";
    let path = "/v1/users/fred/password";
    let answer = arena
        .gateway
        .call(arena.management(), "PUT", path, body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    is_refused(&arena, fred.token()).await;
}

/// One hammering client: asks as fast as it can, until a request that began after the end of the
/// session is refused. Says how many were let pass before.
async fn hammer(arena: Arc<Turn>, session: String, ended: Arc<AtomicBool>) -> u64 {
    let mut passed = 0;
    let mut wire = arena.gateway.connect().await;
    loop {
        let is_after = ended.load(Ordering::SeqCst);
        let sent = wire.try_send(head("GET", "/page", &session) + "\r\n").await;
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
    let mut passed = 0;
    for round in 0..ROUNDS {
        let session = lea.token().to_owned();
        let ended = Arc::new(AtomicBool::new(false));
        let hammers: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::spawn(hammer(arena.clone(), session.clone(), ended.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let answer = lea.submit(ACCOUNT, LOGOUT, &[]).await;
        assert_eq!(answer.status, 303, "round {round}");
        ended.store(true, Ordering::SeqCst);
        for hammer in hammers {
            passed += hammer.await.unwrap();
        }
        is_refused(&arena, &session).await;
        lea.sign_in().await;
        arena.must_not_leak(lea.token());
    }
    assert!(passed > 0, "nothing was hammered");
}

#[tokio::test]
async fn e4_a_handshake_that_races_the_end_leaves_no_tunnel() {
    const ROUNDS: u64 = 9;
    let arena = Turn::next().await;
    let mut opened = 0;
    let mut nina = arena.person("nina").await;
    for round in 0..ROUNDS {
        let fields = [&HANDSHAKE[..], &["Origin: https://localhost", "\r\n"]].concat();
        let handshake = head("GET", "/ws", nina.token()) + &fields.join("\r\n");
        let mut wire = arena.gateway.connect().await;
        let shaking = async {
            let _ = wire.try_send(handshake).await;
            wire.try_head().await.map(|answer| answer.status)
        };
        let revoking = async {
            tokio::time::sleep(Duration::from_micros(round * 300)).await;
            let path = "/v1/users/nina/sessions";
            arena
                .gateway
                .call(arena.management(), "DELETE", path, "")
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
        nina.sign_in().await;
        arena.must_not_leak(nina.token());
    }
    assert!(opened > 0, "no handshake came before the end");
}

#[tokio::test]
async fn e5_only_the_exact_single_cookie_signs_in() {
    let line = |id: &'static str, field: &'static [u8]| -> Attack {
        let fields: &'static [&'static [u8]] = vec![field].leak();
        get(id, "/page").by(Operator).with(fields)
    };
    let signs_in = |attack: Attack| attack.reaches("GET /page HTTP/1.1");
    run(&[
        signs_in(line("E5.1", b"Cookie: __Host-Http-portcullis={cookie}")),
        signs_in(line(
            "E5.2",
            b"Cookie: a=1;__Host-Http-portcullis={cookie};b=2",
        )),
        signs_in(line(
            "E5.3",
            b"Cookie: __Host-Http-portcullis={cookie}; __Host-Http-portcullis={cookie}",
        )),
        line(
            "E5.4",
            b"Cookie: __Host-Http-portcullis=a; __Host-Http-portcullis={cookie}",
        ),
        line(
            "E5.5",
            b"Cookie: __Host-Http-portcullis={cookie}; __Host-Http-portcullis=b",
        ),
        line(
            "E5.6",
            b"Cookie: __Host-Http-portcullis={cookie}; __Host-Http-portcullis=",
        ),
        line("E5.7", b"Cookie: =__Host-Http-portcullis={cookie}"),
        line("E5.8", b"Cookie: %5F%5FHost-Http-portcullis={cookie}"),
        line("E5.9", b"Cookie: __host-http-portcullis={cookie}"),
        line("E5.10", b"Cookie: __HOST-HTTP-PORTCULLIS={cookie}"),
        line("E5.11", b"Cookie: __Host-Http-portcullis ={cookie}"),
        line("E5.12", b"Cookie: __Host-Http-portcullis= {cookie}"),
        line("E5.13", b"Cookie: __Host-Http-portcullis=\"{cookie}\""),
        line(
            "E5.14",
            b"Cookie: $Version=1; __Host-Http-portcullis={cookie}",
        ),
        line("E5.15", b"Cookie: __Host-Http-portcullis={cookie}x"),
        line("E5.16", b"Cookie: __Host-Http-portcullis={cookie}="),
        line("E5.17", b"Cookie: ..Host-Http-portcullis={cookie}"),
        line("E5.18", b"Cookie: __Host-Http-portcullis[]={cookie}"),
        line("E5.19", b"Cookie: __Host-Http-portcullis-signin={cookie}"),
        line("E5.20", b"Cookie: portcullis={cookie}"),
        line("E5.21", b"Cookie: __Host-Http-portcullis,={cookie}"),
        line("E5.23", b"Cookie: __Host-portcullis={cookie}"),
        line("E5.24", b"Cookie: __Http-portcullis={cookie}"),
        line(
            "E5.22",
            b"Cookie: a=\"; __Host-Http-portcullis=b\"; __Host-Http-portcullis={cookie}",
        ),
    ])
    .await;
}

/// The gateway's cookie in all spellings that somebody could hope for, between two of the panel's.
const COOKIES: &str = "HTTP/1.1 200 OK\r\n\
    Set-Cookie: first=1; Path=/\r\n\
    Set-Cookie: __Host-Http-portcullis=evil; Secure; Path=/\r\n\
    set-cookie: __Host-Http-portcullis=evil\r\n\
    SET-COOKIE:__Host-Http-portcullis=evil; Max-Age=0\r\n\
    Set-Cookie:  __Host-Http-portcullis =evil; Path=/\r\n\
    Set-Cookie: __HOST-HTTP-PORTCULLIS=evil; Secure; Path=/\r\n\
    Set-Cookie: =__Host-Http-portcullis=evil; Secure; Path=/\r\n\
    Set-Cookie: __Host-Http-portcullis\r\n\
    Set-Cookie: \"__Host-Http-portcullis\"=evil\r\n\
    Set-Cookie: __Host-Http-portcullis-signin=evil; Secure; Path=/\r\n\
    Set-Cookie: __Host-Http-portcullis-form=evil; Secure; Path=/\r\n\
    Set-Cookie: __Host-portcullis=evil; Secure; Path=/\r\n\
    Set-Cookie: __Http-portcullis=evil; Secure; HttpOnly; Path=/\r\n\
    Set-Cookie: \t__Host-Http-portcullis=evil; Domain=example\r\n\
    Set-Cookie: __Host-Http-portcullis=; expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n\
    Set-Cookie: last=1; Path=/\r\n\
    Content-Length: 0\r\n\r\n";

#[tokio::test]
async fn e6_a_panel_cannot_set_the_gateways_cookies() {
    let arena = Turn::next().await;
    arena.panel.answers_oddly("cookies", COOKIES);
    let session = arena.token(Operator).unwrap();
    let mut wire = arena.gateway.connect().await;
    wire.send(head("GET", "/odd/cookies", session) + "\r\n")
        .await;
    let http2 = Http2::connect(arena.gateway.port).await;
    for answer in [
        answered(&mut wire, false).await.unwrap(),
        send(&http2, request("/odd/cookies", session), b"")
            .await
            .unwrap(),
    ] {
        assert_eq!(
            answer.all("set-cookie"),
            ["first=1; Path=/", "last=1; Path=/"]
        );
    }
    assert_eq!(shown(&arena, session).await.status, 200);
}

#[tokio::test]
async fn e7_logging_out_is_seen_on_both_sides() {
    let arena = Turn::next().await;
    let mut elsa = arena.person("elsa").await;
    let session = elsa.token().to_owned();
    let page = elsa.get(ACCOUNT).await;
    let kept = page.header("cache-control").unwrap_or_default();
    assert!(
        kept.contains("no-store"),
        "the back button would show it: {kept}"
    );
    let answer = elsa.submit(ACCOUNT, LOGOUT, &[]).await;
    assert_eq!(answer.status, 303);
    let location = answer.header("location").unwrap_or_default();
    assert!(location.starts_with(LOGIN), "{location}");
    forgets_the_browser(&answer);
    assert!(!elsa.is_signed_in());
    let refused = shown(&arena, &session).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("set-cookie"), None);
    // A page that was still open asks once more.
    let again = posted(&arena, &session, "Accept: text/html\r\n", "csrf=x").await;
    assert_eq!(again.status, 303, "{}", again.text());
    forgets_the_browser(&again);
}

/// The deletion that a browser accepts for a `__Host-` name, to the letter (CVE-2025-55162).
fn forgets_the_browser(answer: &Answer) {
    const DELETION: &str =
        "__Host-Http-portcullis=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0";
    let lines = answer.all("set-cookie");
    let deletions = lines.iter().filter(|line| **line == DELETION).count();
    assert_eq!(deletions, 1, "{answer:?}");
    assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
}

#[tokio::test]
async fn e7_logging_out_needs_the_form() {
    let arena = Turn::next().await;
    let emil = arena.person("emil").await;
    let mut enno = arena.person("enno").await;
    let of_another = csrf_of(&enno.get(ACCOUNT).await.text());
    for (fields, form) in [
        ("", "".to_owned()),
        ("", "csrf=".to_owned()),
        ("", "csrf=x".to_owned()),
        ("", format!("csrf={of_another}")),
        ("Sec-Fetch-Site: cross-site\r\n", "csrf=x".to_owned()),
        ("Origin: null\r\n", "csrf=x".to_owned()),
    ] {
        for accept in ["", "Accept: text/html\r\n"] {
            let fields = format!("{accept}{fields}");
            let answer = posted(&arena, emil.token(), &fields, &form).await;
            assert_eq!(answer.status, 403, "{fields:?} {form:?}");
            assert!(!answer.body.is_empty(), "{fields:?} {form:?}");
        }
    }
    assert_eq!(shown(&arena, emil.token()).await.status, 200);
}
