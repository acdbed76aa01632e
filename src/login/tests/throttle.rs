//! Failed sign-ins, counted.

use super::*;

pub(super) const QUARTER: Duration = Duration::from_secs(15 * 60);

impl House {
    pub(super) async fn fails(&self, name: &str, from: &Origin) -> SignInError {
        let wrong = secret("elbow tractor plum");
        let answer = self.login.with_password(name, wrong, from).await;
        answer.expect_err("this is not the password")
    }

    pub(super) async fn is_told_to_wait(&self, name: &str, from: &Origin) -> Option<Duration> {
        let answer = self.login.with_password(name, secret(PASSWORD), from);
        match answer.await {
            Err(SignInError::TooMany { retry_after }) => Some(retry_after),
            _ => None,
        }
    }

    /// The gateway started again on the same store.
    pub(super) async fn restarted(&self) -> Login {
        self.login.write_counts().await;
        let config = Config::parse(
            "[throttle]\nper_user_total = 25\n[[panel]]\nupstream = \"http://127.0.0.1:1\"",
            Path::new("test.toml"),
        );
        let login = Login::new(
            self.store.clone(),
            self.sessions.clone(),
            Cluster::alone(),
            self.passwords.clone(),
            Live::new(config.unwrap()),
            self.clock.clone(),
        );
        login.restore_counts().await.unwrap();
        login
    }
}

pub(super) fn is_throttled(answer: &Result<Next, SignInError>) -> bool {
    matches!(answer, Err(SignInError::TooMany { .. }))
}

pub(super) fn at(address: &str) -> Origin {
    Origin {
        address: ClientAddress::Known(address.parse().unwrap()),
        ..from()
    }
}

#[tokio::test]
async fn ten_wrong_passwords_are_followed_by_a_wait_whoever_is_named() {
    let house = House::new("false").await;
    house.user("ada").await;
    for name in ["ada", "nobody", "not a name!", "A DA"] {
        let known = name == "ada";
        for number in 0..10 {
            let from = at(&format!("192.0.2.{number}"));
            let failed = house.fails(name, &from).await;
            assert!(matches!(failed, SignInError::Refused), "{name} {number}");
        }
        house.hand.advance(Duration::from_secs(60));
        let wait = house.is_told_to_wait(name, &at("198.51.100.1")).await;
        assert_eq!(wait, Some(Duration::from_secs(14 * 60)), "{name}");
        house.hand.advance(Duration::from_secs(14 * 60));
        let after = house.password(name, PASSWORD).await;
        assert_eq!(after.is_ok(), known, "{name}");
    }
}

#[tokio::test]
async fn a_right_password_is_not_counted_and_ends_no_window() {
    let house = House::new("false").await;
    house.user("ada").await;
    for _ in 0..9 {
        house.fails("ada", &at("198.51.100.1")).await;
    }
    for _ in 0..20 {
        house.password("ada", PASSWORD).await.unwrap();
    }
    house.fails("ada", &at("198.51.100.1")).await;
    assert!(house.is_told_to_wait("ada", &from()).await.is_some());
}

#[tokio::test]
async fn parallel_guesses_are_no_more_than_their_number() {
    let house = House::new("false").await;
    house.user("ada").await;
    for name in ["ada", "nobody"] {
        let crowd: Vec<_> = (0..100)
            .map(|number| {
                let login = house.login.clone();
                let from = at(&format!("192.0.2.{number}"));
                crate::shutdown::Shutdown::new().spawn(async move {
                    let wrong = secret("elbow tractor plum");
                    let answer = login.with_password(name, wrong, &from).await;
                    matches!(answer, Err(SignInError::Refused))
                })
            })
            .collect();
        let mut looked_at = 0;
        for one in crowd {
            looked_at += usize::from(one.await.unwrap());
        }
        assert_eq!(looked_at, 10, "{name}");
    }
}

#[tokio::test]
async fn an_address_tries_thirty_times_whatever_names() {
    let house = House::new("false").await;
    house.user("ada").await;
    for number in 0..30_u32 {
        let address = format!("2001:db8::{number:x}");
        house.fails(&format!("name{number}"), &at(&address)).await;
    }
    let neighbour = at("2001:db8::ffff:1");
    assert!(house.is_told_to_wait("ada", &neighbour).await.is_some());
    let other = at("2001:db8:0:1::1");
    assert_eq!(house.is_told_to_wait("ada", &other).await, None);
}

#[tokio::test]
async fn strangers_do_not_hold_up_who_is_signed_in() {
    let house = House::new("true").await;
    let (ada, app, _) = house.enrolled("ada").await;
    let session = house.sessions.of(ada.id).pop().unwrap();
    for _ in 0..3 {
        for _ in 0..10 {
            house.fails("ada", &from()).await;
        }
        house.hand.advance(QUARTER);
        session.touch(house.clock.now());
    }
    house.login.write_counts().await;
    let locked = house.store.person(&ada.name).await.unwrap().unwrap().locked;
    assert!(locked, "twenty-five in a row");
    assert!(house.is_told_to_wait("ada", &from()).await.is_some());
    let here = Origin {
        replaces: Some(session.token_hash()),
        ..from()
    };
    // The account page.
    let right = secret(PASSWORD);
    let confirmed = house.login.confirm_password(&session, &right);
    confirmed.await.unwrap();
    // Signing in again, to confirm that it is her, ends the row.
    let again = house.login.with_password("ada", secret(PASSWORD), &here);
    let Next::SecondFactor(half) = again.await.unwrap() else {
        panic!("a code is asked for");
    };
    let code = house.code(&app);
    let signed_in = house.login.with_code(half.cookie_value(), &code, &here);
    signed_in.await.unwrap();
    house.login.write_counts().await;
    let locked = house.store.person(&ada.name).await.unwrap().unwrap().locked;
    assert!(!locked);
    assert_eq!(house.is_told_to_wait("ada", &from()).await, None);
}

#[tokio::test]
async fn who_stole_a_session_holds_up_that_session_alone() {
    let house = House::new("false").await;
    let ada = house.user("ada").await;
    for _ in 0..2 {
        house.password("ada", PASSWORD).await.unwrap();
    }
    let sessions = house.sessions.of(ada.id);
    let (stolen, hers) = (&sessions[0], &sessions[1]);
    let wrong = secret("elbow tractor plum");
    for _ in 0..10 {
        let failed = house.login.confirm_password(stolen, &wrong).await;
        assert!(matches!(failed, Err(SignInError::Refused)));
    }
    let right = secret(PASSWORD);
    let eleventh = house.login.confirm_password(stolen, &right).await;
    assert!(matches!(eleventh, Err(SignInError::TooMany { .. })));
    house.login.confirm_password(hers, &right).await.unwrap();
    house.password("ada", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_row_ends_with_a_whole_sign_in_only_and_survives_a_restart() {
    let here = from();
    let house = House::new("true").await;
    let (ada, app, _) = house.enrolled("ada").await;
    let fail = async |times: u32| {
        for _ in 0..times {
            let failed = house.fails("ada", &here).await;
            assert!(matches!(failed, SignInError::Refused));
        }
        house.hand.advance(QUARTER);
    };
    for times in [10, 10, 4] {
        fail(times).await;
        house.half("ada").await;
    }
    let half = house.half("ada").await;
    let code = house.code(&app);
    let signed_in = house.login.with_code(half.cookie_value(), &code, &here);
    signed_in.await.unwrap();
    for times in [10, 10, 5] {
        fail(times).await;
    }
    let login = house.restarted().await;
    house.hand.advance(100 * QUARTER);
    let right = login.with_password("ada", secret(PASSWORD), &here).await;
    assert!(matches!(right, Err(SignInError::TooMany { .. })));
    login.forgive(ada.id, &ada.name);
    let right = login.with_password("ada", secret(PASSWORD), &here).await;
    assert!(right.is_ok());
}

#[tokio::test]
async fn wrong_codes_are_counted_over_sign_ins_and_restarts() {
    let here = from();
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.next_step();
    for _ in 0..2 {
        let half = house.half("ada").await;
        for _ in 0..5 {
            let wrong = house.login.with_code(half.cookie_value(), "000000", &here);
            assert!(is_of_the_code(&wrong.await));
        }
    }
    let is_throttled = async |login: &Login| {
        let next = login.with_password("ada", secret(PASSWORD), &here);
        let Next::SecondFactor(half) = next.await.unwrap() else {
            panic!("a code is asked for");
        };
        let code = house.code(&app);
        let answer = login.with_code(half.cookie_value(), &code, &here).await;
        matches!(answer, Err(SignInError::TooMany { .. }))
    };
    assert!(is_throttled(&house.login).await);
    let login = house.restarted().await;
    assert!(is_throttled(&login).await);
    house.hand.advance(QUARTER);
    assert!(!is_throttled(&login).await);
}

#[tokio::test]
async fn one_sign_in_with_two_codes_is_one_session_and_spends_one() {
    let here = from();
    let house = House::new("true").await;
    let (ada, _, codes) = house.enrolled("ada").await;
    let half = house.half("ada").await;
    let before = house.sessions.of(ada.id).len();
    let (one, two) = tokio::join!(
        house.login.with_code(half.cookie_value(), &codes[0], &here),
        house.login.with_code(half.cookie_value(), &codes[1], &here),
    );
    assert!(one.is_ok() != two.is_ok());
    assert_eq!(house.sessions.of(ada.id).len(), before + 1);
    let facts = house.store.sign_in_facts(&ada.name).await.unwrap().unwrap();
    assert_eq!(facts.recovery_codes, 9);
}
