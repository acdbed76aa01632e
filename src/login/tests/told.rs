//! Failed sign-ins in the audit list.

use super::throttle::{QUARTER, at};
use super::*;
use crate::store::change::EditUser;

impl House {
    /// What the audit list says of failures: action, subject, detail.
    async fn told(&self) -> Vec<(String, Option<String>, String)> {
        let mut list = self.store.audit(0, 1000).await.unwrap();
        list.retain(|entry| ["sign-in-failed", "guessing"].contains(&entry.action.as_str()));
        let told = list
            .into_iter()
            .map(|entry| (entry.action, entry.subject, entry.detail));
        told.collect()
    }
}

#[tokio::test]
async fn a_run_of_failures_is_told_in_one_entry_with_its_number() {
    let house = House::new("true").await;
    house.enrolled("ada").await;
    let attacker = at("198.51.100.7");
    for _ in 0..12 {
        let wrong = secret("elbow tractor plum");
        let _ = house.login.with_password("ada", wrong, &attacker).await;
    }
    for name in ["nobody", "Correct-Horse 7 battery", "nobody"] {
        house.fails(name, &attacker).await;
    }
    house.login.write_failures(false).await;
    house.login.write_failures(false).await;
    let tag = house.store.pseudonym("nobody");
    let of_ada = Some("ada".to_owned());
    let told = house.told().await;
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!((&told[0].0[..], &told[0].1), ("sign-in-failed", &of_ada));
    for part in ["a wrong password", "10 so far", "198.51.100.7"] {
        assert!(told[0].2.contains(part), "{told:?}");
    }
    assert_eq!((&told[1].0[..], &told[1].1), ("guessing", &of_ada));
    assert_eq!((&told[2].0[..], &told[2].1), ("sign-in-failed", &None));
    assert!(told[2].2.contains(&format!("~{tag}")), "{told:?}");
    for (_, _, detail) in &told {
        let shown = ["nobody", "orrect", "orse", "attery"].map(|part| detail.contains(part));
        assert_eq!(shown, [false; 4], "{detail}");
    }
    // The number of what followed, when the run is over.
    for _ in 0..3 {
        house.fails("somebody", &attacker).await;
    }
    house.hand.advance(QUARTER);
    house.login.write_failures(false).await;
    let told = house.told().await;
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[3].2.contains("6 in all"), "{told:?}");
}

#[tokio::test]
async fn a_right_password_that_lets_nobody_in_is_told() {
    let house = House::new("true").await;
    let (ada, _, _) = house.enrolled("ada").await;
    let attacker = at("198.51.100.7");
    // A right password and a wrong code; the right one of somebody who may not.
    house.next_step();
    let half = house.half("ada").await;
    let wrong = house
        .login
        .with_code(half.cookie_value(), "000000", &attacker);
    assert!(matches!(wrong.await, Err(SignInError::WrongCode)));
    let disable = EditUser {
        user: ada.id,
        role: None,
        email: None,
        disabled: Some(true),
    };
    house.user("root").await;
    house.store.commit(disable, event()).await.unwrap();
    let refused = house
        .login
        .with_password("ada", secret(PASSWORD), &attacker);
    assert!(matches!(refused.await, Err(SignInError::Refused)));
    house.login.write_failures(true).await;
    let told = house.told().await;
    let words = ["a right password and a wrong code", "a disabled account"];
    for word in words {
        let found = told.iter().filter(|entry| entry.2.contains(word));
        assert_eq!(found.count(), 1, "{word}: {told:?}");
    }
}

#[tokio::test]
async fn no_flood_of_names_and_addresses_fills_the_audit_list() {
    let house = House::new("false").await;
    house.user("ada").await;
    for number in 0..300_u32 {
        let from = at(&format!("2001:db8:{number:x}::1"));
        house.fails(&format!("name{number}"), &from).await;
    }
    // What is told of others does not hide what is tried with a user.
    house.fails("ada", &from()).await;
    house.login.write_failures(true).await;
    let told = house.told().await;
    assert_eq!(told.len(), 61);
    assert_eq!(told[60].1.as_deref(), Some("ada"));
}
