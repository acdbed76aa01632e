//! What people do with a browser, in a word each. Whatever takes a moment is waited for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::eventually;
use crate::webdriver::WebDriver;

/// One browser with a profile of its own.
pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    /// Pages may run scripts.
    pub(crate) has_scripts: bool,
}

/// One of its windows.
pub(crate) struct Window(String);

impl Browser {
    pub(crate) async fn start() -> Self {
        Self {
            driver: WebDriver::start(json!({})).await,
            has_scripts: true,
        }
    }

    /// One whose owner lets no page run a script.
    pub(crate) async fn start_without_scripts() -> Self {
        const PROBE: &str = "data:text/html,<p id=is>off</p><script>is.textContent='on'</script>";
        let preferences = json!({ "profile.managed_default_content_settings.javascript": 2 });
        let browser = Self {
            driver: WebDriver::start(preferences).await,
            has_scripts: false,
        };
        browser.go(PROBE).await;
        assert_eq!(browser.text("#is").await, "off");
        browser
    }

    /// Types an address.
    pub(crate) async fn go(&self, url: &str) {
        self.driver.post("/url", json!({ "url": url })).await;
    }

    /// The path and query of the address that it shows.
    pub(crate) async fn address(&self) -> String {
        let url = self.driver.get("/url").await;
        let url = url.as_str().unwrap();
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        format!("/{path}")
    }

    /// Waits until a page stands there whole whose address begins so.
    pub(crate) async fn is_at(&self, start: &str) {
        let seen = std::cell::RefCell::new(String::new());
        let arriving = eventually("the page", async || {
            let address = self.address().await;
            let is_there = address.starts_with(start)
                && self.run("return document.readyState").await == "complete";
            *seen.borrow_mut() = address;
            is_there.then_some(())
        });
        match tokio::time::timeout(Duration::from_secs(10), arriving).await {
            Ok(()) => {}
            Err(_) => panic!("at {} instead of {start}", seen.borrow()),
        }
    }

    /// Runs a script in the page; what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.driver.post("/execute/sync", body).await
    }

    /// The text that is seen of an element, once it is there. In one look: between two the page may go.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let script = format!(
            "return document.querySelector({})?.innerText ?? null",
            json!(selector)
        );
        eventually(selector, async || {
            let text = self.run(&script).await;
            text.as_str().map(str::to_owned)
        })
        .await
    }

    /// The texts of all elements that a selector finds, as they are written.
    pub(crate) async fn texts(&self, selector: &str) -> Vec<String> {
        let script = format!(
            "return [...document.querySelectorAll({})].map(e => e.textContent)",
            json!(selector)
        );
        serde_json::from_value(self.run(&script).await).unwrap()
    }

    /// Waits until an element's text is as wanted.
    pub(crate) async fn says(&self, selector: &str, wanted: impl Fn(&str) -> bool) -> String {
        eventually(&format!("{selector} to say it"), async || {
            let text = self.text(selector).await;
            wanted(&text).then_some(text)
        })
        .await
    }

    pub(crate) async fn click(&self, selector: &str) {
        self.act(selector, "click", json!({})).await;
    }

    /// The link or button with this text, leaving out what only screen readers say.
    pub(crate) async fn press(&self, text: &str) {
        let script = format!(
            "const text = e => e.value || [...e.childNodes]
               .filter(n => !n.classList?.contains('unseen')).map(n => n.textContent).join('').trim();
             for (const e of document.querySelectorAll('a, button, summary, input[type=submit]'))
               if (text(e) === {text}) {{ e.dataset.pressed = {text}; return true }}
             return false",
            text = json!(text)
        );
        eventually(&format!("something called {text}"), async || {
            (self.run(&script).await == true).then_some(())
        })
        .await;
        self.click(&format!("[data-pressed={}]", json!(text))).await;
    }

    /// Types into a field.
    pub(crate) async fn type_into(&self, selector: &str, text: &str) {
        self.act(selector, "value", json!({ "text": text })).await;
    }

    /// Waits until the keyboard is in a field.
    pub(crate) async fn has_keyboard(&self, selector: &str) {
        let script = format!(
            "return document.activeElement?.matches({})",
            json!(selector)
        );
        eventually(&format!("the keyboard in {selector}"), async || {
            (self.run(&script).await == true).then_some(())
        })
        .await;
    }

    /// Types where the keyboard is.
    pub(crate) async fn type_here(&self, text: &str) {
        let path = format!("/element/{}/value", self.driver.focused().await);
        self.driver.post(&path, json!({ "text": text })).await;
    }

    /// Does something with an element, once it is there. One that went with its page is looked for
    /// again.
    async fn act(&self, selector: &str, deed: &str, body: Value) {
        eventually(selector, async || {
            let element = match self.driver.find(selector).await {
                Ok(element) => element,
                Err(refusal) => return refusal.passes_with_the_page(),
            };
            let path = format!("/element/{element}/{deed}");
            match self.driver.command("POST", &path, &body).await {
                Ok(_) => Some(()),
                Err(refusal) => refusal.passes_with_the_page(),
            }
        })
        .await;
    }

    /// So many pages back.
    pub(crate) async fn back(&self, pages: u32) {
        self.run(&format!("history.go(-{pages})")).await;
    }

    pub(crate) async fn window(&self) -> Window {
        let window = self.driver.get("/window").await;
        Window(window.as_str().unwrap().to_owned())
    }

    /// Opens one more and looks at it.
    pub(crate) async fn new_window(&self) -> Window {
        let made = self.driver.post("/window/new", json!({ "type": "window" }));
        let window = Window(made.await["handle"].as_str().unwrap().to_owned());
        self.look_at(&window).await;
        window
    }

    pub(crate) async fn look_at(&self, window: &Window) {
        let body = json!({ "handle": window.0 });
        self.driver.post("/window", body).await;
    }

    /// The names in the whole cookie jar, in order.
    pub(crate) async fn cookies(&self) -> Vec<String> {
        let jar = self.driver.debug("Storage.getCookies", json!({})).await;
        let names = jar["cookies"].as_array().unwrap().iter();
        let mut names: Vec<String> = names
            .map(|cookie| cookie["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// Notes when the text of an element changes next, by the browser's clock.
    pub(crate) async fn watch(&self, selector: &str) {
        let script = format!(
            "const watcher = new MutationObserver(() => {{ window.changedAt ??= Date.now() }});
             watcher.observe(document.querySelector({}), {{ childList: true, characterData: true, subtree: true }})",
            json!(selector)
        );
        self.run(&script).await;
    }

    /// When what is watched changed.
    pub(crate) async fn changed_at(&self) -> SystemTime {
        let millis = eventually("what is watched to change", async || {
            self.run("return window.changedAt ?? null").await.as_u64()
        });
        UNIX_EPOCH + Duration::from_millis(millis.await)
    }

    /// What the browser itself complained of since the last look: refused styles, broken loads.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.post("/se/log", json!({ "type": "browser" }));
        let entries = log.await;
        let messages = entries.as_array().unwrap().iter();
        messages
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}
