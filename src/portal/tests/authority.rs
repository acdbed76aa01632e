//! What a session, a half sign-in or a link has asked for is done only while it lives: each act is
//! refused whose credential ended in the store between the head of the request and the change.
//!
//! A credential is ended here in the store alone. The table of this node still has the session, as it
//! does for a request that passed the head before the end was committed.

use super::browser::{Browser, House, PASSWORD, Seen, twice};
use super::journeys::set_up;
use crate::model::{Action, Actor, Event, Role};
use crate::store::change::{EndSession, RaiseGeneration};

const ACCOUNT: &str = "/.portcullis/account";
const USERS: &str = "/.portcullis/users";
const NEW: &str = "marble gondola seven";

/// Every post of a signed-in person but signing out.
const ACTS: [(&str, &[(&str, &str)]); 12] = [
    (
        "/.portcullis/account/password",
        &[
            ("current_password", PASSWORD),
            ("new_password", NEW),
            ("new_password_again", NEW),
        ],
    ),
    ("/.portcullis/account/logout-all", &[]),
    (USERS, &[("user", "eve"), ("role", "administrator")]),
    ("/.portcullis/users/ada/password", &[("new_password", NEW)]),
    ("/.portcullis/users/ada/logout-all", &[]),
    ("/.portcullis/users/ada/disable", &[]),
    ("/.portcullis/users/ada/enable", &[]),
    ("/.portcullis/users/ada/reset-second-factor", &[]),
    ("/.portcullis/users/ada/role", &[("role", "administrator")]),
    (
        "/.portcullis/users/ada/email",
        &[("email", "eve@example.org")],
    ),
    ("/.portcullis/users/ada/setup-link", &[]),
    ("/.portcullis/users/ada/remove", &[]),
];

fn event() -> Event {
    Event::general(Actor::Operator { uid: 0 }, Action::SessionEnded)
}

/// What there is in the store, and what was told of it.
async fn state(house: &House) -> String {
    let audit = house.store.audit(0, 1000).await.unwrap();
    format!("{:?} {:?}", house.store.people().await.unwrap(), audit)
}

async fn root(house: &House) -> Browser<'_> {
    let mut browser = house.browser();
    set_up(house, &mut browser, "root").await;
    browser
}

fn leads_to_login(seen: &Seen) -> bool {
    seen.status == 303 && seen.location().starts_with("/.portcullis/login")
}

/// How a session is over in the store, while this node still has it in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Ended,
    Revoked,
}

#[tokio::test]
async fn no_act_of_an_ended_session_is_done() {
    for over in [Over::Ended, Over::Revoked] {
        for (path, fields) in ACTS {
            let house = House::new().await;
            let mut root = root(&house).await;
            house.signed_in("ada").await;
            let is_mine = path.starts_with(ACCOUNT);
            let page = root.get(if is_mine { ACCOUNT } else { USERS }).await;
            let session = house.sessions_of("root").await.remove(0);
            match over {
                Over::Ended => {
                    let token = session.token_hash();
                    let end = EndSession { token };
                    house.store.commit(end, event()).await.map(drop).unwrap();
                }
                Over::Revoked => {
                    let user = session.user().id;
                    let raise = RaiseGeneration { user };
                    house.store.commit(raise, event()).await.map(drop).unwrap();
                }
            }
            let before = state(&house).await;
            let seen = root.submit(&page, path, fields).await;
            // "enable" asks for nothing: ada is enabled.
            let asks = !path.ends_with("/enable");
            assert_eq!(leads_to_login(&seen), asks, "{over:?} {path}: {seen:?}");
            assert_eq!(state(&house).await, before, "{over:?} {path}");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_ends_no_other_and_may_sign_out_twice() {
    let house = House::new().await;
    let mut ada = house.signed_in("ada").await;
    let page = ada.get(ACCOUNT).await;
    let mut phone = house.browser();
    let login = phone.get("/.portcullis/login").await;
    let fields = [("user", "ada"), ("password", PASSWORD)];
    phone.submit(&login, "/.portcullis/login", &fields).await;
    let sessions = house.sessions_of("ada").await;
    let (mine, other): (Vec<_>, Vec<_>) = sessions
        .iter()
        .partition(|session| ada.shows(session.token_hash()));
    let token = mine[0].token_hash();
    house
        .store
        .commit(EndSession { token }, event())
        .await
        .map(drop)
        .unwrap();
    let path = format!("{ACCOUNT}/sessions/{}/end", other[0].id());
    let seen = ada.submit(&page, &path, &[]).await;
    assert!(leads_to_login(&seen), "{seen:?}");
    assert_eq!(
        house
            .store
            .person(&other[0].user().name)
            .await
            .unwrap()
            .unwrap()
            .sessions,
        1
    );
    let seen = ada.submit(&page, "/.portcullis/logout", &[]).await;
    assert_eq!(
        seen.location(),
        "/.portcullis/login?done=logged-out",
        "{seen:?}"
    );
}

#[tokio::test]
async fn the_limits_of_a_session_are_asked_in_the_transaction() {
    let house = House::new().await;
    let mut root = root(&house).await;
    house.signed_in("ada").await;
    let page = root.get(USERS).await;
    let session = house.sessions_of("root").await.remove(0);
    let actor = session.actor("192.0.2.7".parse().unwrap());
    let edit = |role| crate::users::Edit {
        role: Some(role),
        ..Default::default()
    };
    for (after, role, is_done) in [
        (29 * 60, Role::Manager, true),
        (31 * 60, Role::Administrator, false),
    ] {
        house.hand.advance(std::time::Duration::from_secs(after));
        let name = house.user("ada").await.name;
        let done = house.users.edit(&name, edit(role), actor.clone()).await;
        let told = format!("{done:?}");
        let is = done.tell(|_| true, |_| false, |_| false);
        assert_eq!(is, is_done, "{after}: {told}");
    }
    assert_eq!(root.submit(&page, USERS, &[]).await.status, 303);
}

#[tokio::test]
async fn a_half_sign_in_that_is_over_becomes_no_session() {
    let house = House::new().await;
    let mut browser = house.browser();
    let (secret, _) = set_up(&house, &mut browser, "root").await;
    let mut second = house.browser();
    let login = second.get("/.portcullis/login").await;
    let fields = [("user", "root"), ("password", PASSWORD)];
    second.submit(&login, "/.portcullis/login", &fields).await;
    let page = second.get("/.portcullis/second-factor").await;
    let user = house.user("root").await.id;
    house
        .store
        .commit(RaiseGeneration { user }, event())
        .await
        .map(drop)
        .unwrap();
    let before = state(&house).await;
    let code = house.code(&secret);
    let seen = second
        .submit(&page, "/.portcullis/second-factor", &[("code", &code)])
        .await;
    assert!(leads_to_login(&seen), "{seen:?}");
    assert_eq!(state(&house).await, before);
}
#[tokio::test]
async fn a_link_that_is_over_sets_no_password() {
    let house = House::new().await;
    let link = house.invite("ada", Role::Operator).await;
    let mut browser = house.browser();
    let page = browser.get(&link).await;
    let user = house.user("ada").await.id;
    house
        .store
        .commit(RaiseGeneration { user }, event())
        .await
        .map(drop)
        .unwrap();
    let before = house.store.people().await.unwrap();
    let seen = browser.submit(&page, &link, &twice(PASSWORD)).await;
    assert_eq!(seen.status, 404, "{seen:?}");
    let after = house.store.people().await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
}
