//! What administrators do to others, and what nobody else can.

use std::time::Duration;

use super::browser::{Browser, House, Seen};
use super::journeys::set_up;
use crate::clock::Timestamp;
use crate::model::{Role, UserName};
use crate::store::{Failures, GuessKey};

const USERS: &str = "/.portcullis/users";
const ADA: &str = "/.portcullis/users/ada";
const ACTS: [&str; 9] = [
    "password",
    "logout-all",
    "disable",
    "enable",
    "reset-second-factor",
    "role",
    "email",
    "setup-link",
    "remove",
];

/// An administrator, signed in.
async fn root(house: &House) -> Browser<'_> {
    let mut browser = house.browser();
    set_up(house, &mut browser, "root").await;
    browser
}

/// Does something to ada by the form of her page.
async fn act(browser: &mut Browser<'_>, act: &str, fields: &[(&str, &str)]) -> Seen {
    let page = browser.get(ADA).await;
    assert_eq!(page.status, 200, "{page:?}");
    browser.submit(&page, &format!("{ADA}/{act}"), fields).await
}

#[tokio::test]
async fn nobody_but_administrators_gets_in() {
    let house = House::new().await;
    let mut ada = house.signed_in("ada").await;
    let account = ada.get("/.portcullis/account").await;
    assert!(!account.body.contains(USERS), "no way is shown");
    for path in [
        USERS,
        ADA,
        "/.portcullis/users/nobody",
        "/.portcullis/audit",
    ] {
        assert_eq!(ada.get(path).await.status, 403, "{path}");
    }
    let fields = [
        ("user", "eve"),
        ("role", "administrator"),
        ("new_password", "x"),
    ];
    assert_eq!(ada.submit(&account, USERS, &fields).await.status, 403);
    for act in ACTS {
        let path = format!("{ADA}/{act}");
        assert_eq!(
            ada.submit(&account, &path, &fields).await.status,
            403,
            "{act}"
        );
    }
    let after = house.user("ada").await;
    assert_eq!((after.role, after.disabled), (Role::Operator, false));
    assert_eq!(house.sessions_of("ada").await.len(), 1);
    assert_eq!(house.users.list().await.unwrap().len(), 1);
    assert_eq!(
        house.browser().get(USERS).await.status,
        303,
        "a stranger signs in first"
    );
}

#[tokio::test]
async fn every_change_ends_the_sessions_and_says_how_many() {
    for (name, fields) in [
        ("password", [("new_password", "marble gondola seven")]),
        ("logout-all", [("", "")]),
        ("disable", [("", "")]),
        ("reset-second-factor", [("", "")]),
        ("role", [("role", "manager")]),
        ("email", [("email", "ada@example.org")]),
    ] {
        let house = House::new().await;
        let mut root = root(&house).await;
        let mut ada = house.signed_in("ada").await;
        let seen = act(&mut root, name, &fields).await;
        assert_eq!(seen.status, 200, "{name}: {seen:?}");
        assert!(seen.body.contains("Ended: 1 session;"), "{name}: {seen:?}");
        assert!(house.sessions_of("ada").await.is_empty(), "{name}");
        assert_eq!(ada.get("/.portcullis/account").await.status, 303, "{name}");
        assert_eq!(house.sessions_of("root").await.len(), 1, "{name}");
        let audit = root.get("/.portcullis/audit").await;
        assert!(
            audit.body.contains("user root from 192.0.2.7"),
            "{name}: {audit:?}"
        );
    }
}

#[tokio::test]
async fn a_form_that_does_not_fit_does_nothing() {
    let house = House::new().await;
    let mut root = root(&house).await;
    house.signed_in("ada").await;
    for act in ACTS {
        let path = format!("{ADA}/{act}");
        let fields = [
            ("role", "manager"),
            ("new_password", "marble gondola seven"),
        ];
        assert_eq!(root.post(&path, &fields).await.status, 403, "{act}");
    }
    assert_eq!(
        root.post(USERS, &[("user", "eve"), ("role", "operator")])
            .await
            .status,
        403
    );
    let page = root.get(ADA).await;
    root.fields = vec![("sec-fetch-site", "cross-site")];
    assert_eq!(
        root.submit(&page, &format!("{ADA}/remove"), &[])
            .await
            .status,
        403
    );
    assert_eq!(house.user("ada").await.role, Role::Operator);
    assert_eq!(house.sessions_of("ada").await.len(), 1);
    assert_eq!(house.users.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_taken_is_said_and_changes_nothing() {
    let house = House::new().await;
    let mut root = root(&house).await;
    house.signed_in("ada").await;
    for (name, fields, status) in [
        ("password", [("new_password", "short")], 422),
        ("role", [("role", "emperor")], 422),
        ("email", [("email", "no address")], 422),
        ("password", [("other", "x")], 400),
        ("fly", [("other", "x")], 404),
    ] {
        assert_eq!(act(&mut root, name, &fields).await.status, status, "{name}");
    }
    let page = root.get(USERS).await;
    for (user, role) in [("ada", "operator"), ("a b", "operator"), ("eve", "emperor")] {
        let seen = root
            .submit(&page, USERS, &[("user", user), ("role", role)])
            .await;
        assert_eq!(seen.status, 422, "{user} {role}");
    }
    assert_eq!(root.get("/.portcullis/users/nobody").await.status, 404);
    assert_eq!(house.sessions_of("ada").await.len(), 1);
    assert_eq!(house.users.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn nobody_acts_on_the_own_account_save_to_log_out() {
    let house = House::new().await;
    let mut root = root(&house).await;
    let own = "/.portcullis/users/root";
    let page = root.get(own).await;
    for act in ACTS.into_iter().filter(|act| *act != "logout-all") {
        let fields = [
            ("role", "operator"),
            ("new_password", "marble gondola seven"),
        ];
        let seen = root.submit(&page, &format!("{own}/{act}"), &fields).await;
        assert_eq!(seen.status, 409, "{act}");
    }
    assert_eq!(house.user("root").await.role, Role::Administrator);
    assert_eq!(house.sessions_of("root").await.len(), 1);
    let left = root.submit(&page, &format!("{own}/logout-all"), &[]).await;
    assert_eq!(left.status, 303, "{left:?}");
    assert!(house.sessions_of("root").await.is_empty());
}

#[tokio::test]
async fn somebody_new_gets_a_link_that_is_shown_once() {
    let house = House::new().await;
    let mut root = root(&house).await;
    let page = root.get(USERS).await;
    let fields = [("user", "Ada"), ("role", "operator"), ("email", "")];
    let seen = root.submit(&page, USERS, &fields).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    let first = link(&seen);
    assert!(!root.get(ADA).await.body.contains("setup?token="));
    let renewed = act(&mut root, "setup-link", &[]).await;
    let mut ada = house.browser();
    assert_ne!(ada.get(&first).await.status, 200, "the older link is dead");
    assert_eq!(ada.get(&link(&renewed)).await.status, 200);
}

fn link(seen: &Seen) -> String {
    let url = seen.between("id=\"setup-url\">", "<");
    let path = url.strip_prefix("https://gate.example:8443");
    path.unwrap_or_else(|| panic!("no link: {seen:?}"))
        .to_owned()
}

#[tokio::test]
async fn a_suggested_password_is_fresh_and_is_taken() {
    let house = House::new().await;
    let mut root = root(&house).await;
    house.signed_in("ada").await;
    let path = format!("{ADA}?suggest=1");
    let [one, other] = [root.get(&path).await, root.get(&path).await].map(|seen| {
        seen.between("type=\"text\" required value=\"", "\"")
            .to_owned()
    });
    assert_ne!(one, other);
    let set = act(&mut root, "password", &[("new_password", &one)]).await;
    assert_eq!(set.status, 200, "{set:?}");
    // Whoever is told that it is not certain does it again.
    let again = act(&mut root, "password", &[("new_password", &one)]).await;
    assert_eq!(again.status, 200, "{again:?}");
    act(&mut root, "password", &[("new_password", &other)]).await;
    let before = act(&mut root, "password", &[("new_password", &one)]).await;
    assert_eq!(before.status, 422, "used before: {before:?}");
}

#[tokio::test]
async fn people_are_found_disabled_and_removed() {
    let house = House::new().await;
    let mut root = root(&house).await;
    house.signed_in("ada").await;
    let found = root.get(&format!("{USERS}?q=OPERATOR")).await;
    assert!(found.body.contains("1 of 2 shown"), "{found:?}");
    assert!(
        found.body.contains("href=\"/.portcullis/users/ada\""),
        "{found:?}"
    );
    let none = root.get(&format!("{USERS}?q=%22%3E%3Cb%3E")).await;
    assert!(none.body.contains("0 of 2 shown") && !none.body.contains("\"><b>"));
    act(&mut root, "disable", &[]).await;
    assert!(house.user("ada").await.disabled);
    act(&mut root, "enable", &[]).await;
    assert!(!house.user("ada").await.disabled);
    let gone = act(&mut root, "remove", &[]).await;
    assert_eq!(gone.location(), "/.portcullis/users?done=user-removed");
    assert_eq!(root.get(ADA).await.status, 404);
}

#[tokio::test]
async fn the_audit_list_is_read_back_to_its_beginning() {
    let house = House::new().await;
    let mut root = root(&house).await;
    for at in 0..60 {
        house.invite(&format!("user{at}"), Role::Operator).await;
    }
    let newest = root.get("/.portcullis/audit").await;
    assert_eq!(newest.body.matches("<li>").count(), 50);
    assert!(newest.body.contains("user59") && !newest.body.contains("user-added · root"));
    let older = newest.between("href=\"/.portcullis/audit?before=", "\"");
    let oldest = root
        .get(&format!("/.portcullis/audit?before={older}"))
        .await;
    assert!(oldest.body.contains("user-added · root"), "{oldest:?}");
    assert!(!oldest.body.contains("?before="), "nothing is older");
}

#[tokio::test]
async fn who_is_locked_is_shown_until_a_new_password() {
    let house = House::new().await;
    let mut root = root(&house).await;
    house.signed_in("ada").await;
    let badge = ">locked</span>";
    assert!(!root.get(ADA).await.body.contains(badge));
    let failures = Failures {
        key: GuessKey::Name(house.store.name_tag("ada")),
        failed: 10,
        window_ends: Timestamp::from_millis(0),
        in_a_row: 100,
        locked: true,
    };
    house.store.keep_failures(&[failures]).await.unwrap();
    for path in [USERS, ADA] {
        assert!(root.get(path).await.body.contains(badge), "{path}");
    }
    let fields = [("new_password", "marble gondola seven")];
    assert_eq!(act(&mut root, "password", &fields).await.status, 200);
    assert!(!root.get(ADA).await.body.contains(badge));
}

#[tokio::test]
async fn administrators_come_from_their_networks_and_have_signed_in_lately() {
    let house = House::with(
        "administrators_from = [\"192.0.2.0/24\"]\nadministrators_reauthenticate = \"10m\"\n",
    )
    .await;
    house.signed_in("ada").await;
    let mut root = root(&house).await;
    let pages = [USERS, ADA, "/.portcullis/users?q=a", "/.portcullis/audit"];
    let posts: Vec<String> = ACTS.iter().map(|act| format!("{ADA}/{act}")).collect();
    let page = root.get(ADA).await;
    let fields = [
        ("name", "eve"),
        ("role", "administrator"),
        ("new_password", "marble gondola seven"),
    ];
    let untouched = async || {
        let ada = house.user("ada").await;
        assert!(
            house
                .store
                .user(&UserName::parse("eve").unwrap())
                .await
                .unwrap()
                .is_none()
        );
        (ada.role, ada.generation, ada.disabled)
    };
    let before = untouched().await;
    // From elsewhere, with the same session: each page and each post says why.
    root.client = "198.51.100.7";
    for page in pages {
        let seen = root.get(page).await;
        assert_eq!(seen.status, 403, "{page}");
        assert!(seen.body.contains("198.51.100.7"), "{}", seen.body);
    }
    for post in posts.iter().map(String::as_str).chain([USERS]) {
        let seen = root.submit(&page, post, &fields).await;
        assert_eq!(seen.status, 403, "{post}: {}", seen.body);
    }
    assert_eq!(root.get("/.portcullis/account").await.status, 200);
    // What is a person's own is not theirs.
    root.client = "192.0.2.9";
    assert_eq!(root.get(USERS).await.status, 200);
    // The sign-in is too long ago: to the login page and back, and nothing is done before.
    house.hand.advance(Duration::from_secs(10 * 60));
    for page in pages {
        let seen = root.get(page).await;
        assert_eq!(seen.status, 303, "{page}");
        let login = root.get(seen.location()).await;
        assert_eq!(login.status, 200, "it asks: {}", login.body);
        assert!(login.body.contains("fresh sign-in"), "{}", login.body);
    }
    for post in posts.iter().map(String::as_str).chain([USERS]) {
        let seen = root.submit(&page, post, &fields).await;
        assert_eq!(seen.status, 303, "{post}: {}", seen.body);
        assert!(seen.location().starts_with("/.portcullis/login"), "{post}");
    }
    assert_eq!(untouched().await, before);
    assert_eq!(root.get("/.portcullis/account").await.status, 200);
    // A user who may not manage users gets that answer, and is not asked to sign in again.
    let mut ada = house.signed_in("bob").await;
    house.hand.advance(Duration::from_secs(10 * 60));
    assert_eq!(ada.get(USERS).await.status, 403);
}
