//! The first second factor as a person sees it who is not quick.

use std::time::Duration;

use super::browser::{Browser, House, PASSWORD, Seen, twice};
use crate::model::Role;
use crate::wire::cookie;

const LOGIN: &str = "/.portcullis/login";
const ENROL: &str = "/.portcullis/enrol";
const MINUTE: Duration = Duration::from_secs(60);

/// Somebody who has set a password and is shown a secret.
async fn invited(house: &House) -> (Browser<'_>, Seen) {
    let link = house.invite("ada", Role::Administrator).await;
    let mut browser = house.browser();
    let page = browser.get(&link).await;
    let seen = browser.submit(&page, &link, &twice(PASSWORD)).await;
    assert_eq!((seen.status, seen.location()), (303, ENROL));
    let page = browser.get(ENROL).await;
    (browser, page)
}

async fn sign_in(browser: &mut Browser<'_>) -> Seen {
    let page = browser.get(LOGIN).await;
    let fields = [("user", "ada"), ("password", PASSWORD)];
    browser.submit(&page, LOGIN, &fields).await
}

fn secret(page: &Seen) -> String {
    let text = page.between("id=\"totp-secret\" class=\"secret\">", "<");
    text.replace(' ', "")
}

#[tokio::test]
async fn the_secret_stays_the_same_in_two_tabs_and_after_signing_in_again() {
    let house = House::new().await;
    let (mut browser, page) = invited(&house).await;
    let first = secret(&page);
    assert!(page.body.contains("You have 30 minutes"), "{page:?}");
    house.hand.advance(20 * MINUTE);
    let second_tab = browser.get(ENROL).await;
    assert_eq!(secret(&second_tab), first);
    assert!(second_tab.body.contains("You have 10 minutes"));
    let seen = sign_in(&mut browser).await;
    assert_eq!((seen.status, seen.location()), (303, ENROL));
    let again = browser.get(ENROL).await;
    assert_eq!(secret(&again), first);
    assert!(again.body.contains("You have 30 minutes"));
    assert!(!again.body.contains("new secret. If"));
    // The form of the first tab is good all the same.
    let code = house.code(&first);
    let codes = browser.submit(&page, ENROL, &[("code", &code)]).await;
    assert_eq!(codes.status, 200, "{codes:?}");
    assert!(!browser.jar.contains_key(cookie::SIGN_IN));
}

#[tokio::test]
async fn what_has_run_out_says_so_and_what_to_do_with_the_entry_in_the_app() {
    let house = House::new().await;
    let (mut browser, page) = invited(&house).await;
    let first = secret(&page);
    house.hand.advance(30 * MINUTE);
    let mut other_way = house.browser();
    other_way.jar = browser.jar.clone();
    let over = browser.get(ENROL).await;
    let told = "/.portcullis/login?done=enrolment-over";
    assert_eq!((over.status, over.location()), (303, told));
    let login = browser.get(told).await;
    assert!(login.body.contains("remove the entry"), "{login:?}");
    let code = [("code", "123456")];
    let late = other_way.submit(&page, ENROL, &code).await;
    assert_eq!((late.status, late.location()), (303, told));

    // A person who goes to the login page by themselves is told by the page of the new secret.
    let mut browser = house.browser();
    sign_in(&mut browser).await;
    browser.get(ENROL).await;
    house.hand.advance(30 * MINUTE);
    let seen = sign_in(&mut browser).await;
    assert_eq!(seen.location(), "/.portcullis/enrol?done=another-secret");
    let fresh = browser.get(seen.location()).await;
    assert_ne!(secret(&fresh), first);
    assert!(fresh.body.contains("remove the entry"), "{fresh:?}");
}

#[tokio::test]
async fn a_wrong_clock_is_told_with_the_time_of_the_gateway() {
    let house = House::new().await;
    let (mut browser, page) = invited(&house).await;
    let app = secret(&page);
    let early = house.code(&app);
    house.hand.advance(4 * MINUTE);
    let seen = browser.submit(&page, ENROL, &[("code", &early)]).await;
    assert_eq!(seen.status, 401);
    let clock = house.clock.wall().rfc3339();
    let clock = clock.get(11..16).unwrap();
    for words in [
        "about 4 minutes ago",
        "clock is wrong",
        &format!("{clock} UTC"),
    ] {
        assert!(seen.body.contains(words), "{words}: {seen:?}");
    }
    assert_eq!(secret(&seen), app, "and the secret stays");
}
