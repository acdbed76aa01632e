//! People over a real store.

use std::path::Path;
use std::time::Duration;

use super::{Changed, Edit, Users, UsersError};
use crate::clock::{Clock, Hand, Timestamp};
use crate::cluster::Cluster;
use crate::config::{Config, Live};
use crate::credentials::password::Passwords;
use crate::login::{Login, Next, Origin, ShownDevice};
use crate::model::{Actor, ClientAddress, Role, UserName};
use crate::revoke::Revoker;
use crate::secret::Secret;
use crate::session::Sessions;
use crate::shutdown::Shutdown;
use crate::store::Store;

struct House {
    _folder: tempfile::TempDir,
    users: Users,
    sessions: Sessions,
    hand: Hand,
    passwords: Passwords,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let text = "[second_factor]\nrequired = [\"administrator\"]\n[[panel]]\nupstream = \"http://127.0.0.1:1\"";
    let config = Live::new(Config::parse(text, Path::new("test.toml")).unwrap());
    let store = Store::open(folder.path(), clock.clone()).await.unwrap();
    let sessions = Sessions::new(config.now().session, clock.clone());
    let revoker = Revoker::new(
        store.clone(),
        sessions.clone(),
        Cluster::alone(),
        Shutdown::new(),
    );
    let passwords = Passwords::with_costs(64, 1).unwrap();
    let login = Login::new(
        store.clone(),
        sessions.clone(),
        Cluster::alone(),
        passwords.clone(),
        config.clone(),
        clock.clone(),
    );
    let users = Users::new(store, revoker, login, passwords.clone(), config, clock);
    House {
        _folder: folder,
        users,
        sessions,
        hand,
        passwords,
    }
}

impl House {
    async fn add(&self, name: &str, role: Role) -> String {
        let added = self
            .users
            .add(
                UserName::parse(name).unwrap(),
                role,
                None,
                Actor::Operator { uid: 0 },
            )
            .await;
        added.unwrap().1.token.expose().clone()
    }

    async fn set_up(&self, token: &str, password: &str) -> Result<Next, UsersError> {
        let set = self.users.set_up(token, secret(password), &from()).await;
        result(set).map(|next| next.unwrap())
    }
}

/// What was done, or why it was not; all is certain here.
fn result<T>(changed: Changed<T>) -> Result<T, UsersError> {
    changed.tell(Ok, Err, |doubt| panic!("not certain: {doubt}"))
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn from() -> Origin {
    Origin {
        address: ClientAddress::Known("192.0.2.1".parse().unwrap()),
        device: "curl".to_owned(),
        replaces: None,
        half: None,
        shown: ShownDevice::default(),
    }
}

#[tokio::test]
async fn a_link_sets_one_password_and_leads_on() {
    let house = house().await;
    let link = house.add("ada", Role::Administrator).await;
    assert_eq!(
        house.users.setup_user(&link).await.unwrap().name.as_str(),
        "ada"
    );
    let short = house.set_up(&link, "short").await;
    assert!(
        matches!(short, Err(UsersError::Weak(_))),
        "and the link is not spent by it"
    );
    let (one, two) = tokio::join!(
        house.set_up(&link, "plum tractor elbow"),
        house.set_up(&link, "elbow tractor plum"),
    );
    let won = [one, two]
        .into_iter()
        .filter(|outcome| matches!(outcome, Ok(Next::Enrol(_))))
        .count();
    assert_eq!(won, 1);
    assert!(matches!(
        house.users.setup_user(&link).await,
        Err(UsersError::LinkSpent)
    ));
}

#[tokio::test]
async fn a_link_dies_with_a_newer_one_and_after_a_day() {
    let house = house().await;
    let first = house.add("ada", Role::Operator).await;
    let ada = house.users.setup_user(&first).await.unwrap();
    let second = house
        .users
        .renew_setup_link(&ada, Actor::Operator { uid: 0 })
        .await
        .unwrap();
    assert!(matches!(
        house.users.setup_user(&first).await,
        Err(UsersError::LinkSpent)
    ));
    house.hand.advance(Duration::from_secs(24 * 60 * 60));
    let late = house
        .set_up(second.token.expose(), "plum tractor elbow")
        .await;
    assert!(matches!(late, Err(UsersError::LinkSpent)));
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let house = house().await;
    house.add("ada", Role::Operator).await;
    let again = house
        .users
        .add(
            UserName::parse("Ada").unwrap(),
            Role::Manager,
            None,
            Actor::Operator { uid: 0 },
        )
        .await;
    assert!(matches!(result(again), Err(UsersError::NameTaken)));
}

#[tokio::test]
async fn ones_own_password_takes_the_current_one_and_ends_every_session() {
    let house = house().await;
    let link = house.add("ada", Role::Operator).await;
    let Next::SignedIn(new) = house.set_up(&link, "plum tractor elbow").await.unwrap() else {
        panic!("operators need no second factor here");
    };
    let change = |current: &'static str, next: &'static str| {
        let (users, session) = (house.users.clone(), new.session.clone());
        async move {
            let from = "192.0.2.1".parse().unwrap();
            let changed = users.change_own_password(&session, secret(current), secret(next), from);
            result(changed.await)
        }
    };
    let wrong = change("tractor plum elbow", "elbow plum tractor").await;
    assert!(matches!(wrong, Err(UsersError::WrongPassword)));
    let same = change("plum tractor elbow", "plum tractor elbow").await;
    assert!(matches!(same, Err(UsersError::SamePassword)));
    // Without a second factor a password needs fifteen characters.
    let short = change("plum tractor elbow", "elbow tractor").await;
    assert!(matches!(short, Err(UsersError::Weak(_))));
    let outcome = change("plum tractor elbow", "elbow plum tractor")
        .await
        .unwrap();
    assert_eq!(outcome.sessions_ended, 1);
    assert_eq!(house.sessions.count(), 0);
    let late = change("elbow plum tractor", "tractor elbow plum").await;
    assert!(
        late.is_err(),
        "the session has ended, so it changes nothing"
    );
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn disabled(disabled: bool) -> Edit {
    Edit {
        disabled: Some(disabled),
        ..Edit::default()
    }
}

fn role(role: Role) -> Edit {
    Edit {
        role: Some(role),
        ..Edit::default()
    }
}

#[tokio::test]
async fn every_change_of_an_account_ends_its_sessions_and_no_change_ends_none() {
    let house = house().await;
    let email = |email: Option<&str>| Edit {
        email: Some(email.map(str::to_owned)),
        ..Edit::default()
    };
    let link = house.add("ada", Role::Operator).await;
    house.set_up(&link, "a plum in the tractor").await.unwrap();
    let ada = name("ada");
    for edit in [
        role(Role::Manager),
        email(Some("ada@example.org")),
        email(None),
        disabled(true),
        disabled(false),
    ] {
        let before = house.users.person(&ada).await.unwrap();
        let again = edit.clone();
        let done = house
            .users
            .edit(&ada, edit, Actor::Operator { uid: 0 })
            .await
            .unwrap();
        let person = done.person;
        let done = done.ended.expect("something changed");
        let after = house.users.person(&ada).await.unwrap().user;
        assert_eq!(
            (person.user.role, &person.user.email, person.user.disabled),
            (after.role, &after.email, after.disabled),
            "told from the change itself"
        );
        let after = after.generation;
        assert_ne!(after, before.user.generation);
        assert_eq!(done.generation, Some(after));
        assert_eq!(done.sessions_ended, before.sessions);
        let done = house
            .users
            .edit(&ada, again, Actor::Operator { uid: 0 })
            .await;
        assert!(done.unwrap().ended.is_none(), "it was so already");
    }
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let house = house().await;
    let link = house.add("ada", Role::Administrator).await;
    // Nobody can manage users yet, so nothing is lost.
    let ada = name("ada");
    for edit in [disabled(true), disabled(false)] {
        house
            .users
            .edit(&ada, edit, Actor::Operator { uid: 0 })
            .await
            .unwrap();
    }
    // A change of the account ends the link, too.
    let over = house.set_up(&link, "plum tractor elbow").await;
    assert!(matches!(over, Err(UsersError::LinkSpent)));
    let user = house.users.person(&ada).await.unwrap().user;
    let by = Actor::Operator { uid: 0 };
    let link = house.users.renew_setup_link(&user, by).await.unwrap();
    let link = link.token.expose();
    house.set_up(link, "plum tractor elbow").await.unwrap();
    let refused = |done: Changed<()>| {
        assert!(matches!(result(done), Err(UsersError::LastAdministrator)));
    };
    let by = || Actor::Operator { uid: 0 };
    for change in [disabled(true), role(Role::Manager)] {
        let edited = house.users.edit(&ada, change, by()).await;
        refused(edited.map_done(drop));
    }
    refused(house.users.remove(&ada, by()).await.map_done(drop));
    let person = house.users.person(&ada).await.unwrap();
    assert!(!person.user.disabled && person.user.role == Role::Administrator);

    // One who has yet to set a password can't manage anybody.
    let link = house.add("bob", Role::Administrator).await;
    refused(
        house
            .users
            .remove(&ada, Actor::Operator { uid: 0 })
            .await
            .map_done(drop),
    );
    house.set_up(&link, "elbow tractor plum").await.unwrap();
    house
        .users
        .remove(&ada, Actor::Operator { uid: 0 })
        .await
        .unwrap();
    let gone = house.users.person(&ada).await;
    assert!(matches!(gone, Err(UsersError::Unknown)));
}

#[tokio::test]
async fn two_administrators_who_remove_each_other_leave_one() {
    let house = house().await;
    for (name, password) in [("ada", "plum tractor elbow"), ("bob", "elbow tractor plum")] {
        let link = house.add(name, Role::Administrator).await;
        house.set_up(&link, password).await.unwrap();
    }
    let (ada, bob) = (name("ada"), name("bob"));
    let (one, two) = tokio::join!(
        house.users.remove(&ada, Actor::Operator { uid: 0 }),
        house
            .users
            .edit(&bob, disabled(true), Actor::Operator { uid: 0 }),
    );
    assert!(result(one).is_ok() != result(two).is_ok());
}

#[tokio::test]
async fn the_last_passwords_are_not_taken_again() {
    let house = house().await;
    let link = house.add("ada", Role::Administrator).await;
    let first = "plum tractor elbow";
    house.set_up(&link, first).await.unwrap();
    let ada = name("ada");
    let set = async |password: &str| {
        let set = house
            .users
            .set_password(&ada, secret(password), Actor::Operator { uid: 0 });
        result(set.await)
    };
    // A call whose answer was lost is made again, and is no other password.
    set(first).await.unwrap();
    set("garden 0 ladder moss").await.unwrap();
    set("garden 0 ladder moss").await.unwrap();
    for number in 1..9 {
        let refused = set(first).await;
        assert!(
            matches!(refused, Err(UsersError::UsedBefore(10))),
            "{number}"
        );
        set(&format!("garden {number} ladder moss")).await.unwrap();
    }
    assert!(matches!(set(first).await, Err(UsersError::UsedBefore(10))));
    set("the one that pushes it out").await.unwrap();
    set(first).await.unwrap();
}

#[tokio::test]
async fn without_a_second_factor_the_next_sign_in_enrols_anew() {
    let house = house().await;
    let link = house.add("ada", Role::Administrator).await;
    house.set_up(&link, "plum tractor elbow").await.unwrap();
    let ada = name("ada");
    let before = house.users.person(&ada).await.unwrap().user.generation;
    let done = house
        .users
        .reset_second_factor(&ada, Actor::Operator { uid: 0 })
        .await;
    assert_ne!(done.unwrap().generation, Some(before));
    let login = &house.users.0.login;
    let signed = login
        .with_password("ada", secret("plum tractor elbow"), &from())
        .await;
    assert!(matches!(signed, Ok(Next::Enrol(_))));
}

mod hashes;
