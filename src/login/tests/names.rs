//! What a stranger learns of a name by guessing: nothing.

use super::throttle::{QUARTER, at, is_throttled};
use super::*;
use crate::store::GuessKey;
use crate::store::change::RemoveUser;

/// What a stranger learns of a name in one trial.
async fn observed(house: &House, name: &str, wrong: u32) -> Vec<String> {
    let mut seen = Vec::new();
    let mut login = house.login.clone();
    for number in 0..wrong {
        // From another address each, so that those do not count; restarted in the middle.
        let from = at(&format!("2001:db8:{:x}::1", number + 1));
        if number == wrong / 2 {
            login = house.restarted().await;
        }
        let answer = login.with_password(name, secret("elbow tractor plum"), &from);
        seen.push(format!("{:?}", answer.await.err()));
        if number % 10 == 9 {
            house.hand.advance(QUARTER);
        }
    }
    login.write_counts().await;
    seen
}

#[tokio::test]
async fn no_name_is_told_apart_by_its_counts() {
    let mut first = None;
    for name in ["ada", "zoe", "nobody", "A DA", "ada\u{301}", "", "ａｄａ"] {
        let house = House::new("false").await;
        house.user("ada").await;
        let seen = observed(&house, name, 32).await;
        let refused = seen.iter().filter(|one| one.contains("Refused")).count();
        assert_eq!(refused, 25, "{name}: {seen:?}");
        assert_eq!(first.get_or_insert(seen.clone()), &seen, "{name}");
        // After the last restart a row goes on for all of them.
        let login = house.restarted().await;
        house.hand.advance(4 * QUARTER);
        let later = login.with_password(name, secret(PASSWORD), &from()).await;
        assert!(is_throttled(&later), "{name}: {later:?}");
    }
}

#[tokio::test]
async fn spellings_of_one_name_are_counted_as_one() {
    for user in ["ada", "somebody-else"] {
        let house = House::new("false").await;
        house.user(user).await;
        for name in ["ada", "ADA", " Ada\t", "\u{200b}aDa\u{feff}", "ada"].repeat(2) {
            house.fails(name, &from()).await;
        }
        assert!(
            house.is_told_to_wait("ada", &from()).await.is_some(),
            "{user}"
        );
    }
}

#[tokio::test]
async fn a_count_is_the_same_before_there_is_a_user_and_after_there_was_one() {
    let house = House::new("false").await;
    let ada = house.user("ada").await;
    for _ in 0..10 {
        house.fails("ada", &from()).await;
    }
    let remove = RemoveUser { user: ada.id };
    house.user("root").await;
    house.store.commit(remove, event()).await.unwrap();
    assert!(house.is_told_to_wait("ada", &from()).await.is_some());
}

#[tokio::test]
async fn rows_of_names_that_no_user_has_end_as_if_somebody_signed_in() {
    let house = House::new("false").await;
    house.user("ada").await;
    let mut names: Vec<String> = (0..60).map(|number| format!("name{number}")).collect();
    names.push("ada".to_owned());
    for (number, name) in names.iter().enumerate() {
        for round in 0..25 {
            let from = at(&format!("2001:db8:{number:x}:{round:x}::1"));
            house.fails(name, &from).await;
            if round % 10 == 9 {
                house.hand.advance(QUARTER);
            }
        }
    }
    house.login.write_counts().await;
    let step = Duration::from_secs(5 * 60);
    for _ in 0..14 * 24 * 12 {
        let before = house.clock.now();
        house.hand.advance(step);
        house.login.let_decoys_in(before, house.clock.now()).await;
    }
    let mut let_in = 0;
    for name in &names {
        let is_free = house.is_told_to_wait(name, &from()).await.is_none();
        assert!(!is_free || name != "ada", "there is a user of this name");
        let_in += u32::from(is_free);
    }
    assert!((30..60).contains(&let_in), "{let_in} of 60");
    house.login.write_counts().await;
    let kept = house.store.failures().await.unwrap();
    let locked = |name: &str| {
        let key = GuessKey::Name(house.store.name_tag(name));
        kept.iter().any(|one| one.key == key && one.locked)
    };
    assert!(locked("ada"));
}
