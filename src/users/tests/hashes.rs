//! What costs a hash, and what is judged before one is begun.

use super::*;
use crate::model::{Action, Event, Scope};

const PASSWORD: &str = "plum tractor elbow";
const OTHER: &str = "elbow tractor plum";

fn operator() -> Actor {
    Actor::Operator { uid: 0 }
}

/// A token that was removed since its call was let in.
fn former_token() -> Actor {
    Actor::Token {
        name: "script".to_owned(),
        hash: [7; 32],
        scope: Scope::Users,
    }
}

impl House {
    /// How many hashes an act begins, and what became of it.
    async fn costs<T>(&self, act: impl Future<Output = T>) -> (u64, T) {
        let before = self.passwords.begun();
        let done = act.await;
        (self.passwords.begun() - before, done)
    }
}

/// Longer than any password, and three that the policy refuses.
fn weak() -> [String; 4] {
    let short = ["short", "password1234567", "ada ada ada ada 2024"];
    let [one, two, three] = short.map(str::to_owned);
    [one, two, three, "plum ".repeat(300)]
}

#[tokio::test]
async fn a_password_that_is_set_for_somebody_is_judged_before_it_is_hashed() {
    let house = house().await;
    house.add("ada", Role::Operator).await;
    let ada = name("ada");
    let set = |password: &str, actor| house.users.set_password(&ada, secret(password), actor);
    for password in weak() {
        let (hashes, set) = house.costs(set(&password, operator())).await;
        assert!(
            matches!(result(set), Err(UsersError::Weak(_))),
            "{password}"
        );
        assert_eq!(hashes, 0, "{password}");
    }
    let (hashes, set) = house.costs(set(OTHER, former_token())).await;
    assert!(result(set).is_err() && hashes == 0);
    let nobody = name("nobody");
    let unknown = house.users.set_password(&nobody, secret(OTHER), operator());
    let (hashes, unknown) = house.costs(unknown).await;
    assert!(matches!(result(unknown), Err(UsersError::Unknown)));
    assert_eq!(hashes, 0);
}

#[tokio::test]
async fn a_new_user_is_judged_before_the_password_is_hashed() {
    let house = house().await;
    house.add("ada", Role::Operator).await;
    let add = |who: &str, password: &str, actor| {
        let password = secret(password);
        let users = &house.users;
        users.add_with_password(name(who), Role::Operator, None, password, actor)
    };
    for password in weak() {
        let (hashes, added) = house.costs(add("bob", &password, operator())).await;
        assert!(result(added).is_err() && hashes == 0, "{password}");
    }
    let (hashes, taken) = house.costs(add("ada", OTHER, operator())).await;
    assert!(matches!(result(taken), Err(UsersError::NameTaken)));
    assert_eq!(hashes, 0);
    let (hashes, added) = house.costs(add("bob", OTHER, former_token())).await;
    assert!(result(added).is_err() && hashes == 0);
}

#[tokio::test]
async fn ones_own_new_password_is_judged_before_the_current_one_is_checked() {
    let house = house().await;
    let link = house.add("ada", Role::Operator).await;
    let Next::SignedIn(new) = house.set_up(&link, PASSWORD).await.unwrap() else {
        panic!("operators need no second factor here");
    };
    let change = |current: &str, next: &str| {
        let (current, next) = (secret(current), secret(next));
        let from = "192.0.2.1".parse().unwrap();
        let users = &house.users;
        users.change_own_password(&new.session, current, next, from)
    };
    for password in weak() {
        let (hashes, changed) = house.costs(change(PASSWORD, &password)).await;
        assert!(
            matches!(result(changed), Err(UsersError::Weak(_))),
            "{password}"
        );
        assert_eq!(hashes, 0, "{password}");
    }
    for same in [PASSWORD, "plum\u{a0}tractor elbow"] {
        let (hashes, changed) = house.costs(change(PASSWORD, same)).await;
        assert!(matches!(result(changed), Err(UsersError::SamePassword)));
        assert_eq!(hashes, 0);
    }
    let (hashes, wrong) = house.costs(change("tractor plum elbow", OTHER)).await;
    assert!(matches!(result(wrong), Err(UsersError::WrongPassword)));
    assert_eq!(
        hashes, 1,
        "a wrong current password is held against no former ones"
    );
    let edited = house
        .users
        .edit(&name("ada"), disabled(true), operator())
        .await;
    edited.unwrap();
    let (hashes, late) = house.costs(change(PASSWORD, OTHER)).await;
    assert!(matches!(result(late), Err(UsersError::ActorEnded)));
    assert_eq!(hashes, 0);
}

#[tokio::test]
async fn a_link_and_its_password_are_judged_before_it_is_hashed() {
    let house = house().await;
    let link = house.add("ada", Role::Operator).await;
    for password in weak() {
        let (hashes, set) = house.costs(house.set_up(&link, &password)).await;
        assert!(
            matches!(set, Err(UsersError::Weak(_))) && hashes == 0,
            "{password}"
        );
    }
    house.set_up(&link, PASSWORD).await.unwrap();
    let (hashes, spent) = house.costs(house.set_up(&link, OTHER)).await;
    assert!(matches!(spent, Err(UsersError::LinkSpent)) && hashes == 0);
    let user = house.users.person(&name("ada")).await.unwrap().user;
    let link = house
        .users
        .renew_setup_link(&user, operator())
        .await
        .unwrap();
    let edited = house
        .users
        .edit(&name("ada"), disabled(true), operator())
        .await;
    edited.unwrap();
    let (hashes, late) = house.costs(house.set_up(link.token.expose(), OTHER)).await;
    assert!(matches!(late, Err(UsersError::LinkSpent)) && hashes == 0);
}

#[tokio::test]
async fn a_sign_in_costs_one_hash_whoever_is_named() {
    let house = house().await;
    let link = house.add("ada", Role::Operator).await;
    house.set_up(&link, PASSWORD).await.unwrap();
    house.add("bob", Role::Operator).await;
    let link = house.add("cora", Role::Operator).await;
    house.set_up(&link, PASSWORD).await.unwrap();
    let edited = house
        .users
        .edit(&name("cora"), disabled(true), operator())
        .await;
    edited.unwrap();
    let login = &house.users.0.login;
    for (who, password, is_right) in [
        ("ada", PASSWORD, true),
        ("ada", OTHER, false),
        ("nobody", OTHER, false),
        ("no name", OTHER, false),
        ("bob", OTHER, false),
        ("cora", PASSWORD, false),
    ] {
        let from = from();
        let signing_in = login.with_password(who, secret(password), &from);
        let (hashes, signed_in) = house.costs(signing_in).await;
        assert_eq!((signed_in.is_ok(), hashes), (is_right, 1), "{who}");
    }
}

#[tokio::test]
async fn a_new_password_is_compared_with_all_former_ones_side_by_side() {
    let house = house().await;
    let link = house.add("ada", Role::Administrator).await;
    house.set_up(&link, PASSWORD).await.unwrap();
    let ada = name("ada");
    let set = |password: &str| house.users.set_password(&ada, secret(password), operator());
    for number in 0..11 {
        let (hashes, done) = house
            .costs(set(&format!("garden {number} ladder moss")))
            .await;
        done.unwrap();
        // The current one, up to nine before it, and the new one itself.
        assert_eq!(hashes, 1 + number.min(9) + 1);
    }

    let held = house.passwords.stop().await;
    let before = house.passwords.queue();
    let setting = set("a quiet violet pier");
    let watching = async {
        while house.passwords.queue() < before + 11 {
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let (done, ()) = tokio::join!(setting, watching);
    done.unwrap();

    // The newest is compared first, and the rest is left when it is the one.
    let (hashes, again) = house.costs(set("garden 10 ladder moss")).await;
    assert!(matches!(result(again), Err(UsersError::UsedBefore(10))));
    assert!(hashes <= 11, "{hashes}");
}

#[tokio::test]
async fn ending_sessions_waits_for_no_hash() {
    let house = house().await;
    let link = house.add("ada", Role::Operator).await;
    house.set_up(&link, PASSWORD).await.unwrap();
    let ada = name("ada");
    let held = house.passwords.stop().await;
    let before = house.passwords.queue();
    let users = &house.users;
    let setting = users.set_password(&ada, secret(OTHER), operator());
    let event = Event::about(operator(), Action::SessionsEnded, &ada);
    let ending = async {
        while house.passwords.queue() == before {
            tokio::task::yield_now().await;
        }
        let begun = house.passwords.begun();
        let ended = users.end_sessions(&ada, event).await.unwrap();
        assert_eq!(ended.sessions_ended, 1);
        let edited = users.edit(&ada, role(Role::Manager), operator()).await;
        edited.unwrap();
        let reset = users.reset_second_factor(&ada, operator()).await;
        reset.unwrap();
        users.remove(&ada, operator()).await.unwrap();
        assert_eq!(house.passwords.begun(), begun);
        drop(held);
    };
    let (set, ()) = tokio::join!(setting, ending);
    assert!(result(set).is_err(), "the user is gone");
}
