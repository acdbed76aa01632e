//! E: sessions and cookies. What ends them, and what is open at that moment, is in `ended.rs`.

use crate::arena::Who::Operator;
use crate::arena::{Arena, PASSWORD, Turn};
use crate::attack::{Attack, get, run};
use crate::browser::{Browser, LOGIN, SESSION, between};
use crate::http1::{Answer, Client};
use crate::open;

/// What a page answers to somebody who shows this as the session.
async fn shown(arena: &Arena, session: &str) -> Answer {
    let mut client = Client::connect(arena).await;
    let request = open::head(arena, "GET", "/page", session) + "\r\n";
    client.send(request.as_bytes()).await;
    client.answer_to("GET").await.unwrap()
}

/// The answer to a form that is posted as these bytes.
async fn posted(arena: &Arena, path: &str, session: &str, fields: &str, form: &str) -> Answer {
    let request = format!(
        "{}{fields}Content-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        open::head(arena, "POST", path, session),
        form.len()
    );
    let mut client = Client::connect(arena).await;
    client.send(request.as_bytes()).await;
    let answer = client.answer_to("POST").await;
    answer.unwrap_or_else(|fault| unreachable!("{request:?}: {fault}\n{}", arena.last_words()))
}

#[tokio::test]
async fn e1_a_session_is_never_one_that_the_attacker_chose() {
    let arena = Turn::next().await;
    let link = arena.invite("erna");
    for way in ["set-up", "login"] {
        let planted = "A".repeat(43);
        let mut browser = Browser::default();
        browser.jar.insert(SESSION.to_owned(), planted.clone());
        let answer = match way {
            "set-up" => browser.set_up(&arena, &link, PASSWORD).await,
            _ => browser.log_in(&arena, "erna", PASSWORD).await,
        };
        assert_eq!(answer.status, 303, "{way}: {}", answer.text());
        let session = browser.session();
        assert_ne!(session, planted, "{way}");
        assert_eq!(shown(&arena, &planted).await.status, 401, "{way}");
        assert_eq!(shown(&arena, &session).await.status, 200, "{way}");
    }
}

#[tokio::test]
async fn e1_the_session_shown_at_a_sign_in_is_dead_after_it() {
    let arena = Turn::next().await;
    let mut browser = arena.sign_in("egon").await;
    let before = browser.session();
    let answer = browser.log_in(&arena, "egon", PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_ne!(browser.session(), before);
    assert_eq!(shown(&arena, &before).await.status, 401);
    assert_eq!(shown(&arena, &browser.session()).await.status, 200);
}

#[tokio::test]
async fn e1_half_a_sign_in_is_no_session() {
    let arena = Turn::next().await;
    arena
        .command(
            &[
                "user",
                "add",
                "edda",
                "--role",
                "administrator",
                "--password-stdin",
            ],
            PASSWORD,
        )
        .unwrap();
    let mut browser = Browser::default();
    let answer = browser.log_in(&arena, "edda", PASSWORD).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.field("location"), Some("/.portcullis/enrol"));
    assert_eq!(browser.session(), "");
    let half = browser.jar.get("__Host-portcullis-signin").unwrap().clone();
    assert_eq!(shown(&arena, &half).await.status, 401);
    for path in ["/page", "/users/", "/.portcullis/account"] {
        let answer = browser.get(&arena, path).await;
        assert_eq!(answer.status, 303, "{path}");
        let location = answer.field("location").unwrap_or_default();
        assert!(location.starts_with(LOGIN), "{path}: {location}");
    }
    assert_eq!(arena.panel().heads(), Vec::<String>::new());
}

#[tokio::test]
async fn e5_only_the_exact_single_cookie_signs_in() {
    let line = |id: &'static str, field: &'static [u8]| -> Attack {
        let fields: &'static [&'static [u8]] = vec![field].leak();
        get(id, "/page").by(Operator).with(fields)
    };
    let signs_in = |attack: Attack| attack.reaches("GET /page HTTP/1.1");
    run(&[
        signs_in(line("E5.1", b"Cookie: __Host-portcullis={cookie}")),
        signs_in(line("E5.2", b"Cookie: a=1;__Host-portcullis={cookie};b=2")),
        signs_in(line(
            "E5.3",
            b"Cookie: __Host-portcullis={cookie}; __Host-portcullis={cookie}",
        )),
        line(
            "E5.4",
            b"Cookie: __Host-portcullis=a; __Host-portcullis={cookie}",
        ),
        line(
            "E5.5",
            b"Cookie: __Host-portcullis={cookie}; __Host-portcullis=b",
        ),
        line(
            "E5.6",
            b"Cookie: __Host-portcullis={cookie}; __Host-portcullis=",
        ),
        line("E5.7", b"Cookie: =__Host-portcullis={cookie}"),
        line("E5.8", b"Cookie: %5F%5FHost-portcullis={cookie}"),
        line("E5.9", b"Cookie: __host-portcullis={cookie}"),
        line("E5.10", b"Cookie: __HOST-PORTCULLIS={cookie}"),
        line("E5.11", b"Cookie: __Host-portcullis ={cookie}"),
        line("E5.12", b"Cookie: __Host-portcullis= {cookie}"),
        line("E5.13", b"Cookie: __Host-portcullis=\"{cookie}\""),
        line("E5.14", b"Cookie: $Version=1; __Host-portcullis={cookie}"),
        line("E5.15", b"Cookie: __Host-portcullis={cookie}x"),
        line("E5.16", b"Cookie: __Host-portcullis={cookie}="),
        line("E5.17", b"Cookie: ..Host-portcullis={cookie}"),
        line("E5.18", b"Cookie: __Host-portcullis[]={cookie}"),
        line("E5.19", b"Cookie: __Host-portcullis-signin={cookie}"),
        line("E5.20", b"Cookie: portcullis={cookie}"),
        line("E5.21", b"Cookie: __Host-portcullis,={cookie}"),
        line(
            "E5.22",
            b"Cookie: a=\"; __Host-portcullis=b\"; __Host-portcullis={cookie}",
        ),
    ])
    .await;
}

#[tokio::test]
async fn e6_a_panel_cannot_set_the_gateways_cookies() {
    let arena = Turn::next().await;
    let session = arena.token(Operator).unwrap();
    let mut client = Client::connect(&arena).await;
    let request = open::head(&arena, "GET", "/cookies", session) + "\r\n";
    client.send(request.as_bytes()).await;
    let answer = client.answer_to("GET").await.unwrap();
    let set: Vec<&str> = answer.all("set-cookie").collect();
    assert_eq!(set, ["first=1; Path=/", "last=1; Path=/"]);
    // Over HTTP/2 alike.
    let mut client = crate::http2::Client::connect(&arena).await;
    let answer = client
        .send(open::request(&arena, "/cookies", session), b"")
        .await
        .unwrap();
    let set: Vec<&str> = answer.all("set-cookie").collect();
    assert_eq!(set, ["first=1; Path=/", "last=1; Path=/"]);
    assert_eq!(shown(&arena, session).await.status, 200);
}

#[tokio::test]
async fn e7_logging_out_is_seen_on_both_sides() {
    let arena = Turn::next().await;
    let mut browser = arena.sign_in("else").await;
    let session = browser.session();
    let page = browser.get(&arena, "/.portcullis/account").await;
    let kept = page.field("cache-control").unwrap_or_default();
    assert!(
        kept.contains("no-store"),
        "the back button would show it: {kept}"
    );
    let account = "/.portcullis/account";
    let answer = browser
        .submit(&arena, account, "/.portcullis/logout", &[])
        .await;
    assert_eq!(answer.status, 303);
    let location = answer.field("location").unwrap_or_default();
    assert!(location.starts_with(LOGIN), "{location}");
    forgets_the_browser(&answer);
    assert_eq!(browser.session(), "");
    let refused = shown(&arena, &session).await;
    assert_eq!(refused.status, 401);
    forgets_the_browser(&refused);
    // A page that was still open asks once more.
    browser.jar.insert(SESSION.to_owned(), session);
    let answer = browser
        .submit(&arena, LOGIN, "/.portcullis/logout", &[])
        .await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    forgets_the_browser(&answer);
}

/// The deletion that a browser accepts for a `__Host-` name, to the letter (CVE-2025-55162).
pub(crate) fn forgets_the_browser(answer: &Answer) {
    const DELETION: &str = "__Host-portcullis=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0";
    let deletions = answer
        .all("set-cookie")
        .filter(|line| *line == DELETION)
        .count();
    assert_eq!(deletions, 1, "{:?}", answer.fields);
    assert_eq!(answer.field("clear-site-data"), Some("\"cache\""));
}

#[tokio::test]
async fn e7_logging_out_needs_the_form() {
    let arena = Turn::next().await;
    let browser = arena.sign_in("emil").await;
    let session = browser.session();
    let other = arena
        .sign_in("enno")
        .await
        .get(&arena, "/.portcullis/account")
        .await;
    let others = between(&other.text(), "name=\"csrf\" value=\"", "\"");
    for (field, site) in [
        ("", ""),
        (&*others, ""),
        ("x", "Sec-Fetch-Site: cross-site\r\n"),
    ] {
        let form = format!("csrf={field}");
        let answer = posted(&arena, "/.portcullis/logout", &session, site, &form).await;
        assert_eq!(answer.status, 403, "{field:?} {site:?}");
    }
    assert_eq!(shown(&arena, &session).await.status, 200);
}
