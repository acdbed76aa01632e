//! Sign-in over a real store, with a clock that stands still until it is moved.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use totp_rs::{Builder, Secret as AppSecret};

use super::start::SignedIn;
use super::{Half, Login, Next, Origin, ShownDevice, SignInError, is_of_the_code};
use crate::clock::{Clock, Hand, Timestamp};
use crate::cluster::Cluster;
use crate::config::{Config, Live};
use crate::credentials::password::Passwords;
use crate::model::{Action, Actor, ClientAddress, Event, Role, User, UserName};
use crate::secret::Secret;
use crate::session::Sessions;
use crate::store::Store;
use crate::store::change::{AddUser, RaiseGeneration, SetPassword, WayIn};

mod codes;
mod devices;
mod enrolment;
mod names;
mod throttle;
mod told;

const PASSWORD: &str = "plum tractor elbow";

struct House {
    _folder: tempfile::TempDir,
    store: Store,
    sessions: Sessions,
    passwords: Passwords,
    login: Login,
    config: Live,
    clock: Clock,
    hand: Hand,
}

impl House {
    async fn new(second_factor: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let text = format!(
            "[second_factor]\nrequired = {second_factor}\n[throttle]\nper_user_total = 25\n[[panel]]\nupstream = \"http://127.0.0.1:1\""
        );
        let config = Live::new(Config::parse(&text, Path::new("test.toml")).unwrap());
        let store = Store::open(folder.path(), clock.clone()).await.unwrap();
        let sessions = Sessions::new(config.now().session, clock.clone());
        let passwords = Passwords::with_costs(64, 1).unwrap();
        let login = Login::new(
            store.clone(),
            sessions.clone(),
            Cluster::alone(),
            passwords.clone(),
            config.clone(),
            clock.clone(),
        );
        Self {
            _folder: folder,
            store,
            sessions,
            passwords,
            login,
            config,
            clock,
            hand,
        }
    }

    async fn user(&self, name: &str) -> User {
        let name = UserName::parse(name).unwrap();
        let add = AddUser {
            name: name.clone(),
            role: Role::Operator,
            email: None,
            way_in: WayIn::Password(Secret::new("$argon2id$".to_owned())),
        };
        let user = self
            .store
            .commit(add, event())
            .await
            .unwrap()
            .into_outcome()
            .id;
        let set = SetPassword {
            user,
            remembered: Some(9),
            phc: self.passwords.hash(&secret(PASSWORD)).await.unwrap(),
            link: None,
            as_of: None,
        };
        self.store.commit(set, event()).await.unwrap();
        self.store.user(&name).await.unwrap().unwrap()
    }

    async fn password(&self, name: &str, password: &str) -> Result<Next, SignInError> {
        self.login
            .with_password(name, secret(password), &from())
            .await
    }

    /// A user with an app; the secret of the app and the recovery codes.
    async fn enrolled(&self, name: &str) -> (User, String, Vec<String>) {
        let user = self.user(name).await;
        let Next::Enrol(half) = self.password(name, PASSWORD).await.unwrap() else {
            panic!("enrolment comes first");
        };
        let text = self
            .login
            .enrolment(half.cookie_value())
            .await
            .unwrap()
            .secret_text;
        let app = text.expose().replace(' ', "");
        let code = self.code(&app);
        let enrolled = self
            .login
            .enrol(half.cookie_value(), &code, &from())
            .await
            .unwrap();
        let codes = enrolled
            .recovery_codes
            .iter()
            .map(|code| code.text())
            .collect();
        (user, app, codes)
    }

    async fn half(&self, name: &str) -> Half {
        match self.password(name, PASSWORD).await.unwrap() {
            Next::SecondFactor(half) => half,
            other => panic!("a code is asked for, not {other:?}"),
        }
    }

    fn code(&self, app: &str) -> String {
        let totp = Builder::new()
            .with_secret(AppSecret::try_from_base32(app).unwrap())
            .with_account_name("ada")
            .build()
            .unwrap();
        totp.generate(self.clock.wall().unix_seconds()).to_string()
    }

    fn next_step(&self) {
        self.hand.advance(Duration::from_secs(30));
    }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn event() -> Event {
    Event::general(Actor::Operator { uid: 0 }, Action::UserAdded)
}

fn from() -> Origin {
    Origin {
        address: ClientAddress::Known("192.0.2.1".parse().unwrap()),
        device: "Firefox on Linux".to_owned(),
        replaces: None,
        half: None,
        shown: ShownDevice::default(),
    }
}

#[tokio::test]
async fn everybody_who_may_not_gets_the_same_answer() {
    let house = House::new("true").await;
    house.user("ada").await;
    for (name, password) in [
        ("nobody", PASSWORD),
        ("ada", "wrong"),
        ("a da", PASSWORD),
        ("", ""),
        ("ada", &"x".repeat(5000)),
    ] {
        let refused = house.password(name, password).await;
        assert!(matches!(refused, Err(SignInError::Refused)), "{name:?}");
    }
    // Names have one case, and what was pasted around one is not part of it.
    for name in [
        "ADA",
        " ada ",
        "ada\t\r\n",
        "\u{a0}ada\u{3000}",
        "\u{200b}ada\u{feff}",
    ] {
        assert!(house.password(name, PASSWORD).await.is_ok(), "{name:?}");
    }
}

#[tokio::test]
async fn a_code_counts_once_and_no_earlier_one_after_it() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    let half = house.half("ada").await;
    let used = house.code(&app);
    let replayed = house
        .login
        .with_code(half.cookie_value(), &used, &from())
        .await;
    assert!(
        matches!(replayed, Err(SignInError::WrongCode)),
        "used to enrol"
    );
    house.next_step();
    let earlier = house.code(&app);
    house.next_step();
    let later = house.code(&app);
    house
        .login
        .with_code(half.cookie_value(), &later, &from())
        .await
        .unwrap();
    let half = house.half("ada").await;
    for code in [&later, &earlier] {
        let again = house
            .login
            .with_code(half.cookie_value(), code, &from())
            .await;
        assert!(matches!(again, Err(SignInError::WrongCode)));
    }
}

#[tokio::test]
async fn many_at_once_with_one_code_are_one_session() {
    let house = House::new("true").await;
    let (ada, app, recovery) = house.enrolled("ada").await;
    house.next_step();
    for code in [house.code(&app), recovery[0].clone()] {
        let before = house.sessions.of(ada.id).len();
        let mut halves = Vec::new();
        for _ in 0..8 {
            halves.push(house.half("ada").await);
        }
        let tries: Vec<_> = halves
            .into_iter()
            .map(|half| {
                let (login, code) = (house.login.clone(), code.clone());
                crate::shutdown::Shutdown::new().spawn(async move {
                    login
                        .with_code(half.cookie_value(), &code, &from())
                        .await
                        .is_ok()
                })
            })
            .collect();
        let mut signed_in = 0;
        for one in tries {
            signed_in += usize::from(one.await.unwrap());
        }
        assert_eq!(signed_in, 1);
        assert_eq!(house.sessions.of(ada.id).len(), before + 1);
    }
}

#[tokio::test]
async fn a_recovery_code_is_good_once_and_for_its_owner() {
    let house = House::new("true").await;
    let (_, _, hers) = house.enrolled("ada").await;
    house.enrolled("bob").await;
    let his = house.half("bob").await;
    let stolen = house
        .login
        .with_code(his.cookie_value(), &hers[0], &from())
        .await;
    assert!(matches!(stolen, Err(SignInError::WrongCode)));
    for code in [&hers[0], &hers[1]] {
        let half = house.half("ada").await;
        house
            .login
            .with_code(half.cookie_value(), code, &from())
            .await
            .unwrap();
        let half = house.half("ada").await;
        let again = house
            .login
            .with_code(half.cookie_value(), code, &from())
            .await;
        assert!(matches!(again, Err(SignInError::WrongCode)));
    }
}

#[tokio::test]
async fn a_sign_in_under_way_with_the_old_password_is_no_session() {
    let house = House::new("true").await;
    let (ada, app, _) = house.enrolled("ada").await;
    house.next_step();
    let half = house.half("ada").await;
    house
        .store
        .commit(RaiseGeneration { user: ada.id }, event())
        .await
        .unwrap();
    let late = house
        .login
        .with_code(half.cookie_value(), &house.code(&app), &from())
        .await;
    assert!(matches!(late, Err(SignInError::Expired)));
}

#[tokio::test]
async fn half_a_sign_in_has_five_tries_and_five_minutes() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.next_step();
    let half = house.half("ada").await;
    for _ in 0..5 {
        let wrong = house
            .login
            .with_code(half.cookie_value(), "000000", &from())
            .await;
        assert!(is_of_the_code(&wrong));
    }
    let sixth = house
        .login
        .with_code(half.cookie_value(), &house.code(&app), &from())
        .await;
    assert!(matches!(sixth, Err(SignInError::Expired)));
    let half = house.half("ada").await;
    house.hand.advance(Duration::from_secs(301));
    let late = house
        .login
        .with_code(half.cookie_value(), &house.code(&app), &from())
        .await;
    assert!(matches!(late, Err(SignInError::Expired)));
}

#[tokio::test]
async fn a_factor_that_is_there_cannot_be_enrolled_over() {
    let house = House::new("true").await;
    house.user("ada").await;
    let both = [(); 2].map(|()| house.password("ada", PASSWORD));
    let mut halves = Vec::new();
    for next in both {
        match next.await.unwrap() {
            Next::Enrol(half) => halves.push(half),
            other => panic!("enrolment comes first, not {other:?}"),
        }
    }
    let mut codes = Vec::new();
    for half in &halves {
        let text = house
            .login
            .enrolment(half.cookie_value())
            .await
            .unwrap()
            .secret_text;
        codes.push(house.code(&text.expose().replace(' ', "")));
    }
    let mut outcomes = Vec::new();
    for (half, code) in halves.iter().zip(&codes) {
        outcomes.push(house.login.enrol(half.cookie_value(), code, &from()).await);
    }
    assert!(outcomes[0].is_ok());
    assert!(matches!(outcomes[1], Err(SignInError::Expired)));
    let half = house.half("ada").await;
    assert!(house.login.enrolment(half.cookie_value()).await.is_err());
    let enrol = house
        .login
        .enrol(half.cookie_value(), "000000", &from())
        .await;
    assert!(matches!(enrol, Err(SignInError::Expired)));
}

#[tokio::test]
async fn the_session_that_the_browser_showed_ends_soon_after_the_new_one_begins() {
    let house = House::new("false").await;
    let ada = house.user("ada").await;
    let Next::SignedIn(first) = house.password("ada", PASSWORD).await.unwrap() else {
        panic!("no second factor is asked for");
    };
    let again = Origin {
        replaces: Some(first.session.token_hash()),
        ..from()
    };
    let second = house
        .login
        .with_password("ada", secret(PASSWORD), &again)
        .await
        .unwrap();
    let Next::SignedIn(second) = second else {
        panic!("no second factor is asked for");
    };
    let shown: Vec<_> = house.sessions.of(ada.id);
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].id(), second.session.id());
    // What the browser had sent before it was given the new token is still answered.
    let found = |one: &super::NewSession| house.sessions.find(&one.token.hash(), house.clock.now());
    assert!(found(&first).is_ok());
    house.hand.advance(crate::store::change::GRACE);
    assert_eq!(found(&first).map(drop), Err(crate::session::Ended::Revoked));
    assert!(found(&second).is_ok());
}

#[tokio::test]
async fn fifty_sign_ins_at_once_leave_as_many_sessions_as_a_user_may_have() {
    let house = House::new("false").await;
    let ada = house.user("ada").await;
    let login = Arc::new(house.login.clone());
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let login = login.clone();
            crate::shutdown::Shutdown::new().spawn(async move {
                login
                    .with_password("ada", secret(PASSWORD), &from())
                    .await
                    .map(drop)
            })
        })
        .collect();
    for one in crowd {
        one.await.unwrap().unwrap();
    }
    assert_eq!(house.sessions.of(ada.id).len(), 10);
    assert_eq!(kept_sessions(&house.store).await, 10);
}

#[tokio::test]
async fn nobody_fills_the_table_for_everybody() {
    let house = House::new("true").await;
    let (_, app, _) = house.enrolled("ada").await;
    house.next_step();
    let first = house.half("ada").await;
    for _ in 0..10 {
        house.hand.advance(Duration::from_millis(1));
        house.half("ada").await;
    }
    let oldest = house.login.pending(first.cookie_value()).await.unwrap();
    assert_eq!(oldest, None, "the eleventh takes the place of the first");
    let last = house.half("ada").await;
    let code = house.code(&app);
    let signed_in = house
        .login
        .with_code(last.cookie_value(), &code, &from())
        .await;
    assert!(signed_in.is_ok());
}

#[tokio::test]
async fn a_sign_in_that_the_configuration_overtook_is_no_session() {
    let house = House::new("false").await;
    let ada = house.user("ada").await;
    let start = || SignedIn {
        user: ada.clone(),
        proof: None,
        pending: None,
    };
    assert!(house.login.start(start(), &from()).await.is_ok());
    let asking = "[[panel]]\nupstream = \"http://127.0.0.1:1\"";
    let asking = Config::parse(asking, Path::new("test.toml")).unwrap();
    house.config.replace(asking);
    let late = house.login.start(start(), &from()).await;
    assert!(matches!(late, Err(SignInError::Expired)), "{late:?}");
    assert_eq!(house.sessions.count(), 1, "only the one from before");
}

async fn kept_sessions(store: &Store) -> usize {
    let mut count = 0;
    store.each_session(|_, _| count += 1).await.unwrap();
    count
}
