//! Browsers in which somebody has signed in before.

use super::throttle::{QUARTER, at, is_throttled};
use super::*;

impl House {
    /// A whole sign-in with the password alone, in the browser that shows `device`; what it shows then.
    async fn known(&self, name: &str, host: &str) -> ShownDevice {
        let from = Origin {
            shown: ShownDevice {
                cookie: None,
                host: host.to_owned(),
            },
            ..from()
        };
        let next = self.login.with_password(name, secret(PASSWORD), &from);
        let Ok(Next::SignedIn(new)) = next.await else {
            panic!("the password is right");
        };
        ShownDevice {
            cookie: Some(new.device),
            host: host.to_owned(),
        }
    }
}

fn with(shown: &ShownDevice) -> Origin {
    Origin {
        shown: shown.clone(),
        ..from()
    }
}

#[tokio::test]
async fn strangers_do_not_keep_a_known_device_out() {
    let house = House::new("false").await;
    house.user("ada").await;
    house.user("bob").await;
    let hers = house.known("ada", "gate.example").await;
    let his = house.known("bob", "gate.example").await;
    for _ in 0..3 {
        for number in 0..10 {
            house.fails("ada", &at(&format!("192.0.2.{number}"))).await;
        }
        house.hand.advance(QUARTER);
    }
    for login in [house.login.clone(), house.restarted().await] {
        let by = async |shown: &ShownDevice| {
            let from = with(shown);
            let answer = login.with_password("ada", secret(PASSWORD), &from);
            answer.await.is_ok()
        };
        let elsewhere = ShownDevice {
            host: "wiki.example".to_owned(),
            ..hers.clone()
        };
        let cut = hers.cookie.as_ref().unwrap().expose();
        let tampered = ShownDevice {
            cookie: Some(secret(&cut[..cut.len() - 2])),
            ..hers.clone()
        };
        for no_hint in [&ShownDevice::default(), &his, &elsewhere, &tampered] {
            assert!(!by(no_hint).await, "{no_hint:?}");
        }
        assert!(by(&hers).await, "her own browser");
        // That ended the row, as a whole sign-in does.
        for _ in 0..3 {
            for number in 0..10 {
                let from = at(&format!("198.51.100.{number}"));
                let wrong = secret("elbow tractor plum");
                let _ = login.with_password("ada", wrong, &from).await;
            }
            house.hand.advance(QUARTER);
        }
        login.write_counts().await;
    }
}

#[tokio::test]
async fn a_stolen_device_cookie_gives_ten_guesses_a_day_and_holds_up_nobody() {
    let house = House::new("false").await;
    let ada = house.user("ada").await;
    let stolen = house.known("ada", "").await;
    let hers = house.known("ada", "").await;
    let far = |number: u32| Origin {
        shown: stolen.clone(),
        ..at(&format!("2001:db8:{number:x}::1"))
    };
    let mut refused = 0;
    for number in 0..40 {
        let wrong = secret("elbow tractor plum");
        let answer = house.login.with_password("ada", wrong, &far(number)).await;
        refused += u32::from(matches!(answer, Err(SignInError::Refused)));
    }
    assert_eq!(refused, 20, "its own ten, and those of any stranger");
    let login = house.restarted().await;
    house.hand.advance(QUARTER);
    for number in 40..80 {
        let wrong = secret("elbow tractor plum");
        let answer = login.with_password("ada", wrong, &far(number)).await;
        refused += u32::from(matches!(answer, Err(SignInError::Refused)));
    }
    assert_eq!(refused, 30, "its own are used up for the day");
    let here = with(&hers);
    let right = login.with_password("ada", secret(PASSWORD), &here);
    assert!(right.await.is_ok(), "another device of hers");
    // Whatever ends the sessions ends the hint.
    for _ in 0..10 {
        house.fails("ada", &at("198.51.100.1")).await;
    }
    let raise = RaiseGeneration { user: ada.id };
    house.store.commit(raise, event()).await.unwrap();
    let after = house.login.with_password("ada", secret(PASSWORD), &here);
    assert!(is_throttled(&after.await));
}

#[tokio::test]
async fn strangers_with_the_password_do_not_use_up_the_codes_of_a_known_device() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.next_step();
    let half = house.half("ada").await;
    let code = house.code(&app);
    let anywhere = from();
    let new = house.login.with_code(half.cookie_value(), &code, &anywhere);
    let hers = ShownDevice {
        cookie: Some(new.await.unwrap().device),
        ..ShownDevice::default()
    };
    for _ in 0..2 {
        let half = house.half("ada").await;
        for _ in 0..5 {
            let wrong = house
                .login
                .with_code(half.cookie_value(), "000000", &anywhere);
            assert!(matches!(wrong.await, Err(SignInError::WrongCode)));
        }
    }
    house.next_step();
    for (origin, passes) in [(from(), false), (with(&hers), true)] {
        let half = house.half("ada").await;
        let code = house.code(&app);
        let answer = house.login.with_code(half.cookie_value(), &code, &origin);
        assert_eq!(answer.await.is_ok(), passes);
    }
}
