//! What is refused, and that nothing has happened then.

use http::Method;

use super::browser::{Browser, House, PASSWORD, Seen, twice};
use crate::model::Role;
use crate::wire::cookie;

const LOGIN: &str = "/.portcullis/login";
const ACCOUNT: &str = "/.portcullis/account";

/// The posts of somebody signed in, each with its fields.
const SIGNED_IN_POSTS: [(&str, &[(&str, &str)]); 3] = [
    ("/.portcullis/logout", &[]),
    ("/.portcullis/account/logout-all", &[]),
    (
        "/.portcullis/account/password",
        &[
            ("current_password", PASSWORD),
            ("new_password", "another plum tractor"),
            ("new_password_again", "another plum tractor"),
        ],
    ),
];

async fn assert_unharmed(house: &House, browser: &mut Browser<'_>, generation: i64) {
    let ada = house.user("ada").await;
    assert_eq!(ada.generation.number(), generation);
    assert_eq!(house.sessions_of("ada").await.len(), 1);
    assert_eq!(browser.get(ACCOUNT).await.status, 200);
}

#[tokio::test]
async fn a_form_of_somebody_else_is_refused() {
    let house = House::new().await;
    let mut ada = house.signed_in("ada").await;
    let mut bob = house.signed_in("bob").await;
    let his = bob.get(ACCOUNT).await.csrf().to_owned();
    let before_login = house.browser().get(LOGIN).await.csrf().to_owned();
    let generation = house.user("ada").await.generation.number();
    let end = format!(
        "{ACCOUNT}/sessions/{}/end",
        house.sessions_of("ada").await[0].id()
    );
    let mut posts = SIGNED_IN_POSTS.to_vec();
    posts.push((&end, &[]));
    for (path, fields) in posts {
        for forged in [None, Some(""), Some(his.as_str()), Some(&before_login)] {
            let mut fields = fields.to_vec();
            fields.extend(forged.map(|csrf| ("csrf", csrf)));
            let seen = ada.post(path, &fields).await;
            assert_eq!(seen.status, 403, "{path} {forged:?}");
            assert!(seen.body.contains("out of date"), "{path}");
            assert_ne!(seen.csrf(), "", "a fresh form");
            assert_unharmed(&house, &mut ada, generation).await;
        }
    }
}

#[tokio::test]
async fn a_form_from_another_site_is_refused() {
    let house = House::new().await;
    let mut ada = house.signed_in("ada").await;
    let generation = house.user("ada").await.generation.number();
    let page = ada.get(ACCOUNT).await;
    for fields in [
        ("origin", "null"),
        ("origin", "https://evil.example"),
        ("origin", "https://panel.gate.example:8443"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        ada.fields = vec![fields];
        for (path, form) in SIGNED_IN_POSTS {
            let seen = ada.submit(&page, path, form).await;
            assert_eq!(seen.status, 403, "{path} {fields:?}");
        }
        ada.fields.clear();
        assert_unharmed(&house, &mut ada, generation).await;
    }
    ada.fields = vec![
        ("origin", "https://gate.example:8443"),
        ("sec-fetch-site", "same-origin"),
    ];
    let seen = ada.submit(&page, "/.portcullis/logout", &[]).await;
    assert_eq!(seen.status, 303);
}

#[tokio::test]
async fn strangers_forms_are_bound_to_their_browser() {
    let house = House::new().await;
    let link = house.invite("ada", Role::Administrator).await;
    let mut ada = house.browser();
    let page = ada.get(&link).await;
    let fields = twice(PASSWORD);
    let seen = house.browser().submit(&page, &link, &fields).await;
    assert_eq!(seen.status, 404, "without the link");
    let mut other = house.browser();
    other.get(&link).await;
    let seen = other.submit(&page, &link, &fields).await;
    assert_eq!(seen.status, 403, "in another browser");
    let seen = ada.submit(&page, &link, &fields).await;
    assert_eq!(seen.location(), "/.portcullis/enrol");
    let early = page.csrf().to_owned();
    let enrol = "/.portcullis/enrol";
    for forged in [("csrf", early.as_str()), ("x", "y")] {
        let seen = ada.post(enrol, &[("code", "000000"), forged]).await;
        assert_eq!(seen.status, 403);
    }
    let mut other = house.browser();
    let page = other.get(LOGIN).await;
    other.jar.clear();
    let fields = [("user", "ada"), ("password", PASSWORD)];
    let seen = other.submit(&page, LOGIN, &fields).await;
    assert_eq!(seen.status, 403);
    let seen = other.submit(&seen, LOGIN, &fields).await;
    assert_eq!(seen.status, 303, "the fresh form works: {seen:?}");
}

#[tokio::test]
async fn odd_posts_of_a_step_change_nothing() {
    let house = House::new().await;
    let link = house.invite("ada", Role::Administrator).await;
    let mut ada = house.browser();
    let page = ada.get(&link).await;
    ada.submit(&page, &link, &twice(PASSWORD)).await;
    let page = ada.get("/.portcullis/enrol").await;
    let csrf = format!("csrf={}", page.csrf());
    for (form, status) in [
        (Some(String::new()), 403),
        (Some("code=".to_owned()), 403),
        (Some(csrf.clone()), 400),
        (Some(format!("{csrf}&code=")), 401),
        (Some(format!("{csrf}&code[]=1")), 400),
        (Some(format!("{csrf}&code=1&code=2")), 400),
        (Some(format!("{csrf}&code=%ff")), 400),
        (None, 415),
    ] {
        let shown = format!("{form:?}");
        let seen = ada.send(Method::POST, "/.portcullis/enrol", form).await;
        assert_eq!(seen.status, status, "{shown}");
    }
    let seen = ada.get("/.portcullis/second-factor").await;
    assert_eq!(seen.location(), "/.portcullis/enrol");
    assert!(!ada.jar.contains_key(cookie::SESSION));
    assert!(house.sessions_of("ada").await.is_empty());
    let half = ada.jar[cookie::SIGN_IN].clone();
    ada.jar = [(cookie::SESSION.to_owned(), half)].into();
    assert_eq!(ada.get(ACCOUNT).await.status, 303, "it is no session");
}

#[tokio::test]
async fn next_never_leads_to_another_host() {
    let house = House::new().await;
    house.signed_in("ada").await;
    for next in [
        "//e.com",
        "/\\e.com",
        "/\t/e.com",
        "\\\\e.com",
        "https:e.com",
        "https:/e.com",
        "https://e.com",
        "javascript:alert(1)",
        "/.portcullis/logout",
        "/x\r\nSet-Cookie: a=b",
        "///e.com",
        "/..//e.com",
        "",
        "/.portcullis/users/ada/disable",
        "/.portcullis/login?next=/x",
    ] {
        let mut browser = house.browser();
        let page = browser.get(LOGIN).await;
        let fields = [("user", "ada"), ("password", PASSWORD), ("next", next)];
        let seen = browser.submit(&page, LOGIN, &fields).await;
        assert_eq!((seen.status, seen.location()), (303, "/"), "{next:?}");
    }
}

#[tokio::test]
async fn paths_and_methods_are_exact() {
    let house = House::new().await;
    let mut ada = house.signed_in("ada").await;
    for path in [
        "/.portcullis/nothing",
        "/.portcullis/",
        "/.portcullis/login/",
    ] {
        let seen = ada.get(path).await;
        assert_eq!(seen.status, 404, "{path}");
        assert!(seen.body.contains("<h1>No such page</h1>"));
    }
    for (method, path, allow) in [
        (Method::GET, "/.portcullis/logout", "POST"),
        (Method::PUT, LOGIN, "GET,HEAD,POST"),
        (Method::DELETE, ACCOUNT, "GET,HEAD"),
    ] {
        let seen = ada.send(method, path, None).await;
        assert_eq!(seen.status, 405, "{path}");
        assert_eq!(seen.headers["allow"], allow);
    }
    let head = house.browser().send(Method::HEAD, LOGIN, None).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(house.sessions_of("ada").await.len(), 1);
}

#[tokio::test]
async fn programs_get_documents_and_people_get_pages() {
    let house = House::new().await;
    let mut program = house.browser();
    program.accept = "*/*";
    for path in [ACCOUNT, "/.portcullis/second-factor", "/.portcullis/enrol"] {
        let seen = program.get(path).await;
        assert_eq!(seen.status, 401, "{path}");
        assert_eq!(seen.headers["content-type"], "application/problem+json");
        assert_eq!(house.browser().get(path).await.status, 303);
    }
    let seen = program.post(LOGIN, &[("user", "ada")]).await;
    assert_eq!(seen.status, 403);
    assert_eq!(seen.headers["content-type"], "application/problem+json");
}

#[tokio::test]
async fn every_answer_is_guarded() {
    let house = House::new().await;
    let mut ada = house.signed_in("ada").await;
    let pages: [Seen; 4] = [
        ada.get(ACCOUNT).await,
        ada.get(LOGIN).await,
        ada.get("/.portcullis/nothing").await,
        ada.get("/.portcullis/second-factor").await,
    ];
    for seen in pages {
        let policy = seen.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self';"));
        assert_eq!(seen.headers["cache-control"], "no-store");
        assert_eq!(seen.headers["x-content-type-options"], "nosniff");
        assert_eq!(seen.headers["x-frame-options"], "DENY");
        assert!(seen.headers.contains_key("referrer-policy"));
        assert!(!seen.body.contains("<b>"), "{}", seen.body);
    }
    let style = super::super::assets::style_path();
    let seen = ada.get(style).await;
    assert_eq!(seen.status, 200);
    assert!(
        seen.headers["cache-control"]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
}
