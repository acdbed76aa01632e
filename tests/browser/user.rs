//! Somebody at a browser, with an app on the phone and recovery codes in a drawer.

use crate::album;
use crate::browser::Browser;
use crate::demo::Demo;
use crate::support::app::App;
use crate::support::person::PASSWORD;

/// `admin`, whom the demo adds at its first start.
pub(crate) const ADMIN: &str = "admin";

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) browser: Browser,
    pub(crate) app: App,
    pub(crate) recovery_codes: Vec<String>,
}

impl User {
    /// Goes from a set-up link to the first page of the panel.
    pub(crate) async fn set_up(name: &str, link: &str) -> Self {
        Self::set_up_in(Browser::start().await, name, link).await
    }

    /// The same in this browser.
    pub(crate) async fn set_up_in(browser: Browser, name: &str, link: &str) -> Self {
        let mut user = Self {
            name: name.to_owned(),
            browser,
            app: App::default(),
            recovery_codes: Vec::new(),
        };
        user.choose_password(link).await;
        user.enrol().await;
        user.keep_recovery_codes().await;
        user
    }

    /// The same person at another machine, with these recovery codes.
    pub(crate) async fn elsewhere(&mut self, codes: usize) -> Self {
        Self {
            name: self.name.clone(),
            browser: Browser::start().await,
            app: self.app.clone(),
            recovery_codes: self
                .recovery_codes
                .split_off(self.recovery_codes.len() - codes),
        }
    }

    pub(crate) async fn choose_password(&self, link: &str) {
        let browser = &self.browser;
        browser.go(link).await;
        assert_eq!(browser.text("h1").await, "Choose your password");
        assert!(browser.text(".lead").await.contains(&self.name));
        album::keep(browser, "1-set-up").await;
        browser.type_into("#password", PASSWORD).await;
        browser.type_into("#password_again", PASSWORD).await;
        browser.press("Set password").await;
    }

    async fn enrol(&mut self) {
        let browser = &self.browser;
        browser.is_at("/.portcullis/enrol").await;
        assert_eq!(
            browser
                .run("return document.querySelectorAll('.qr svg').length")
                .await,
            1
        );
        self.app = App::with(&browser.text("#totp-secret").await);
        album::keep(browser, "2-enrol").await;
        browser.type_into("#code", &self.app.next_code()).await;
        browser.press("Turn on").await;
    }

    async fn keep_recovery_codes(&mut self) {
        let browser = &self.browser;
        browser
            .says("h1", |title| title == "Keep your recovery codes")
            .await;
        self.recovery_codes = browser.texts(".recovery-code").await;
        assert_eq!(self.recovery_codes.len(), 10);
        album::keep(browser, "3-recovery-codes").await;
        browser.press("I have kept them, go on").await;
        browser.is_at("/").await;
        assert_eq!(browser.text("#user").await, self.name);
    }

    /// Fills in the login page that it is at, with the keyboard alone, and stops before the code.
    pub(crate) async fn give_password(&self) {
        let browser = &self.browser;
        browser.is_at("/.portcullis/login").await;
        // The page puts the keyboard where one begins; Tab and Enter do the rest.
        browser.has_keyboard("#user").await;
        browser.type_here(&format!("{}\u{e004}", self.name)).await;
        browser.has_keyboard("#password").await;
        browser.type_here(&format!("{PASSWORD}\u{e007}")).await;
        browser.is_at("/.portcullis/second-factor").await;
    }

    /// Signs in at a login page that complains, by the mouse.
    pub(crate) async fn sign_in_again_after_a_complaint(&mut self) {
        let browser = &self.browser;
        browser.type_into("#user", &self.name).await;
        browser.type_into("#password", PASSWORD).await;
        browser.press("Sign in").await;
        browser.is_at("/.portcullis/second-factor").await;
        let code = self.recovery_codes.pop().unwrap();
        self.browser.press("Use a recovery code instead").await;
        self.browser.type_into("#recovery", &code).await;
        self.browser.press("Use recovery code").await;
    }

    /// Signs in at the login page that it is at, with the app.
    pub(crate) async fn sign_in(&mut self) {
        self.give_password().await;
        let code = self.app.next_code();
        self.browser.has_keyboard("#code").await;
        self.browser.type_here(&format!("{code}\u{e007}")).await;
    }

    /// The same without the phone.
    pub(crate) async fn sign_in_with_recovery_code(&mut self) {
        self.give_password().await;
        let code = self.recovery_codes.pop().unwrap();
        self.browser.press("Use a recovery code instead").await;
        self.browser.type_into("#recovery", &code).await;
        self.browser.press("Use recovery code").await;
    }

    /// Opens the panel's WebSocket page in the window it looks at, and talks on it.
    pub(crate) async fn opens_a_websocket(&self, demo: &Demo) {
        let browser = &self.browser;
        browser.go(&demo.url("/socket/")).await;
        browser.says("#state", |state| state == "open").await;
        browser.press("Send").await;
        browser.says("#log", |log| log.contains("hello")).await;
        browser.watch("#state").await;
    }

    /// The same for its page of events.
    pub(crate) async fn opens_events(&self, demo: &Demo) {
        let browser = &self.browser;
        browser.go(&demo.url("/events/")).await;
        browser.says("#state", |state| state == "open").await;
        browser.says("#log", |log| log.contains("event 1")).await;
        browser.watch("#state").await;
    }

    /// Neither a session nor half a sign-in is left in the browser.
    pub(crate) async fn holds_no_session(&self) {
        let cookies = self.browser.cookies().await;
        let sessions = ["__Host-Http-portcullis", "__Host-Http-portcullis-signin"];
        let held: Vec<_> = cookies
            .iter()
            .filter(|name| sessions.contains(&name.as_str()))
            .collect();
        assert!(held.is_empty(), "{cookies:?}");
    }
}
