//! The secret of an app that is not enrolled yet: the same for the browser that was shown it, and for no one
//! else.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A browser that holds this sign-in.
fn holding(half: &Half) -> Origin {
    Origin {
        half: Some(half.clone()),
        ..from()
    }
}

impl House {
    async fn begins_to_enrol(&self, login: &Login, name: &str, from: &Origin) -> Half {
        match login.with_password(name, secret(PASSWORD), from).await {
            Ok(Next::Enrol(half)) => half,
            other => panic!("an app is asked for, not {other:?}"),
        }
    }

    async fn shown(&self, login: &Login, half: &Half) -> String {
        let enrolment = login.enrolment(half.cookie_value()).await.unwrap();
        enrolment.secret_text.expose().replace(' ', "")
    }

    /// Whether a sign-in is under way.
    async fn is_under_way(&self, half: &Half) -> bool {
        let pending = self.login.pending(half.cookie_value()).await;
        pending.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_browser_is_shown_the_same_secret_until_half_an_hour_has_passed() {
    let house = House::new("true").await;
    house.user("ada").await;
    let half = house.begins_to_enrol(&house.login, "ada", &from()).await;
    let first = house.shown(&house.login, &half).await;
    house.hand.advance(29 * MINUTE);
    assert_eq!(house.shown(&house.login, &half).await, first);
    // Signing in again, also on another node or after a restart, goes on with it for as long again.
    let other = house.restarted().await;
    for login in [&other, &house.login] {
        let again = house.begins_to_enrol(login, "ada", &holding(&half)).await;
        assert_eq!(
            again.cookie_value(),
            half.cookie_value(),
            "forms of other tabs stay good"
        );
        assert_eq!(house.shown(login, &again).await, first);
        house.hand.advance(29 * MINUTE);
    }
    let left = house
        .login
        .enrolment(half.cookie_value())
        .await
        .unwrap()
        .left;
    assert_eq!(left, MINUTE);
    house.hand.advance(MINUTE);
    let over = house.login.enrolment(half.cookie_value()).await;
    assert!(matches!(over, Err(SignInError::Expired)));
    let late = house
        .begins_to_enrol(&house.login, "ada", &holding(&half))
        .await;
    assert_ne!(house.shown(&house.login, &late).await, first);
}

#[tokio::test]
async fn nobody_else_is_shown_it() {
    let house = House::new("true").await;
    let ada = house.user("ada").await;
    house.user("bob").await;
    let half = house.begins_to_enrol(&house.login, "ada", &from()).await;
    let hers = house.shown(&house.login, &half).await;
    let made_up = Half::shown(&"x".repeat(43));
    let elsewhere = Origin {
        address: ClientAddress::Known("198.51.100.9".parse().unwrap()),
        ..holding(&half)
    };
    // The password alone; another cookie; hers, planted in a browser of another network; another user.
    for (name, origin) in [
        ("ada", from()),
        ("ada", holding(&made_up)),
        ("ada", elsewhere),
        ("bob", holding(&half)),
    ] {
        let other = house.begins_to_enrol(&house.login, name, &origin).await;
        assert_ne!(other.cookie_value(), half.cookie_value());
        assert_ne!(house.shown(&house.login, &other).await, hers);
    }
    assert_eq!(
        house.shown(&house.login, &half).await,
        hers,
        "and hers is as it was"
    );
    let raise = RaiseGeneration { user: ada.id };
    house.store.commit(raise, event()).await.unwrap();
    assert!(!house.is_under_way(&half).await);
    let fresh = house
        .begins_to_enrol(&house.login, "ada", &holding(&half))
        .await;
    assert_ne!(house.shown(&house.login, &fresh).await, hers);
}

#[tokio::test]
async fn the_one_that_is_enrolled_ends_the_others() {
    let house = House::new("true").await;
    house.user("ada").await;
    let hers = house.begins_to_enrol(&house.login, "ada", &from()).await;
    let app = house.shown(&house.login, &hers).await;
    let strangers = house.begins_to_enrol(&house.login, "ada", &from()).await;
    let code = house.code(&house.shown(&house.login, &strangers).await);
    let enrolled = house
        .login
        .enrol(strangers.cookie_value(), &code, &from())
        .await;
    enrolled.unwrap();
    for half in [&hers, &strangers] {
        assert!(!house.is_under_way(half).await);
        let shown = house.login.enrolment(half.cookie_value()).await;
        assert!(matches!(shown, Err(SignInError::Expired)));
    }
    let code = house.code(&app);
    let late = house.login.enrol(hers.cookie_value(), &code, &from()).await;
    assert!(matches!(late, Err(SignInError::Expired)));
    // With the cookie of it, she is asked for the code of what is enrolled.
    let next = house
        .login
        .with_password("ada", secret(PASSWORD), &holding(&hers))
        .await;
    assert!(matches!(next, Ok(Next::SecondFactor(_))));
}

#[tokio::test]
async fn wrong_codes_do_not_end_an_enrolment_and_are_counted() {
    let house = House::new("true").await;
    house.user("ada").await;
    let half = house.begins_to_enrol(&house.login, "ada", &from()).await;
    let app = house.shown(&house.login, &half).await;
    for _ in 0..10 {
        let wrong = house
            .login
            .enrol(half.cookie_value(), "000000", &from())
            .await;
        assert!(is_of_the_code(&wrong));
    }
    let code = house.code(&app);
    let held_up = house.login.enrol(half.cookie_value(), &code, &from()).await;
    assert!(matches!(held_up, Err(SignInError::TooMany { .. })));
    house.hand.advance(15 * MINUTE);
    let code = house.code(&app);
    let enrolled = house.login.enrol(half.cookie_value(), &code, &from()).await;
    enrolled.unwrap();
    // The code that enrolled the app signs nobody in.
    let half = house.half("ada").await;
    let replayed = house
        .login
        .with_code(half.cookie_value(), &code, &from())
        .await;
    assert!(matches!(replayed, Err(SignInError::WrongCode)));
}
