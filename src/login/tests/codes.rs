//! Codes as people type them, and codes of another time.

use super::*;

const STEP: u64 = 30;

impl House {
    /// The code of an app whose clock is so many steps ahead.
    fn code_ahead(&self, app: &str, steps: i64) -> String {
        let totp = Builder::new()
            .with_secret(AppSecret::try_from_base32(app).unwrap())
            .with_account_name("ada")
            .build()
            .unwrap();
        let now = self.clock.wall().unix_seconds();
        let then = now.checked_add_signed(steps * STEP.cast_signed()).unwrap();
        totp.generate(then).to_string()
    }

    async fn tries(&self, code: &str) -> Result<(), SignInError> {
        let half = self.half("ada").await;
        let from = from();
        let tried = self.login.with_code(half.cookie_value(), code, &from);
        tried.await.map(drop)
    }
}

#[tokio::test]
async fn codes_are_read_as_people_type_them() {
    let house = House::new("true").await;
    let (_, app, codes) = house.enrolled("ada").await;
    let spellings: [fn(&str) -> String; 4] = [
        |code| format!(" {} {} ", &code[..3], &code[3..]),
        |code| format!("{}\u{2014}{}\u{200b}", &code[..3], &code[3..]),
        |code| code.replace('-', "\u{2212}").to_uppercase(),
        |code| {
            let wide = |sign: char| char::from_u32(u32::from(sign) - 0x21 + 0xff01).unwrap();
            code.chars().map(wide).collect()
        },
    ];
    for (spelling, recovery) in spellings.into_iter().zip(&codes) {
        house.next_step();
        let code = spelling(&house.code(&app));
        house
            .tries(&code)
            .await
            .unwrap_or_else(|why| panic!("{code:?}: {why}"));
        let code = spelling(recovery);
        house
            .tries(&code)
            .await
            .unwrap_or_else(|why| panic!("{code:?}: {why}"));
    }
}

#[tokio::test]
async fn a_code_of_another_time_is_told_and_counted_and_never_taken() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.hand.advance(Duration::from_secs(60 * STEP));
    for (steps, minutes) in [(10, 5), (2, 1), (21, 11), (-2, 1), (-10, 5)] {
        let tried = house.tries(&house.code_ahead(&app, steps)).await;
        let Err(SignInError::CodeOfAnotherTime(time)) = tried else {
            panic!("{steps}: {tried:?}");
        };
        assert_eq!((time.is_ahead, time.minutes), (steps > 0, minutes));
        assert_eq!(time.gateway, house.clock.wall());
    }
    for steps in [22, -22] {
        let tried = house.tries(&house.code_ahead(&app, steps)).await;
        assert!(matches!(tried, Err(SignInError::WrongCode)), "{steps}");
    }
    for _ in 0..3 {
        let tried = house.tries(&house.code_ahead(&app, 10)).await;
        assert!(is_of_the_code(&tried));
    }
    let eleventh = house.tries(&house.code(&app)).await;
    assert!(matches!(eleventh, Err(SignInError::TooMany { .. })));
}

#[tokio::test]
async fn who_is_told_that_a_code_is_to_come_can_not_wait_for_it() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.next_step();
    let guessed = house.code_ahead(&app, 8);
    let told = house.tries(&guessed).await;
    assert!(matches!(told, Err(SignInError::CodeOfAnotherTime(_))));
    house.hand.advance(Duration::from_secs(7 * STEP));
    for _ in 0..3 {
        let waited = house.tries(&guessed).await;
        assert!(matches!(waited, Err(SignInError::WrongCode)), "{waited:?}");
        house.next_step();
    }
    // The person who has the app is held up by half a minute at the most.
    house.tries(&house.code(&app)).await.unwrap();
}

#[tokio::test]
async fn a_code_that_was_used_says_nothing_of_clocks() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.next_step();
    let code = house.code(&app);
    house.tries(&code).await.unwrap();
    house.hand.advance(Duration::from_secs(5 * STEP));
    let again = house.tries(&code).await;
    assert!(matches!(again, Err(SignInError::WrongCode)), "{again:?}");
}

#[tokio::test]
async fn an_app_whose_clock_is_wrong_is_told_so_while_it_is_enrolled() {
    let house = House::new("true").await;
    house.user("ada").await;
    let Next::Enrol(half) = house.password("ada", PASSWORD).await.unwrap() else {
        panic!("enrolment comes first");
    };
    let shown = house.login.enrolment(half.cookie_value()).await.unwrap();
    let app = shown.secret_text.expose().replace(' ', "");
    for steps in [-12, 12] {
        let code = house.code_ahead(&app, steps);
        let told = house.login.enrol(half.cookie_value(), &code, &from()).await;
        assert!(
            matches!(told, Err(SignInError::CodeOfAnotherTime(_))),
            "{told:?}"
        );
    }
    let code = house.code(&app);
    let enrolled = house.login.enrol(half.cookie_value(), &code, &from()).await;
    enrolled.unwrap();
}
