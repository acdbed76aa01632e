//! Promise 2: ended means ended, whoever says so, and whatever is open.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::open::{self, Everything};
use crate::support::eventually;
use crate::support::gateway::{CUT, Gateway};
use crate::support::http1::Wire;
use crate::support::http2::Http2;
use crate::support::panel::Panel;
use crate::support::person::Person;

/// Two people with everything open, sharing one HTTP/2 connection as behind a load balancer.
struct Scene {
    panel: Panel,
    gateway: Gateway,
    ada: Person,
    bob: Person,
    shared: Http2,
}

impl Scene {
    async fn new() -> Self {
        let panel = Panel::start().await;
        let gateway = Gateway::in_front_of(&panel).await;
        Self {
            ada: gateway.person("ada", "operator").await,
            bob: gateway.person("bob", "operator").await,
            shared: gateway.connect_http2().await,
            panel,
            gateway,
        }
    }

    /// Ends ada's sessions by `end`, and checks that hers are over and bob's are not.
    async fn ends_hers_only(&mut self, end: impl AsyncFnOnce(&Gateway, &mut Person)) {
        let mut his_stream = open::stream(&self.shared, &self.bob.cookie()).await;
        let mut his_socket = self.bob.websocket().await;
        let hers = Everything::open(&self.ada, &self.panel, &self.shared).await;
        let (dead, name) = (self.ada.cookie(), self.ada.name.clone());

        end(&self.gateway, &mut self.ada).await;

        hers.ends_within(CUT).await;
        self.is_dead(&dead).await;
        assert!(
            open::goes_on(&mut his_stream).await,
            "bob's stream beside hers"
        );
        let his = self.bob.cookie().trim_start_matches("Cookie: ").to_owned();
        let page = self.shared.get("/echo", &[("cookie", &his)]).await;
        assert_eq!(page.expect("the connection that they share").status, 200);
        his_socket.check_echo().await;
        assert_eq!(self.bob.get("/echo").await.status, 200);
        let sessions = self.gateway.operator(&["user", "list"]);
        let hers = sessions
            .as_array()
            .unwrap()
            .iter()
            .find(|user| user["name"] == name.as_str());
        assert_eq!(hers.unwrap()["sessions"], 0);
    }

    /// The old cookie opens nothing. It is not deleted: the browser may have been given another.
    async fn is_dead(&self, cookie: &str) {
        let mut wire = self.gateway.connect().await;
        let page = wire.get("/echo?x=1", &[cookie, "Accept: text/html"]).await;
        assert_eq!(page.status, 303);
        assert_eq!(
            page.header("location"),
            Some("/.portcullis/login?next=%2Fecho%3Fx%3D1")
        );
        let call = wire.get("/echo", &[cookie]).await;
        assert_eq!(call.status, 401);
        assert_eq!(
            call.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(page.header("clear-site-data"), Some("\"cache\""));
        for answer in [page, call] {
            assert_eq!(answer.header("set-cookie"), None);
        }
    }
}

/// The fields of every revocation, true.
fn is_true(outcome: &Value, user: Option<&str>, sessions: u64, connections: u64) {
    assert_eq!(outcome["user"], Value::from(user), "{outcome}");
    assert_eq!(outcome["sessions_ended"], sessions, "{outcome}");
    assert_eq!(outcome["connections_closed"], connections, "{outcome}");
    assert_eq!(outcome["durable"], true, "{outcome}");
    assert_eq!(
        (&outcome["nodes"], &outcome["nodes_unreached"]),
        (&1.into(), &0.into())
    );
    assert_eq!(
        outcome["generation"].is_number(),
        user.is_some(),
        "{outcome}"
    );
}

#[tokio::test]
async fn by_the_call_that_a_password_has_changed() {
    let mut scene = Scene::new().await;
    let token = scene.gateway.token("revoke");
    let mut twice = scene.ada.elsewhere();
    twice.sign_in().await;
    scene
        .ends_hers_only(async |gateway, ada| {
            let path = format!("/v1/users/{}/password-changed", ada.name);
            let body = r#"{"source": "panel", "reason": "changed on the panel's own page"}"#;
            let answer = gateway.call(&token, "POST", &path, body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            is_true(&answer.json(), Some("ada"), 2, open::COUNT);
            let again = gateway.call(&token, "POST", &path, "").await;
            is_true(&again.json(), Some("ada"), 0, 0);
        })
        .await;
    assert_eq!(twice.get("/echo").await.status, 303, "her other device");
    scene.ada = scene.ada.elsewhere();
    scene.ada.recovery_codes.pop();
    scene.ada.sign_in().await;
    assert_eq!(
        scene.ada.get("/echo").await.status,
        200,
        "she can sign in anew"
    );
}

#[tokio::test]
async fn by_the_call_for_a_users_sessions() {
    let mut scene = Scene::new().await;
    let token = scene.gateway.token("revoke");
    scene
        .ends_hers_only(async |gateway, _| {
            let answer = gateway
                .call(&token, "DELETE", "/v1/users/ada/sessions", "")
                .await;
            is_true(&answer.json(), Some("ada"), 1, open::COUNT);
        })
        .await;
}

#[tokio::test]
async fn by_the_call_for_everybodys_sessions() {
    let scene = Scene::new().await;
    let token = scene.gateway.token("revoke");
    let his = scene.gateway.connect_http2().await;
    let hers = Everything::open(&scene.ada, &scene.panel, &scene.shared).await;
    let his = Everything::open(&scene.bob, &scene.panel, &his).await;
    let answer = scene
        .gateway
        .call(&token, "DELETE", "/v1/sessions", "")
        .await;
    is_true(&answer.json(), None, 2, 2 * open::COUNT);
    tokio::join!(hers.ends_within(CUT), his.ends_within(CUT));
    scene.is_dead(&scene.ada.cookie()).await;
    scene.is_dead(&scene.bob.cookie()).await;
}

#[tokio::test]
async fn by_an_administrator_at_the_users_page() {
    let mut scene = Scene::new().await;
    let mut root = scene.gateway.person("root", "administrator").await;
    scene
        .ends_hers_only(async |_, _| {
            let page = "/.portcullis/users/ada";
            let answer = root.submit(page, &format!("{page}/logout-all"), &[]).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let told = format!("Ended: 1 session; cut: {} open connections.", open::COUNT);
            assert!(answer.text().contains(&told), "{}", answer.text());
        })
        .await;
}

#[tokio::test]
async fn by_the_button_for_all_devices() {
    let mut scene = Scene::new().await;
    scene
        .ends_hers_only(async |_, ada| {
            let account = "/.portcullis/account";
            let answer = ada
                .submit(account, "/.portcullis/account/logout-all", &[])
                .await;
            assert_eq!(answer.status, 303, "{}", answer.text());
            assert!(
                answer
                    .header("location")
                    .unwrap()
                    .starts_with("/.portcullis/login")
            );
            assert_eq!(answer.header("clear-site-data"), Some("\"cache\""));
            assert!(!ada.is_signed_in(), "the browser has forgotten the cookie");
        })
        .await;
}

#[tokio::test]
async fn by_changing_ones_own_password() {
    let mut scene = Scene::new().await;
    scene
        .ends_hers_only(async |_, ada| {
            let new = "elbow tractor plum";
            let fields = [
                ("current_password", "plum tractor elbow"),
                ("new_password", new),
                ("new_password_again", new),
            ];
            let account = "/.portcullis/account";
            let answer = ada
                .submit(account, "/.portcullis/account/password", &fields)
                .await;
            assert_eq!(answer.status, 303, "{}", answer.text());
            assert!(!ada.is_signed_in());
            ada.password = new.to_owned();
        })
        .await;
    let mut old = scene.ada.elsewhere();
    "plum tractor elbow".clone_into(&mut old.password);
    assert_eq!(old.give_password().await.status, 401);
    scene.ada.sign_in().await;
}

#[tokio::test]
async fn by_the_operators_new_password() {
    let mut scene = Scene::new().await;
    scene
        .ends_hers_only(async |gateway, _| {
            let arguments = ["user", "password", "ada", "--password-stdin"];
            let output = gateway.command(&arguments, Some("elbow tractor plum\n"));
            assert!(output.status.success(), "{output:?}");
            let outcome = serde_json::from_slice(&output.stdout).unwrap();
            is_true(&outcome, Some("ada"), 1, open::COUNT);
        })
        .await;
}

#[tokio::test]
async fn by_the_operators_logout() {
    let mut scene = Scene::new().await;
    scene
        .ends_hers_only(async |gateway, _| {
            let outcome = gateway.operator(&["user", "logout", "ada"]);
            is_true(&outcome, Some("ada"), 1, open::COUNT);
        })
        .await;
}

#[tokio::test]
async fn by_the_operators_logout_of_everyone() {
    let mut scene = Scene::new().await;
    let outcome = scene.gateway.operator(&["user", "logout", "--everyone"]);
    is_true(&outcome, None, 2, 0);
    scene.is_dead(&scene.ada.cookie()).await;
    scene.is_dead(&scene.bob.cookie()).await;
    let again = scene.gateway.operator(&["user", "logout", "--everyone"]);
    is_true(&again, None, 0, 0);
    scene.bob.cookies.clear();
    scene.bob.sign_in().await;
    assert_eq!(scene.bob.get("/echo").await.status, 200);
}

#[tokio::test]
async fn one_session_ends_and_the_others_of_its_user_go_on() {
    let scene = Scene::new().await;
    let mut elsewhere = scene.ada.elsewhere();
    elsewhere.sign_in().await;
    let hers = Everything::open(&scene.ada, &scene.panel, &scene.shared).await;
    let account = "/.portcullis/account";
    let page = elsewhere.get(account).await.text();
    // The newest comes first: hers here is the last.
    let last = page.split("/.portcullis/account/sessions/").last().unwrap();
    let action = format!("{account}/sessions/{}/end", last.split('/').next().unwrap());
    let answer = elsewhere.submit(account, &action, &[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    hers.ends_within(CUT).await;
    scene.is_dead(&scene.ada.cookie()).await;
    assert_eq!(elsewhere.get("/echo").await.status, 200);
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_a_finished_revocation() {
    let mut scene = Scene::new().await;
    let token = scene.gateway.token("revoke");
    let mut wire = Wire::connect(scene.gateway.management_port).await;
    let call = format!(
        "POST /v1/users/ada/password-changed HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    );
    wire.send(call).await;
    // The gateway asks for the body: it has the call in its hands.
    assert_eq!(wire.some().await, b"HTTP/1.1 100 Continue\r\n\r\n");
    wire.send("{}").await;
    drop(wire);
    let ada = &mut scene.ada;
    let (port, cookie) = (scene.gateway.port, ada.cookie());
    eventually("the session to be over", || {
        let cookie = cookie.clone();
        async move {
            let mut wire = Wire::connect(port).await;
            // One that was begun before the end may be cut instead of answered.
            let answer = wire.try_request("GET", "/echo", &[&cookie], b"").await?;
            (answer.status == 401).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_under_way_with_the_old_password_is_no_session() {
    let mut scene = Scene::new().await;
    let token = scene.gateway.token("revoke");
    let mut late = scene.ada.elsewhere();
    let code = late.recovery_codes.pop().unwrap();
    let step = late
        .give_password()
        .await
        .header("location")
        .unwrap()
        .to_owned();
    let form = late.get(&step).await.text();
    let path = "/v1/users/ada/password-changed";
    assert_eq!(
        scene.gateway.call(&token, "POST", path, "").await.status,
        200
    );
    let csrf = crate::support::person::csrf_of(&form);
    let answer = late
        .post(
            "/.portcullis/second-factor",
            &[("csrf", &csrf), ("code", &code)],
        )
        .await;
    assert!(!late.is_signed_in(), "{answer:?}");
    assert_eq!(late.get("/echo").await.status, 303);
    assert_eq!(scene.bob.get("/echo").await.status, 200);
}

#[tokio::test]
async fn an_upload_that_goes_on_after_an_early_answer_ends_too() {
    let mut scene = Scene::new().await;
    let token = scene.gateway.token("revoke");
    for target in ["/early-read", "/early-stall"] {
        let mut wire = scene.ada.connect().await;
        let cookie = scene.ada.cookie();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\nContent-Length: 1000000000\r\n\r\n"
        );
        wire.send(head).await;
        assert_eq!(wire.answer().await.status, 200, "{target}");
        // As much as fits between a client and a panel that does not read.
        let chunk = vec![0; 1 << 20];
        let full = async { while wire.stream.write_all(&chunk).await.is_ok() {} };
        let _ = tokio::time::timeout(Duration::from_millis(700), full).await;
        let begun = Instant::now();
        let path = "/v1/users/ada/password-changed";
        let answer = scene.gateway.call(&token, "POST", path, "").await;
        is_true(&answer.json(), Some("ada"), 1, 1);
        assert!(begun.elapsed() < CUT, "{target}: {:?}", begun.elapsed());
        wire.closed_within(CUT).await;
        scene.ada = scene.ada.elsewhere();
        scene.ada.sign_in().await;
    }
}
