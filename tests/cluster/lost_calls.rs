//! Calls whose change is written and whose answer the gateway never got: they are answered as not certain, and
//! the same call again ends well, on another node and after a restart as well.

use serde_json::Value;

use crate::support::cluster::Cluster;
use crate::support::gateway::{call, command};
use crate::support::http1::Answer;
use crate::support::lost::{lost, server};
use crate::support::person::{PASSWORD, give_password, with_the_password_alone as alone};
use crate::support::secrets;

use super::trial::PLAIN;

const OTHER: &str = "gravel anthem pelican";

/// A call, what the audit list calls it, and what it is answered when all goes well.
struct Lost {
    method: &'static str,
    path: String,
    body: String,
    action: &'static str,
    done: u16,
    /// What the same call is answered once it has been answered as done.
    then: u16,
    /// Whether it ends sessions, and so is answered with their fields.
    ends_sessions: bool,
}

fn a_call(method: &'static str, path: &str, body: &str, action: &'static str) -> Lost {
    Lost {
        method,
        path: path.to_owned(),
        body: body.to_owned(),
        action,
        done: 200,
        then: 200,
        ends_sessions: true,
    }
}

/// The user that an act is about.
const PEOPLE: [&str; 10] = [
    "edited", "email", "disabled", "removed", "password", "factor", "link", "sessions", "changed",
    "one",
];

/// Every kind of call that ends sessions: `USERS` is the path of users, `-R` ends a name, `ONE` is a session.
const ENDING: [(&str, &str, &str, &str); 10] = [
    (
        "PATCH",
        "USERS/edited-R",
        r#"{"role": "manager"}"#,
        "role-changed",
    ),
    (
        "PATCH",
        "USERS/email-R",
        r#"{"email": "e@f.example"}"#,
        "email-changed",
    ),
    (
        "PATCH",
        "USERS/disabled-R",
        r#"{"disabled": true}"#,
        "user-disabled",
    ),
    ("DELETE", "USERS/removed-R", "", "user-removed"),
    (
        "PUT",
        "USERS/password-R/password",
        r#"{"password": "OTHER"}"#,
        "password-set",
    ),
    (
        "DELETE",
        "USERS/factor-R/second-factors",
        "",
        "second-factor-reset",
    ),
    ("DELETE", "USERS/sessions-R/sessions", "", "sessions-ended"),
    (
        "POST",
        "USERS/changed-R/password-changed",
        "",
        "password-changed-elsewhere",
    ),
    ("DELETE", "/v1/sessions/ONE", "", "session-ended"),
    ("DELETE", "/v1/sessions", "", "sessions-ended"),
];

/// Every kind of call that changes something, about people of their own.
async fn calls(cluster: &Cluster, round: &str) -> Vec<Lost> {
    let node = &cluster.nodes[0];
    for who in PEOPLE {
        let name = format!("{who}-{round}");
        node.add_with_password(&name);
        alone(node.port, &name).await.unwrap();
    }
    let list = node.operator(&["session", "list", "--user", &format!("one-{round}")]);
    let one = list[0]["id"].as_str().unwrap();
    let link = format!("/v1/users/link-{round}/setup-link");
    let with_password = format!(r#", "email": "a@b.example", "password": "{OTHER}""#);
    let mut calls = vec![
        added(round, "new", ""),
        added(round, "whole", &with_password),
        Lost {
            done: 201,
            then: 201,
            ends_sessions: false,
            ..a_call("POST", &link, "", "setup-link-made")
        },
    ];
    for (method, path, body, action) in ENDING {
        let path = path.replace("USERS", "/v1/users").replace("ONE", one);
        let path = path.replace("-R", &format!("-{round}"));
        let is_gone = ["user-removed", "session-ended"].contains(&action);
        calls.push(Lost {
            then: if is_gone { 404 } else { 200 },
            ..a_call(method, &path, &body.replace("OTHER", OTHER), action)
        });
    }
    calls
}

fn added(round: &str, who: &str, rest: &str) -> Lost {
    let body = format!(r#"{{"name": "{who}-{round}", "role": "manager"{rest}}}"#);
    Lost {
        done: 201,
        then: 409,
        ends_sessions: false,
        ..a_call("POST", "/v1/users", &body, "user-added")
    }
}

fn is_not_certain(lost: &Lost, answer: &Answer) {
    let (path, text) = (&lost.path, answer.text());
    assert_eq!(answer.status, 503, "{path}: {text}");
    let told = answer.json();
    let detail = told["detail"].as_str().unwrap();
    for words in ["may be written or not", "call again"] {
        assert!(detail.contains(words), "{path}: {text}");
    }
    assert!(answer.header("retry-after").is_some());
    if lost.ends_sessions {
        assert_eq!(told["durable"], false, "{path}: {text}");
        for field in [
            "sessions_ended",
            "connections_closed",
            "nodes",
            "nodes_unreached",
        ] {
            assert!(told[field].is_u64(), "{path}: {field}: {text}");
        }
    }
}

/// The call again, to this node: done, and answered with all that it makes.
async fn again(cluster: &Cluster, node: usize, bearer: &str, lost: &Lost) {
    let port = cluster.nodes[node].management_port;
    let ask = || call(port, bearer, lost.method, &lost.path, &lost.body);
    let answer = ask().await;
    let text = answer.text();
    assert_eq!(
        answer.status, lost.done,
        "{} {}: {text}",
        lost.method, lost.path
    );
    let told = answer.json();
    if lost.ends_sessions && lost.method != "PATCH" {
        assert_eq!(told["durable"], true, "{}: {text}", lost.path);
        assert_eq!(told["nodes_unreached"], 0, "{}: {text}", lost.path);
    }
    if let Some(url) = told["setup_url"].as_str() {
        secrets::keep(url.split_once("token=").unwrap().1);
        let link = &url[url.find("/.portcullis").unwrap()..];
        let mut wire = cluster.nodes[1].connect().await;
        let host = format!("Host: localhost:{}", cluster.nodes[1].external_port);
        let opened = wire
            .request("GET", link, &[&host, "Accept: text/html"], b"")
            .await;
        assert_eq!(opened.status, 303, "{}: {}", lost.path, opened.text());
    }
    let then = ask().await;
    assert_eq!(
        then.status,
        lost.then,
        "once more: {}: {}",
        lost.path,
        then.text()
    );
}

async fn all_is_as_it_was_asked(cluster: &Cluster, round: &str) {
    let node = &cluster.nodes[1];
    let show = |who: &str| node.operator(&["user", "show", &format!("{who}-{round}")]);
    assert_eq!(show("new")["role"], "manager");
    assert_eq!(show("edited")["role"], "manager");
    assert_eq!(show("email")["email"], "e@f.example");
    assert_eq!(show("disabled")["disabled"], true);
    for who in ["whole", "password"] {
        let name = format!("{who}-{round}");
        let signed_in = give_password(node.port, &name, OTHER).await.unwrap();
        assert_eq!(signed_in.status, 303, "{who}: {}", signed_in.text());
        let refused = give_password(node.port, &name, PASSWORD).await.unwrap();
        assert_eq!(refused.status, 401, "{who}");
    }
    for who in ["sessions", "changed", "one", "factor"] {
        assert_eq!(show(who)["sessions"], 0, "{who}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_commit_was_not_answered_can_be_made_again_on_any_node() {
    secrets::keep(OTHER);
    let mut cluster = Cluster::over(server(), 2, PLAIN).await;
    let bearer = cluster.nodes[0].token("users,revoke,read");
    let port = cluster.nodes[0].management_port;
    for round in ["b", "a"] {
        let calls = calls(&cluster, round).await;
        for lost_call in &calls {
            let Lost {
                method, path, body, ..
            } = lost_call;
            let asking = call(port, &bearer, method, path, body);
            let answer = lost(&cluster.postgres, lost_call.action, asking).await;
            is_not_certain(lost_call, &answer);
            if round == "b" {
                again(&cluster, 1, &bearer, lost_call).await;
            }
        }
        if round == "a" {
            // It remembers nothing.
            cluster.nodes[0].kill();
            cluster.nodes[0].start().await;
            for lost_call in &calls {
                again(&cluster, 0, &bearer, lost_call).await;
            }
        }
        all_is_as_it_was_asked(&cluster, round).await;
    }
    let left = cluster.postgres.ask("select count(*) from unanswered");
    // Every caller has its answer by now. What the gateway had ended in memory it may write once more, with its mark.
    assert!(["0", "1", "2"].contains(&left.as_str()), "{left}");
}

/// Only a caller that got no answer is answered as if nothing had been done yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_caller_was_not_told_is_refused_as_ever() {
    let cluster = Cluster::over(server(), 2, PLAIN).await;
    let node = &cluster.nodes[0];
    let (mine, other) = (node.token("users,read"), node.token("users,read"));
    let add = r#"{"name": "ada", "role": "operator"}"#;
    let ask = |bearer: String, body: &'static str| {
        let port = cluster.nodes[1].management_port;
        async move { call(port, &bearer, "POST", "/v1/users", body).await.status }
    };
    let port = node.management_port;
    let first = call(port, &mine, "POST", "/v1/users", add);
    assert_eq!(
        lost(&cluster.postgres, "user-added", first).await.status,
        503
    );
    assert_eq!(ask(other.clone(), add).await, 409, "another caller");
    let manager = r#"{"name": "ada", "role": "manager"}"#;
    assert_eq!(ask(mine.clone(), manager).await, 409, "another role");
    let email = r#"{"name": "ada", "role": "operator", "email": "a@b.example"}"#;
    assert_eq!(ask(mine.clone(), email).await, 409, "another address");
    // Whose link was replaced by another administrator's, and so not by a repetition.
    let link = call(port, &other, "POST", "/v1/users/ada/setup-link", "").await;
    assert_eq!(link.status, 201, "{}", link.text());
    let url = link.json()["setup_url"].as_str().unwrap().to_owned();
    secrets::keep(url.split_once("token=").unwrap().1);
    assert_eq!(
        ask(mine.clone(), add).await,
        409,
        "a link that is someone else's"
    );
    cluster
        .postgres
        .ask("update unanswered set at = at - 3600000");
    let gone = call(port, &mine, "DELETE", "/v1/users/ada", "").await;
    assert_eq!(gone.status, 200, "{}", gone.text());
    let removed = call(port, &other, "DELETE", "/v1/users/ada", "").await;
    assert_eq!(removed.status, 404, "{}", removed.text());
}

/// A command of the operator, and what becomes of it.
async fn operator(cluster: &Cluster, node: usize, arguments: &[&str]) -> (Option<i32>, Value) {
    let config = cluster.nodes[node].config();
    let arguments: Vec<String> = arguments.iter().map(|&one| one.to_owned()).collect();
    let running = tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        command(&config, &arguments, None)
    });
    let output = running.await.unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    if let Some(token) = told["token"].as_str() {
        secrets::keep(token);
    }
    (output.status.code(), told)
}

async fn may_read(cluster: &Cluster, node: usize, token: &str) -> bool {
    let port = cluster.nodes[node].management_port;
    call(port, token, "GET", "/v1/users", "").await.status == 200
}

/// A command whose commit is not answered, on the first node, and the same again: on another one, or on the
/// same after a restart. What it tells then.
async fn lost_and_again(
    cluster: &mut Cluster,
    node: usize,
    action: &str,
    arguments: &[&str],
) -> Value {
    let (code, _) = lost(&cluster.postgres, action, operator(cluster, 0, arguments)).await;
    assert_eq!(code, Some(1), "{arguments:?}");
    if node == 0 {
        cluster.nodes[0].restart().await;
    }
    let (code, told) = operator(cluster, node, arguments).await;
    assert_eq!(code, Some(0), "{arguments:?}: {told}");
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_whose_secret_was_never_shown_is_made_and_rotated_again() {
    let mut cluster = Cluster::over(server(), 2, PLAIN).await;
    let secret = |told: &Value| told["token"].as_str().unwrap().to_owned();
    for node in [1, 0] {
        let name = format!("ci-{node}");
        let add = ["token", "add", &name, "--scope", "read"];
        let rotate = ["token", "rotate", &name];
        let remove = ["token", "remove", &name];
        let first = secret(&lost_and_again(&mut cluster, node, "token-added", &add).await);
        assert!(may_read(&cluster, 0, &first).await);
        let (code, _) = operator(&cluster, node, &add).await;
        assert_eq!(code, Some(1), "told by now");

        let told = lost_and_again(&mut cluster, node, "token-rotated", &rotate).await;
        assert!(told["former_ends"].is_string(), "{told}");
        let second = secret(&told);
        for token in [&first, &second] {
            assert!(
                may_read(&cluster, 1, token).await,
                "programs have the first for a day yet"
            );
        }
        // A rotation of its own: the first secret is the one before the last now, and ends.
        let (code, told) = operator(&cluster, node, &rotate).await;
        assert_eq!(code, Some(0), "{told}");
        let third = secret(&told);
        assert!(!may_read(&cluster, 1, &first).await);
        for token in [&second, &third] {
            assert!(may_read(&cluster, 0, token).await);
        }

        lost_and_again(&mut cluster, node, "token-removed", &remove).await;
        assert!(!may_read(&cluster, 0, &third).await);
        let (code, _) = operator(&cluster, node, &remove).await;
        assert_eq!(code, Some(1), "told by now");
    }
}
