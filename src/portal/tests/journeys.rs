//! The ways that people take.

use http::Method;

use super::browser::{Browser, House, PASSWORD, Seen, twice};
use crate::model::Role;
use crate::wire::cookie;

const LOGIN: &str = "/.portcullis/login";
const SECOND_FACTOR: &str = "/.portcullis/second-factor";
const ACCOUNT: &str = "/.portcullis/account";
const SETUP: &str = "/.portcullis/setup";

/// A person with an app, set up by a link; the secret of the app and the page with the codes.
pub(super) async fn set_up(house: &House, browser: &mut Browser<'_>, name: &str) -> (String, Seen) {
    let link = house.invite(name, Role::Administrator).await;
    let page = browser.get(&link).await;
    assert!(page.body.contains(name), "{page:?}");
    let seen = browser.submit(&page, &link, &twice(PASSWORD)).await;
    assert_eq!((seen.status, seen.location()), (303, "/.portcullis/enrol"));
    let page = browser.get("/.portcullis/enrol").await;
    assert!(page.body.contains("<svg"), "{page:?}");
    let app = page.between("id=\"totp-secret\" class=\"secret\">", "<");
    let app = app.replace(' ', "");
    let code = house.code(&app);
    let codes = browser
        .submit(&page, "/.portcullis/enrol", &[("code", &code)])
        .await;
    assert_eq!(codes.status, 200, "{codes:?}");
    (app, codes)
}

async fn give_password(browser: &mut Browser<'_>, path: &str, password: &str) -> Seen {
    let page = browser.get(path).await;
    let next = page.between("name=\"next\" value=\"", "\"").to_owned();
    let fields = [("user", "ada"), ("password", password), ("next", &next)];
    browser.submit(&page, LOGIN, &fields).await
}

#[tokio::test]
async fn a_link_leads_to_a_password_an_app_and_recovery_codes() {
    let house = House::new().await;
    let mut browser = house.browser();
    let (_, codes) = set_up(&house, &mut browser, "ada").await;
    assert_eq!(codes.body.matches("class=\"recovery-code\"").count(), 10);
    assert!(codes.body.contains("href=\"/\""), "the way on");
    let kept: Vec<_> = browser.jar.keys().map(String::as_str).collect();
    assert_eq!(
        kept,
        [cookie::SESSION, cookie::DEVICE],
        "the cookies of the way are gone"
    );
    let account = browser.get(ACCOUNT).await;
    assert_eq!(account.status, 200);
    for text in [
        "ada",
        "Firefox on Linux",
        "192.0.2.7",
        "this device",
        "10 recovery codes",
    ] {
        assert!(account.body.contains(text), "{text}");
    }
    assert!(account.body.contains("&lt;b&gt;@example.org"));
    let again = browser.get("/.portcullis/enrol").await;
    assert_eq!((again.status, again.location()), (303, "/"));
}

#[tokio::test]
async fn signing_in_leads_to_the_page_first_asked_for() {
    let house = House::new().await;
    let (app, codes) = set_up(&house, &mut house.browser(), "ada").await;
    let mut browser = house.browser();
    let path = "/.portcullis/login?next=%2Fusers%2F%3Fpage%3D2";
    let half = give_password(&mut browser, path, PASSWORD).await;
    let second = format!("{SECOND_FACTOR}?next=%2Fusers%2F%3Fpage%3D2");
    assert_eq!((half.status, half.location()), (303, second.as_str()));
    assert!(!browser.jar.contains_key(cookie::SESSION));
    let account = browser.get(ACCOUNT).await;
    assert_eq!(
        account.location(),
        "/.portcullis/login?next=%2F%2Eportcullis%2Faccount"
    );
    let page = browser.get(&second).await;
    let next = [("next", "/users/?page=2")];
    let wrong = [("code", "000000"), next[0]];
    let wrong = browser.submit(&page, SECOND_FACTOR, &wrong).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.body.contains("role=\"alert\""));
    assert_eq!(
        wrong.between("name=\"next\" value=\"", "\""),
        "/users/?page=2"
    );
    let code = house.code(&app);
    let right = [("code", code.as_str()), next[0]];
    let seen = browser.submit(&wrong, SECOND_FACTOR, &right).await;
    assert_eq!((seen.status, seen.location()), (303, "/users/?page=2"));
    assert_eq!(browser.jar.len(), 2, "{:?}", browser.jar);

    let recovery = codes.between("class=\"recovery-code\">", "<");
    let mut other = house.browser();
    give_password(&mut other, LOGIN, PASSWORD).await;
    let page = other.get(SECOND_FACTOR).await;
    let seen = other
        .submit(&page, SECOND_FACTOR, &[("code", recovery)])
        .await;
    assert_eq!((seen.status, seen.location()), (303, "/"));
    assert_eq!(house.sessions_of("ada").await.len(), 3);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_alike() {
    let house = House::new().await;
    house.signed_in("ada").await;
    let mut bodies = Vec::new();
    for (user, password) in [("ada", "wrong"), ("bob", PASSWORD)] {
        let mut browser = house.browser();
        let page = browser.get(LOGIN).await;
        let fields = [("user", user), ("password", password)];
        let seen = browser.submit(&page, LOGIN, &fields).await;
        assert_eq!(seen.status, 401);
        assert!(seen.headers.contains_key("www-authenticate"));
        let csrf = seen.csrf().to_owned();
        bodies.push(seen.body.replace(&csrf, "").replace(user, "somebody"));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn whoever_is_signed_in_goes_straight_on() {
    let house = House::new().await;
    // Whatever is posted from it was made for another browser.
    let old_form = house.browser().get(LOGIN).await;
    let mut bob = house.signed_in("boris").await;
    for (asked, wanted) in [
        ("/x", "/x"),
        ("", "/"),
        ("//e.com", "/"),
        ("/%7Ba%7D%23frag", "/{a}#frag"),
        ("/.portcullis/users/ada", "/.portcullis/users/ada"),
        // To be refused there, and not asked for again and again.
        ("/fresh/%2e%2e/x", "/"),
    ] {
        let seen = bob.get(&format!("/.portcullis/login?next={asked}")).await;
        assert_eq!((seen.status, seen.location()), (303, wanted), "{asked}");
        assert!(!seen.headers.contains_key("set-cookie"));
    }
    // The form of a tab that was open before is not refused, whatever is typed into it, and it does not
    // count as a guess.
    let jar = bob.jar.clone();
    for password in [PASSWORD, "anything else"] {
        let fields = [
            ("user", " Boris "),
            ("password", password),
            ("next", "/y?z"),
        ];
        let seen = bob.submit(&old_form, LOGIN, &fields).await;
        assert_eq!((seen.status, seen.location()), (303, "/y?z"));
        assert_eq!(bob.jar, jar);
    }
    // Nobody becomes another person by that.
    let fields = [("user", "ada"), ("password", "wrong"), ("next", "/y")];
    assert_eq!(bob.submit(&old_form, LOGIN, &fields).await.status, 403);
}

#[tokio::test]
async fn signing_in_again_takes_the_place_of_the_old_session() {
    let house = House::new().await;
    let mut browser = house.signed_in("ada").await;
    let before = browser.jar.clone();
    let fresh = "/.portcullis/login?next=/fresh/x%3Fa%3D1";
    let seen = browser.get(fresh).await;
    assert_eq!((seen.status, seen.location()), (303, "/fresh/x?a=1"));
    house.hand.advance(std::time::Duration::from_secs(300));
    let page = browser.get(fresh).await;
    assert!(page.body.contains("value=\"ada\""), "the name stands there");
    let seen = give_password(&mut browser, fresh, PASSWORD).await;
    assert_eq!((seen.status, seen.location()), (303, "/fresh/x?a=1"));
    assert_ne!(browser.jar, before);
    assert_eq!(house.sessions_of("ada").await.len(), 1);
    let after = std::mem::replace(&mut browser.jar, before);
    assert_eq!(
        browser.get(ACCOUNT).await.status,
        200,
        "it may be under way"
    );
    house.hand.advance(crate::store::change::GRACE);
    assert_eq!(browser.get(ACCOUNT).await.status, 303);
    browser.jar = after;
    assert_eq!(browser.get(ACCOUNT).await.status, 200);
}

#[tokio::test]
async fn logging_out_leaves_no_more_than_a_hint_in_the_browser() {
    for (fields, left) in [
        (&[][..], &[cookie::DEVICE][..]),
        (&[("forget", "device")], &[]),
    ] {
        let house = House::new().await;
        let mut browser = house.signed_in("ada").await;
        let page = browser.get(ACCOUNT).await;
        let seen = browser.submit(&page, "/.portcullis/logout", fields).await;
        assert_eq!(seen.location(), "/.portcullis/login?done=logged-out");
        assert_eq!(seen.headers["clear-site-data"], "\"cache\"");
        assert!(browser.jar.keys().eq(left), "{:?}", browser.jar);
        assert!(house.sessions_of("ada").await.is_empty());
        let page = browser.get(seen.location()).await;
        assert!(page.body.contains("You are logged out."));
    }
}

#[tokio::test]
async fn a_password_change_and_the_button_end_every_session() {
    let house = House::new().await;
    let mut browser = house.signed_in("ada").await;
    let new = "another plum tractor";
    let passwords = [
        ("current_password", PASSWORD),
        ("new_password", new),
        ("new_password_again", new),
    ];
    for (path, fields, done) in [
        (
            "/.portcullis/account/logout-all",
            &[][..],
            "logged-out-everywhere",
        ),
        (
            "/.portcullis/account/password",
            &passwords[..],
            "password-changed",
        ),
    ] {
        give_password(&mut browser, LOGIN, PASSWORD).await;
        give_password(&mut house.browser(), LOGIN, PASSWORD).await;
        assert!(house.sessions_of("ada").await.len() > 1);
        let page = browser.get(ACCOUNT).await;
        let seen = browser.submit(&page, path, fields).await;
        assert_eq!(seen.location(), format!("/.portcullis/login?done={done}"));
        assert_eq!(seen.headers["clear-site-data"], "\"cache\"");
        assert!(!browser.jar.contains_key(cookie::SESSION));
        assert!(house.sessions_of("ada").await.is_empty());
        assert!(
            browser
                .get(seen.location())
                .await
                .body
                .contains("role=\"status\"")
        );
    }
    assert_eq!(
        give_password(&mut browser, LOGIN, PASSWORD).await.status,
        401
    );
    assert_eq!(give_password(&mut browser, LOGIN, new).await.status, 303);
}

#[tokio::test]
async fn a_password_that_is_not_taken_is_explained_and_changes_nothing() {
    let house = House::new().await;
    let mut browser = house.signed_in("ada").await;
    let generation = house.user("ada").await.generation;
    for (current, new, again, field) in [
        (
            "wrong",
            "another plum tractor",
            "another plum tractor",
            "current_password",
        ),
        (PASSWORD, "short", "short", "new_password"),
        (PASSWORD, PASSWORD, PASSWORD, "new_password"),
        (
            PASSWORD,
            "another plum tractor",
            "another",
            "new_password_again",
        ),
    ] {
        let page = browser.get(ACCOUNT).await;
        let fields = [
            ("current_password", current),
            ("new_password", new),
            ("new_password_again", again),
        ];
        let seen = browser
            .submit(&page, "/.portcullis/account/password", &fields)
            .await;
        assert_eq!(seen.status, 422, "{field}");
        let tied = format!("id=\"{field}\" name=\"{field}\"");
        let input = seen.between(&tied, ">");
        assert!(input.contains("aria-invalid=\"true\""), "{field}: {input}");
    }
    assert_eq!(house.user("ada").await.generation, generation);
    assert_eq!(house.sessions_of("ada").await.len(), 1);
}

#[tokio::test]
async fn one_session_is_ended_from_another() {
    let house = House::new().await;
    let mut here = house.signed_in("ada").await;
    let mut there = house.browser();
    give_password(&mut there, LOGIN, PASSWORD).await;
    let token = crate::session::Token::hash_of(&there.jar[cookie::SESSION]).unwrap();
    let sessions = house.sessions_of("ada").await;
    let doomed = sessions
        .iter()
        .find(|one| one.token_hash() == token)
        .unwrap();
    let path = format!("/.portcullis/account/sessions/{}/end", doomed.id());
    let page = here.get(ACCOUNT).await;
    assert!(page.body.contains(&path));
    let seen = here.submit(&page, &path, &[]).await;
    assert_eq!(seen.location(), "/.portcullis/account?done=session-ended");
    assert_eq!(house.sessions_of("ada").await.len(), 1);
    let gone = there.get(ACCOUNT).await;
    assert_eq!(gone.status, 303);
    // Not told to forget its cookie: it could have been given another since it asked.
    assert!(!gone.headers.contains_key("set-cookie"));
    assert_eq!(here.submit(&page, &path, &[]).await.status, 404);
}

#[tokio::test]
async fn a_link_works_once() {
    let house = House::new().await;
    let link = house.invite("ada", Role::Operator).await;
    let mut browser = house.browser();
    let page = browser.get(&link).await;
    let differ = [("password", PASSWORD), ("password_again", "x")];
    assert_eq!(browser.submit(&page, &link, &differ).await.status, 422);
    assert_eq!(
        browser.submit(&page, &link, &twice("short")).await.status,
        422
    );
    assert_eq!(
        browser.submit(&page, &link, &twice(PASSWORD)).await.status,
        303
    );
    for path in [&link, "/.portcullis/setup?token=x", "/.portcullis/setup"] {
        let spent = house.browser().get(path).await;
        assert_eq!(spent.status, 404);
        assert!(spent.body.contains("ask an administrator"), "{spent:?}");
    }
}

#[tokio::test]
async fn a_links_token_leaves_the_address_and_opening_it_spends_nothing() {
    let house = House::new().await;
    let ada = house.invite("ada", Role::Operator).await;
    let bob = house.invite("bob", Role::Operator).await;
    let token = ada.split_once('=').unwrap().1;
    let mut browser = house.browser();
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let seen = browser.send(method, &ada, None).await;
        assert_eq!((seen.status, seen.location()), (303, SETUP));
        assert_eq!(seen.headers["referrer-policy"], "no-referrer");
        assert_eq!(seen.headers["cache-control"], "no-store");
        assert_eq!(browser.jar[cookie::SETUP], token);
    }
    let page = browser.get(SETUP).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains(token), "{page:?}");
    // Another link in a second tab: the first tab's form is not taken for the second one's person.
    let second = browser.get(&bob).await;
    let late = browser.submit(&page, SETUP, &twice(PASSWORD)).await;
    assert_eq!(late.status, 403);
    assert!(late.body.contains("bob"), "the fresh form says whose it is");
    let seen = browser.submit(&second, SETUP, &twice(PASSWORD)).await;
    assert_eq!(seen.status, 303, "{seen:?}");
    assert!(!browser.jar.contains_key(cookie::SETUP));
    assert!(house.sessions_of("ada").await.is_empty());
    // A post shows the cookie, and no address opens it.
    let mut other = house.browser();
    let page = other.get(&ada).await;
    other.jar.remove(cookie::SETUP);
    let seen = other.submit(&page, &ada, &twice(PASSWORD)).await;
    assert_eq!(seen.status, 404);
    assert_eq!(
        house.browser().get(&ada).await.status,
        200,
        "nothing was spent"
    );
}

#[tokio::test]
async fn a_sign_in_that_took_too_long_begins_again() {
    let house = House::new().await;
    set_up(&house, &mut house.browser(), "ada").await;
    let mut browser = house.browser();
    give_password(&mut browser, "/.portcullis/login?next=/x", PASSWORD).await;
    let page = browser.get("/.portcullis/second-factor?next=/x").await;
    house.hand.advance(std::time::Duration::from_secs(301));
    let fields = [("code", "123456"), ("next", "/x")];
    let seen = browser.submit(&page, SECOND_FACTOR, &fields).await;
    let login = "/.portcullis/login?next=%2Fx&done=start-again";
    assert_eq!((seen.status, seen.location()), (303, login));
    assert!(!browser.jar.contains_key(cookie::SIGN_IN));
}
