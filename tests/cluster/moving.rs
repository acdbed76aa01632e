//! From one gateway with its store in a file to several over PostgreSQL: `portcullis store move`.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::cluster::{Keys, status, storage};
use crate::support::gateway::{Gateway, RULES, Written, binary, run_to_its_end};
use crate::support::panel::Panel;
use crate::support::person::{Person, with_the_password_alone as alone};
use crate::support::postgres::Postgres;

use super::trial::PLAIN;

/// Another gateway over the store that everything is moved to.
fn laid_out(keys: &Keys, postgres: &Postgres) -> Gateway {
    Gateway::laid_out(&Written {
        upstream: "http://127.0.0.1:1",
        lines: "",
        sections: &format!("{}{PLAIN}", keys.storage(&postgres.url())),
        rules: RULES,
        address: Ipv4Addr::LOCALHOST.into(),
        external_port: None,
    })
}

/// A gateway with people, sessions and programs, and where it is to go.
struct Scene {
    _panel: Panel,
    gateway: Gateway,
    ada: Person,
    /// One who logged out.
    out: String,
    bearer: String,
    /// The audit list before it goes.
    audit: Vec<Value>,
    postgres: Postgres,
    keys: Keys,
}

impl Scene {
    async fn new() -> Self {
        let panel = Panel::start().await;
        let gateway = Gateway::with(&panel, "", RULES).await;
        let ada = gateway.person("ada", "administrator").await;
        let bob = gateway.person("bob", "operator").await;
        gateway.operator(&["user", "logout", "bob"]);
        let bearer = gateway.token("read,revoke");
        Self {
            _panel: panel,
            ada,
            out: bob.token().to_owned(),
            audit: gateway.audit(),
            bearer,
            gateway,
            postgres: Postgres::start(),
            keys: Keys::new(),
        }
    }

    fn moving(&self) -> Command {
        let mut command = binary();
        command.arg("--config").arg(self.gateway.config());
        command.args(["store", "move", "--to", &self.postgres.url()]);
        command
    }

    /// Moves it; what is said, and the exit code.
    fn moves(&self) -> (Option<i32>, String) {
        let output = run_to_its_end(&mut self.moving());
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(!told.contains("panicked"), "{told}");
        (output.status.code(), told)
    }

    fn begins_to_move(&self) -> Child {
        let mut moving = self.moving();
        moving.stdin(Stdio::null()).stdout(Stdio::null());
        moving.stderr(Stdio::null()).spawn().unwrap()
    }

    /// Whether her and his rows are on the server, and none is missing.
    fn is_there(&self) -> bool {
        let tables = "select to_regclass('users') is not null";
        if self.postgres.ask(tables) == "f" {
            return false;
        }
        let counts = "select (select count(*) from users), (select count(*) from audit), \
                      (select count(*) from tokens)";
        let counts = self.postgres.ask(counts);
        let all = format!("2|{}|1", self.audit.len());
        assert!(counts == "0|0|0" || counts == all, "{counts}, not {all}");
        counts == all
    }

    /// Embedded stores in the data folder, under whatever name.
    fn stores(&self) -> Vec<String> {
        let files = fs::read_dir(self.gateway.data_dir()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.starts_with("portcullis.db"))
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect()
    }

    /// The configuration after the move, with the key that all of it is sealed under.
    async fn starts_on_the_new_store(&mut self) {
        let key = self.gateway.data_dir().join("master.key");
        let storage = storage(&self.postgres.url(), &key);
        self.gateway
            .rewrite("[[panel]]", &format!("{storage}[[panel]]"));
        self.gateway.start().await;
    }

    /// Everything is there that was, and nothing is back that was gone.
    async fn is_whole(&mut self) {
        let gateway = &self.gateway;
        assert_eq!(self.ada.get("/echo").await.status, 200, "her session");
        assert_eq!(status(gateway.port, &self.out).await, Some(401));
        let code = self.ada.recovery_codes.pop().unwrap();
        let mut elsewhere = self.ada.elsewhere();
        let in_again = elsewhere.sign_in_with(&code).await;
        assert_eq!(in_again.status, 303, "{}", in_again.text());
        let again = self.ada.elsewhere().sign_in_with(&code).await;
        assert_eq!(again.status, 401, "a code that was used");
        let users = gateway.call(&self.bearer, "GET", "/v1/users", "").await;
        assert_eq!(users.status, 200, "{}", users.text());
        assert_eq!(users.json().as_array().unwrap().len(), 2);
        let audit = gateway.audit();
        assert!(audit.starts_with(&self.audit), "{audit:?}");
        assert!(audit.len() > self.audit.len(), "what came since");
        let ended = gateway
            .call(&self.bearer, "DELETE", "/v1/users/ada/sessions", "")
            .await;
        assert_eq!(ended.status, 200, "{}", ended.text());
        assert_eq!(self.ada.get("/echo").await.status, 303);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sessions_and_the_audit_move_and_nobody_notices() {
    let mut scene = Scene::new().await;
    let (code, told) = scene.moves();
    assert_eq!(code, Some(1), "the gateway runs: {told}");
    scene.gateway.stop().await;
    let (code, told) = scene.moves();
    assert_eq!(code, Some(0), "{told}");
    println!("cluster: moved: {}", told.trim());
    let users = "select count(*) from users";
    assert_eq!(scene.postgres.ask(users), "2");
    assert_eq!(scene.stores().len(), 1, "{:?}", scene.stores());
    let kept = scene.stores().remove(0);
    assert!(kept.starts_with("portcullis.db.moved-"), "{kept}");
    assert!(told.contains(&kept), "{told}");
    let (code, told) = scene.moves();
    println!("cluster: moved twice: {}", told.trim());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("it may have been moved before"), "{told}");
    assert_eq!(scene.postgres.ask(users), "2", "nothing is there twice");
    scene.starts_on_the_new_store().await;
    scene.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_killed_can_be_made_again() {
    let mut scene = Scene::new().await;
    scene.gateway.stop().await;
    let mut killed = 0;
    for delay in [20, 40, 60, 80, 120, 160, 240, 400] {
        let mut moving = scene.begins_to_move();
        std::thread::sleep(Duration::from_millis(delay));
        killed += usize::from(moving.try_wait().unwrap().is_none());
        let _ = moving.kill();
        moving.wait().unwrap();
        // Looks whether a part is there, too.
        scene.is_there();
    }
    println!("cluster: {killed} moves killed in the middle");
    assert!(killed > 0, "they were too fast");
    let (code, told) = scene.moves();
    println!("cluster: moved after that: {}", told.trim());
    assert!(code == Some(0) || scene.is_there(), "{told}");
    scene.starts_on_the_new_store().await;
    scene.is_whole().await;
}

/// All is written but the last table, and nothing of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_was_killed_shortly_before_its_end_leaves_nothing() {
    let mut scene = Scene::new().await;
    scene.gateway.stop().await;
    let mut other = laid_out(&scene.keys, &scene.postgres);
    other.start().await;
    other.stop().await;
    let holder = scene.postgres.holds("sign_ins");
    let mut moving = scene.begins_to_move();
    scene
        .postgres
        .until("select pid from pg_locks where relation = 'sign_ins'::regclass and not granted");
    moving.kill().unwrap();
    moving.wait().unwrap();
    scene.postgres.lets_go(holder);
    assert!(!scene.is_there());
    assert_eq!(scene.stores(), ["portcullis.db"]);
    let (code, told) = scene.moves();
    assert_eq!(code, Some(0), "{told}");
    scene.starts_on_the_new_store().await;
    scene.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_in_which_somebody_lives_is_left_as_it_is() {
    let mut scene = Scene::new().await;
    let mut other = laid_out(&scene.keys, &scene.postgres);
    other.start().await;
    other.add_with_password("zoe");
    let hers = alone(other.port, "zoe").await.unwrap();
    scene.gateway.stop().await;
    for runs in [true, false] {
        let (code, told) = scene.moves();
        assert_eq!(code, Some(1), "{told}");
        assert_eq!(scene.postgres.ask("select name from users"), "zoe");
        println!("cluster: not moved: {}", told.trim());
        if runs {
            other.stop().await;
        }
    }
    other.start().await;
    // There is no panel, and she may reach it.
    assert_eq!(status(other.port, &hers).await, Some(502));
    scene.gateway.start().await;
    scene.is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_reached_is_named() {
    let mut scene = Scene::new().await;
    scene.gateway.stop().await;
    scene.postgres.stop();
    let (code, told) = scene.moves();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&scene.postgres.port.to_string()), "{told}");
    scene.gateway.start().await;
    scene.is_whole().await;
}
