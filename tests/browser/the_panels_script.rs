//! The panel is not trusted: a stored comment in one of its pages goes after the portal, which lives on
//! the same origin, in a real browser; and the same where the portal has a host of its own.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::support::eventually;
use crate::support::gateway::{Gateway, Written};
use crate::support::panel::Panel;
use crate::support::person::{PASSWORD, Person};

const HTML: &str = "Content-Type: text/html\r\n";
const SCRIPT: &str = "Content-Type: text/javascript\r\n";
/// A worker that keeps what it sees, and asks for what its page tells it.
const WORKER: &str = "self.onfetch = event => event.respondWith(fetch(event.request));
    self.oninstall = () => self.skipWaiting();
    self.onactivate = event => event.waitUntil(clients.claim());
    self.onmessage = async event => { const answer = await fetch(event.data);
      event.source.postMessage({ status: answer.status, secret: /csrf/.test(await answer.text()) }) }";

/// A panel with the comment in its pages, and with workers of its own.
async fn panel() -> Panel {
    let panel = Panel::start().await;
    let comment = format!(
        "<!doctype html><title>Comments</title><p>A kind word<script>{}</script>",
        include_str!("hostile.js")
    );
    panel.has_page("/static/comments", HTML, &comment);
    // With this the browser would let windows of one origin reach into each other.
    let isolated = format!("{HTML}Cross-Origin-Opener-Policy: same-origin\r\n");
    panel.has_page("/static/isolated", &isolated, &comment);
    let isolated = format!("{isolated}Cross-Origin-Embedder-Policy: require-corp\r\n");
    panel.has_page("/static/embedded", &isolated, &comment);
    panel.has_page("/sw.js", SCRIPT, WORKER);
    let allowed = format!("{SCRIPT}Service-Worker-Allowed: /\r\n");
    panel.has_page("/app/sw.js", &allowed, WORKER);
    let cached = format!("{SCRIPT}Cache-Control: max-age=31536000\r\n");
    panel.has_page("/cached.js", &cached, WORKER);
    panel.has_page("/app/", HTML, "<!doctype html><title>App</title>");
    panel
}

async fn gateway(panel: &Panel, lines: &str, sections: &str, keys: &str) -> Gateway {
    let upstream = format!("http://127.0.0.1:{}", panel.port);
    let rules = format!(
        "{keys}\n[[panel.rule]]\npath = \"/static/\"\nallow = \"anyone\"\n\
         [[panel.rule]]\npath = \"/app/\"\nallow = \"anyone\"\n\
         [[panel.rule]]\npath = \"/sw.js\"\nallow = \"anyone\"\n\
         [[panel.rule]]\npath = \"/cached.js\"\nallow = \"anyone\"\n"
    );
    let mut gateway = Gateway::laid_out(&Written {
        upstream: &upstream,
        lines,
        sections,
        rules: &rules,
        address: Ipv4Addr::LOCALHOST.into(),
        external_port: None,
    });
    gateway.start().await;
    gateway
}

/// Gives a browser the session of a person who signed in elsewhere.
pub(crate) async fn signs_in(browser: &Browser, person: &Person, origin: &str) {
    let cookie = json!({
        "name": "__Host-Http-portcullis", "value": person.token(), "url": format!("{origin}/"),
        "path": "/", "secure": true, "httpOnly": true, "sameSite": "Lax",
    });
    let kept = browser.driver.debug("Network.setCookie", cookie).await;
    assert_eq!(kept["success"], true, "{kept}");
}

/// What a call of the page's own script comes to.
async fn does(browser: &Browser, call: &str) -> Value {
    browser.run(&format!("return {call}")).await
}

/// Every way to read these pages ends in a refusal, and none shows a hidden field.
async fn reads_nothing(browser: &Browser, base: &str) {
    for page in [
        "users",
        "users/ivo",
        "account",
        "login",
        "second-factor",
        "audit",
    ] {
        let seen = does(browser, &format!("reads('{base}/{page}')")).await;
        for (way, one) in seen.as_array().unwrap().iter().enumerate() {
            assert_eq!(one["secret"], false, "{page}, way {way}: {one}");
            // 0: not even the status is seen.
            let status = one["status"].as_u64().unwrap();
            assert!([403, 0].contains(&status), "{page}, way {way}: {one}");
        }
    }
}

async fn changes_nothing(browser: &Browser, base: &str) {
    for (path, fields) in [
        ("users", "{name: 'mallory', role: 'administrator'}"),
        ("users/ivo/password", "{new_password: 'evil tractor elbow'}"),
        ("users/ivo/reset-second-factor", "{}"),
        ("users/ivo/logout-all", "{}"),
        ("account/logout-all", "{}"),
        ("logout", "{}"),
    ] {
        let status = does(browser, &format!("posts('{base}/{path}', {fields})")).await;
        assert!(status == 403 || status == 0, "{path}: {status}");
        does(browser, &format!("postsByForm('{base}/{path}', {fields})")).await;
    }
}

/// The accounts as they were, and the administrator is signed in.
async fn stands(gateway: &Gateway, root: &Person) {
    let users = gateway.operator(&["user", "list"]);
    let mut names: Vec<&str> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["ivo", "root"]);
    let sessions = gateway.operator(&["session", "list"]).to_string();
    assert!(
        sessions.contains("\"root\"") && sessions.contains("\"ivo\""),
        "{sessions}"
    );
    assert!(root.is_signed_in());
}

/// Workers of the panel are refused where they would reach the portal, and only there.
async fn no_worker_reaches_the_portal(browser: &Browser, origin: &str) {
    for (call, outcome) in [
        ("registers('/sw.js')", "refused"),
        ("registers('/sw.js', {scope: '/.portcullis/'})", "refused"),
        ("registers('/sw.js', {scope: '/static/'})", "refused"),
        (
            "registers('/sw.js', {updateViaCache: 'all', type: 'module'})",
            "refused",
        ),
        ("registers('/app/sw.js', {scope: '/'})", "refused"),
        (
            "registers('/app/sw.js', {scope: '/.portcullis/'})",
            "refused",
        ),
        ("registersFromCache()", "refused"),
        ("registers('/app/sw.js')", "/app/"),
    ] {
        assert_eq!(does(browser, call).await, outcome, "{call}");
    }
    assert_eq!(does(browser, "scopes()").await, json!(["/app/"]));
    let asked = does(browser, "asksByWorker('/.portcullis/users')").await;
    assert_eq!(asked, json!({ "status": 403, "secret": false }));
    is_a_workers_own(browser, origin, origin).await;
}

/// The panel's pages are served by its worker, and the portal's are not.
async fn is_a_workers_own(browser: &Browser, origin: &str, portal: &str) {
    const WORKER: &str = "return navigator.serviceWorker.controller !== null";
    browser.go(&format!("{origin}/app/")).await;
    eventually("the worker to serve its page", async || {
        (browser.run(WORKER).await == true).then_some(())
    })
    .await;
    browser.go(&format!("{portal}/.portcullis/users")).await;
    assert_eq!(browser.text("h1").await, "Users");
    assert_eq!(browser.run(WORKER).await, false);
}

#[tokio::test]
async fn a_comment_in_the_panel_gets_nothing_of_the_portal() {
    let panel = panel().await;
    let gateway = gateway(&panel, "", "", "").await;
    let origin = format!("https://localhost:{}", gateway.port);
    let root = gateway.person("root", "administrator").await;
    let ivo = gateway.person("ivo", "operator").await;
    let browser = Browser::start().await;
    signs_in(&browser, &root, &origin).await;
    let home = browser.window().await;

    browser.go(&format!("{origin}/.portcullis/users")).await;
    assert_eq!(
        browser.text("h1").await,
        "Users",
        "the person sees the page"
    );
    browser.go(&format!("{origin}/static/comments")).await;
    reads_nothing(&browser, "/.portcullis").await;
    for page in ["comments", "isolated", "embedded"] {
        browser.go(&format!("{origin}/static/{page}")).await;
        for target in ["users", "users/ivo", "login", "account"] {
            let seen = does(&browser, &format!("looksInto('/.portcullis/{target}')")).await;
            assert_eq!(seen, "cut off", "{page} {target}");
        }
    }
    browser.go(&format!("{origin}/static/comments")).await;
    changes_nothing(&browser, "/.portcullis").await;
    browser.look_at(&home).await;
    stands(&gateway, &root).await;

    no_worker_reaches_the_portal(&browser, &origin).await;

    browser.go(&format!("{origin}/static/comments")).await;
    let planted = does(&browser, &format!("plants('{}')", ivo.token())).await;
    assert_eq!(planted, false, "a script set a cookie of the gateway");
    panel.forget();
    browser.go(&format!("{origin}/static/echo")).await;
    // Nor by what the script could set: a name that is near to the gateway's.
    let seen = panel.seen_with("/static/echo").pop().unwrap();
    assert!(!seen.head.contains("portcullis="), "{}", seen.head);
    assert!(
        !seen.head.contains("ivo"),
        "the panel saw another person: {}",
        seen.head
    );
    stands(&gateway, &root).await;
}

#[tokio::test]
async fn a_portal_with_a_host_of_its_own_is_out_of_reach() {
    let panel = panel().await;
    let lines = "portal_host = \"portal.localhost\"";
    let alone = "[second_factor]\nrequired = false";
    let gateway = gateway(&panel, lines, alone, "service_workers = true").await;
    let origin = format!("https://localhost:{}", gateway.port);
    let portal = format!("https://portal.localhost:{}", gateway.port);
    let browser = Browser::start().await;
    let home = browser.window().await;

    let link = gateway.operator(&["user", "add", "root", "--role", "administrator"]);
    let link = link["setup_url"].as_str().unwrap();
    assert!(link.starts_with(&portal), "{link}");
    browser.go(link).await;
    browser.type_into("#password", PASSWORD).await;
    browser.type_into("#password_again", PASSWORD).await;
    browser.press("Set password").await;
    browser.is_at("/.portcullis/account").await;
    gateway.add_with_password("ivo");

    for page in ["users", "login", "account"] {
        browser.go(&format!("{origin}/.portcullis/{page}")).await;
        assert_eq!(browser.text("h1").await, "Not on this host", "{page}");
    }
    browser.press("To the gateway's pages").await;
    browser.is_at("/.portcullis/account").await;
    browser.go(&format!("{origin}/page")).await;
    assert_eq!(browser.text("h1").await, "Sign-in needed");
    assert!(browser.text(".lead").await.contains("portal.localhost"));

    browser.go(&format!("{origin}/static/comments")).await;
    reads_nothing(&browser, "/.portcullis").await;
    reads_nothing(&browser, &format!("{portal}/.portcullis")).await;
    for base in ["", portal.as_str()] {
        changes_nothing(&browser, &format!("{base}/.portcullis")).await;
    }
    browser.look_at(&home).await;
    for page in ["comments", "isolated", "embedded"] {
        browser.go(&format!("{origin}/static/{page}")).await;
        let seen = does(
            &browser,
            &format!("looksInto('{portal}/.portcullis/users')"),
        )
        .await;
        assert_eq!(seen, "cut off", "{page}");
    }

    // This panel may have its host to itself, and has nothing of the portal's.
    browser.go(&format!("{origin}/static/comments")).await;
    assert_eq!(does(&browser, "registers('/sw.js')").await, "/");
    is_a_workers_own(&browser, &origin, &portal).await;
    let users = gateway.operator(&["user", "list"]).to_string();
    assert!(!users.contains("mallory"), "{users}");
    let sessions = gateway.operator(&["session", "list"]).to_string();
    assert!(sessions.contains("\"root\""), "{sessions}");
}

#[tokio::test]
async fn a_frame_that_needs_a_sign_in_leads_out_of_itself() {
    let panel = panel().await;
    let framing =
        "<!doctype html><title>Desk</title><iframe src=/page width=700 height=400></iframe>";
    panel.has_page("/static/desk", HTML, framing);
    let gateway = gateway(&panel, "", "", "").await;
    let browser = Browser::start().await;
    browser
        .go(&format!(
            "https://localhost:{}/static/desk?a=b",
            gateway.port
        ))
        .await;
    let inside = "document.querySelector('iframe').contentDocument";
    eventually("the page in the frame", async || {
        let title = browser
            .run(&format!(
                "return {inside}?.querySelector('h1')?.textContent"
            ))
            .await;
        (title == "Sign-in needed").then_some(())
    })
    .await;
    let styled = format!("return getComputedStyle({inside}.querySelector('a')).display");
    assert_ne!(browser.run(&styled).await, "inline", "its style is loaded");
    crate::album::keep(&browser, "frame-sign-in").await;
    browser
        .run(&format!("{inside}.querySelector('a').click()"))
        .await;
    browser
        .is_at("/.portcullis/login?next=%2Fstatic%2Fdesk%3Fa%3Db")
        .await;
}
