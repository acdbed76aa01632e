//! C9: an answer is for whoever asked, however many share the connections to a panel, and whatever
//! becomes of the requests of others.

use crate::class_c::Scene;
use crate::support::gateway::Gateway;
use crate::support::http1::Wire;
use crate::support::panel::Panel;

/// C9: many people at once, who hang up, read slowly and meet a panel that resets; nobody ever gets an
/// answer to somebody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_everybody_gets_their_own_answer() {
    const PEOPLE: usize = 12;
    const ROUNDS: usize = 250;
    let panel = Panel::start().await;
    panel.answers_oddly(
        "reset",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot all",
    );
    panel.answers_oddly("two", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
    let gateway = Gateway::in_front_of(&panel).await;
    let mut crowd = Vec::new();
    for number in 0..PEOPLE {
        crowd.push(gateway.person(&format!("p{number}"), "operator").await);
    }
    let port = gateway.port;
    let tasks: Vec<_> = crowd
        .iter()
        .map(|person| (person.name.clone(), person.cookie()))
        .map(|(name, cookie)| {
            tokio::spawn(async move {
                let mut own = 0;
                let mut wire = Wire::connect(port).await;
                for round in 0..ROUNDS {
                    match (round + name.len()) % 5 {
                        // Hangs up in the middle of its own request.
                        0 => {
                            let mut gone = Wire::connect(port).await;
                            gone.send(format!("POST /echo HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\nContent-Length: 9\r\n\r\nha")).await;
                        }
                        1 => {
                            let mut torn = Wire::connect(port).await;
                            let _ = torn.try_request("GET", "/odd-open/two", &[&cookie], b"").await;
                        }
                        2 => {
                            let mut torn = Wire::connect(port).await;
                            let _ = torn.try_request("GET", "/odd/reset", &[&cookie], b"").await;
                        }
                        _ => {}
                    }
                    let target = format!("/echo?{name}-{round}");
                    let answer = wire.get(&target, &[&cookie]).await;
                    assert_eq!(answer.status, 200, "{answer:?}");
                    let text = answer.text();
                    let is_own = text.starts_with(&format!("GET {target} "))
                        && text.contains(&format!("x-forwarded-user: {name}\r\n"));
                    assert!(is_own, "{target}: {text}");
                    own += 1;
                }
                own
            })
        })
        .collect();
    let mut own = 0;
    for task in tasks {
        own += task.await.unwrap();
    }
    assert_eq!(own, PEOPLE * ROUNDS);
}

/// C9: a panel that knows people by their connection (NTLM, Negotiate) must not know one as another.
#[tokio::test]
async fn c9_a_connection_that_was_signed_in_is_nobody_elses() {
    let scene = Scene::new().await;
    let (mine, hers) = (scene.attacker.cookie(), scene.victim.cookie());
    let asks = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    scene.panel.answers_oddly("ntlm", asks);
    let connection_of = |mark: &'static str| {
        let seen = scene.panel.seen_with(mark);
        seen.last().unwrap().connection
    };
    let mut wire = scene.gateway.connect().await;
    for round in 0..20 {
        let fields = [mine.as_str(), "Authorization: Negotiate YII="];
        assert_eq!(wire.get("/echo?signing-in", &fields).await.status, 200);
        wire.get("/echo?after-her", &[&hers]).await;
        assert_ne!(
            connection_of("signing-in"),
            connection_of("after-her"),
            "round {round}"
        );
        assert_eq!(wire.get("/odd-open/ntlm", &[&mine]).await.status, 401);
        wire.get("/echo?after-him", &[&hers]).await;
        assert_ne!(
            connection_of("/odd-open/ntlm"),
            connection_of("after-him"),
            "round {round}"
        );
    }
    // Others share connections as before.
    answered_twice_on_one(&scene, &mut wire, &hers).await;
}

async fn answered_twice_on_one(scene: &Scene, wire: &mut Wire, cookie: &str) {
    let first = wire.get("/echo?first", &[cookie]).await;
    assert_eq!(first.status, 200);
    wire.send(format!(
        "GET /echo?again HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n\r\n"
    ))
    .await;
    assert_eq!(wire.answer().await.status, 200);
    let connection = |mark: &str| scene.panel.seen_with(mark)[0].connection;
    assert_eq!(connection("?first"), connection("?again"));
}
